//! "Sold out" from the real gateway against nginx that answers the same body from its configuration.
//!
//! Both have one serving thread on one core and get the same purchase request, each time from another buyer, from wrk
//! on another core. Of both, the whole process's CPU time counts, so the sale's other threads are in it.
//!
//! With one request in flight per connection wrk needs as much of its core for an answer as either server does: answers per
//! second then tell as much about wrk. How busy all three are is in the report, and a second pass with a few requests in
//! flight per connection, which spares wrk most of its work, lets the servers' core decide.

use crate::machine::{cpu_seconds, ended_children_seconds, two_cores};
use crate::nginx::Nginx;
use crate::report::{Figure, Goal, Section};
use crate::sale::{Offer, Sale, Serving};
use crate::wrk::{self, Load};
use crate::{Bench, machine};
use anyhow::{bail, ensure};
use std::path::Path;
use std::time::Duration;

/// Units that are sold before anything is measured.
const STOCK: u32 = 64;
/// How long each server is asked in a round.
const SECONDS: u64 = 3;
/// Buyers' connections.
const CONNECTIONS: u32 = 64;
/// Requests in flight on each connection when the servers' core is to decide.
const IN_FLIGHT: u32 = 4;
/// Buyers tried until the stock is sold.
const BUYERS_MAX: u32 = STOCK * 4;
/// How long the last reservations may take to be durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_us: f64,
    /// The share of its core that the server used, in per cent.
    busy: f64,
    /// The same for wrk.
    client_busy: f64,
}

/// Both servers' rounds, one for one.
#[derive(Debug, Default)]
struct Rounds {
    ours: Vec<Round>,
    theirs: Vec<Round>,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let (server, client) = two_cores()?;
    let dir = bench.round_dir()?;
    let program = machine::flashsale(bench.programs)?;
    let offer = Offer {
        stock: STOCK,
        orders_per_minute: 10_000,
    };
    let serving = Serving {
        program: &program,
        gateways: Some(1),
        core: Some(server),
        options: &[],
    };
    let sale = Sale::open(dir.path(), offer, serving)?;
    let body = sell_out(&sale)?;
    let nginx = Nginx::start(dir.path(), server, &body)?;
    let our_url = sale.url();
    let nginx_url = format!("http://{}/v1/sales/phone-launch/purchases", nginx.listen);
    let mut passes = [(1, Rounds::default()), (IN_FLIGHT, Rounds::default())];
    for round in 0..bench.rounds {
        for (in_flight, rounds) in &mut passes {
            bench
                .progress
                .round(round, bench.rounds, "the gateway and nginx in turn");
            let crowd = format!("r{round}-{in_flight}");
            let load = |url| Load {
                url,
                connections: CONNECTIONS,
                in_flight: *in_flight,
                seconds: SECONDS,
                core: Some(client),
                crowd: &crowd,
                count: None,
            };
            // Each goes first in turn, so that a load that comes and goes favours neither.
            if round % 2 == 1 {
                rounds.ours.push(refusals(dir.path(), &sale, &load(&our_url))?);
            }
            rounds
                .theirs
                .push(ask(dir.path(), nginx.pid(), &load(&nginx_url))?.0);
            if round % 2 == 0 {
                rounds.ours.push(refusals(dir.path(), &sale, &load(&our_url))?);
            }
        }
    }
    sale.stop()?;
    let [(_, one), (_, several)] = passes;
    Ok(section(&one, &several, body.len()))
}

fn section(one: &Rounds, several: &Rounds, body_bytes: usize) -> Section {
    let mut figures = figures("one in flight", one);
    figures.extend(self::figures(&format!("{IN_FLIGHT} in flight"), several));
    Section {
        name: "sold-out",
        method: format!(
            "A sold-out sale served by `flashsale up --gateways 1` on one core against nginx with one worker and `return \
             200` on the same core, both with an answer of {body_bytes} bytes; the purchase of a browser, each time \
             another buyer's, by wrk with {CONNECTIONS} connections on another core, one request in flight on each, then \
             {IN_FLIGHT}. CPU time is that of the whole process, user and system. Where wrk's core is full and the \
             server's isn't, answers per second are wrk's."
        ),
        figures,
        notes: Vec::new(),
    }
}

