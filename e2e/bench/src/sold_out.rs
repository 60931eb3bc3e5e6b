//! "Sold out" from the real gateway against nginx that answers the same body from its configuration.
//!
//! Both have one serving thread on one core and get the same purchase request, each time from another buyer, from wrk
//! on another core. Of both, the whole process's CPU time counts, so the sale's other threads are in it.

use crate::machine::{cpu_seconds, two_cores};
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
/// Buyers tried until the stock is sold.
const BUYERS_MAX: u32 = STOCK * 4;
/// How long the last reservations may take to be durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_us: f64,
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
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench
            .progress
            .round(round, bench.rounds, "the gateway and nginx in turn");
        let crowd = format!("r{round}");
        let load = |url| Load {
            url,
            connections: CONNECTIONS,
            seconds: SECONDS,
            core: Some(client),
            crowd: &crowd,
            count: None,
        };
        // Each goes first in turn, so that a load that comes and goes favours neither.
        if round % 2 == 1 {
            ours.push(refusals(dir.path(), &sale, &load(&our_url))?);
        }
        theirs.push(ask(dir.path(), nginx.pid(), &load(&nginx_url))?.0);
        if round % 2 == 0 {
            ours.push(refusals(dir.path(), &sale, &load(&our_url))?);
        }
    }
    sale.stop()?;
    Ok(section(&ours, &theirs, body.len()))
}

fn section(ours: &[Round], theirs: &[Round], body_bytes: usize) -> Section {
    let rates = |rounds: &[Round]| rounds.iter().map(|r| r.per_second).collect::<Vec<_>>();
    let costs = |rounds: &[Round]| rounds.iter().map(|r| r.cpu_us).collect::<Vec<_>>();
    Section {
        name: "sold-out",
        method: format!(
            "A sold-out sale served by `flashsale up --gateways 1` on one core against nginx with one worker and `return \
             200` on the same core, both with an answer of {body_bytes} bytes; the purchase of a browser, each time \
             another buyer's, by wrk with {CONNECTIONS} connections on another core. CPU time is that of the whole \
             process, user and system."
        ),
        figures: vec![
            Figure::new("gateway: sold out", "answers/s", rates(ours)),
            Figure::new("nginx: return 200", "answers/s", rates(theirs)),
            Figure::ratio("answers/s, gateway : nginx", &rates(ours), &rates(theirs))
                .goal(Goal::AtLeast(1.0)),
            Figure::new("gateway: CPU time", "µs/answer", costs(ours)),
            Figure::new("nginx: CPU time", "µs/answer", costs(theirs)),
            Figure::ratio(
                "answers per CPU time, gateway : nginx",
                &costs(theirs),
                &costs(ours),
            )
            .goal(Goal::AtLeast(1.0)),
        ],
        notes: Vec::new(),
    }
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
    let before = cpu_seconds(pid)?;
    let counted = wrk::run(dir, load)?;
    let cpu = cpu_seconds(pid)? - before;
    ensure!(
        counted.requests > 0.0 && counted.socket_errors == 0.0,
        "{} answers, {} socket errors",
        counted.requests,
        counted.socket_errors
    );
    let round = Round {
        per_second: counted.per_second,
        cpu_us: cpu * 1e6 / counted.requests,
    };
    Ok((round, counted))
}