fn figures(pass: &str, rounds: &Rounds) -> Vec<Figure> {
    let of = |rounds: &[Round], what: fn(&Round) -> f64| rounds.iter().map(what).collect::<Vec<_>>();
    let Rounds { ours, theirs } = rounds;
    let (our_rates, their_rates) = (of(ours, |r| r.per_second), of(theirs, |r| r.per_second));
    let (our_costs, their_costs) = (of(ours, |r| r.cpu_us), of(theirs, |r| r.cpu_us));
    let busy = |who: &str, rounds: &[Round]| {
        [
            Figure::new(
                format!("{who}: its core, {pass}"),
                "% busy",
                of(rounds, |r| r.busy),
            ),
            Figure::new(
                format!("{who}: wrk's core, {pass}"),
                "% busy",
                of(rounds, |r| r.client_busy),
            ),
        ]
    };
    let mut figures = vec![
        Figure::ratio(
            format!("answers/s, gateway : nginx, {pass}"),
            &our_rates,
            &their_rates,
        )
        .goal(Goal::AtLeast(1.0)),
        Figure::ratio(
            format!("answers per CPU time, gateway : nginx, {pass}"),
            &their_costs,
            &our_costs,
        )
        .goal(Goal::AtLeast(1.0)),
        Figure::new(format!("gateway: sold out, {pass}"), "answers/s", our_rates),
        Figure::new(format!("nginx: return 200, {pass}"), "answers/s", their_rates),
        Figure::new(format!("gateway: CPU time, {pass}"), "µs/answer", our_costs),
        Figure::new(format!("nginx: CPU time, {pass}"), "µs/answer", their_costs),
    ];
    figures.extend(busy("gateway", ours));
    figures.extend(busy("nginx", theirs));
    figures
}

/// Buys until nothing is left; the body of "sold out".
fn sell_out(sale: &Sale) -> anyhow::Result<String> {
    for buyer in 0..BUYERS_MAX {
        let (status, body) = sale.buy(&format!("first-{buyer}"))?;
        match status {
            202 => {}
            410 => {
                let pause = Duration::from_millis(10);
                crate::child::until("all reservations durable", DURABLE_WITHIN, pause, || {
                    Ok((sale.counts()?.event("reserved")? == u64::from(STOCK)).then_some(()))
                })?;
                return Ok(body);
            }
            other => bail!("buyer {buyer} was answered {other}: {body}"),
        }
    }
    bail!("{STOCK} units were not sold to {BUYERS_MAX} buyers");
}

/// One round against the sale: every answer must be "sold out".
fn refusals(dir: &Path, sale: &Sale, load: &Load<'_>) -> anyhow::Result<Round> {
    let before = sale.counts()?.event("sold_out")?;
    let (round, counted) = ask(dir, sale.pid(), load)?;
    let told = sale.counts()?.event("sold_out")? - before;
    ensure!(
        counted.refused == counted.requests,
        "{} of {} answers were not refusals",
        counted.requests - counted.refused,
        counted.requests
    );
    ensure!(
        told as f64 >= counted.requests,
        "{told} of {} answers were \"sold out\"",
        counted.requests
    );
    Ok(round)
}

fn ask(dir: &Path, pid: u32, load: &Load<'_>) -> anyhow::Result<(Round, wrk::Counted)> {
    let (before, before_client) = (cpu_seconds(pid)?, ended_children_seconds()?);
    let counted = wrk::run(dir, load)?;
    let cpu = cpu_seconds(pid)? - before;
    let client_cpu = ended_children_seconds()? - before_client;
    let percent = |cpu: f64| 100.0 * cpu / (counted.requests / counted.per_second);
    ensure!(
        counted.requests > 0.0 && counted.socket_errors == 0.0,
        "{} answers, {} socket errors",
        counted.requests,
        counted.socket_errors
    );
    let round = Round {
        per_second: counted.per_second,
        cpu_us: cpu * 1e6 / counted.requests,
        busy: percent(cpu),
        client_busy: percent(client_cpu),
    };
    Ok((round, counted))
}
