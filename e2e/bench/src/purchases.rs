//! Purchases over HTTP, each by another buyer, until the whole stock is sold and durable; client and server share the
//! whole machine.
//!
//! A purchase counts once its reservation is promised, that is, durable in the order log. At the end the log itself
//! is read, and every unit must be in it exactly once.

use crate::child;
use crate::report::{Figure, Goal, Section};
use crate::sale::{Offer, Sale, Serving};
use crate::sold::Sold;
use crate::wrk::{self, Load, Wrk};
use crate::{Bench, Spike, machine};
use anyhow::ensure;
use std::path::Path;
use std::time::{Duration, Instant};

/// Units on sale.
const STOCK: u32 = 300_000;
/// Buyers' connections.
const CONNECTIONS: u32 = 256;
/// A sale that isn't sold by then has failed.
const SECONDS_MAX: u64 = 60;
/// How often the count of promises is read; both ends of a round are seen late by at most this.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long another sale is asked in a round, and with so many connections as its authors used.
const SPIKE_SECONDS: u64 = 4;
const SPIKE_CONNECTIONS: u32 = 100;
/// What the authors of GuoZhaoran/spikeSystem measured.
const SPIKE_PUBLISHED: f64 = 4_200.0;

/// How a sale from first to last unit went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) cpu_us: f64,
    pub(crate) per_call: f64,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let (mut ours, mut spike) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        if let Some(other) = bench.spike {
            bench.progress.round(round, bench.rounds, "the other sale");
            let dir = bench.round_dir()?;
            spike.push(ask_spike(dir.path(), other)?);
        }
        bench
            .progress
            .round(round, bench.rounds, "a sale from first to last unit");
        let (sold, data) = sell(bench, STOCK, &[])?;
        let (reader, _) = flashsale_journal::read_closed(data.path().join("data/journal"))?;
        let mut log = Sold::of(&data.path().join("data"))?;
        for committed in reader {
            let committed = committed?;
            log.take(committed.partition, &committed.record)?;
        }
        log.check(STOCK)?;
        ours.push(sold);
    }
    let rates: Vec<f64> = ours.iter().map(|r| r.per_second).collect();
    let mut figures = vec![
        Figure::new("durable purchases", "purchases/s", rates.clone()),
        Figure::new(
            "server's CPU time",
            "µs/purchase",
            ours.iter().map(|r| r.cpu_us).collect(),
        ),
        Figure::new(
            "attempts per call of the host",
            "attempts",
            ours.iter().map(|r| r.per_call).collect(),
        ),
        Figure::new(
            format!("over the {SPIKE_PUBLISHED} a second that spikeSystem's authors published"),
            "×",
            rates.iter().map(|r| r / SPIKE_PUBLISHED).collect(),
        )
        .goal(Goal::AtLeast(10.0)),
    ];
    if !spike.is_empty() {
        figures.push(Figure::new(
            "the other sale, in memory only",
            "purchases/s",
            spike.clone(),
        ));
        figures.push(Figure::ratio(
            "purchases/s, ours : the other sale",
            &rates,
            &spike,
        ));
    }
    Ok(Section {
        name: "purchases",
        method: format!(
            "{STOCK} units sold over HTTP by `flashsale up`, each to another buyer, by wrk with {CONNECTIONS} \
             connections, client and server on the whole machine, fresh data in each round; from the first request \
             until the last reservation is durable in the journal, which is read afterwards: every unit is in it once."
        ),
        figures,
        notes: Vec::new(),
    })
}

/// Sells `stock` units, served with these `options` besides; the round's directory has the sale's data in `data`.
pub(crate) fn sell(
    bench: &Bench<'_>,
    stock: u32,
    options: &[String],
) -> anyhow::Result<(Round, tempfile::TempDir)> {
    let dir = bench.round_dir()?;
    let program = machine::flashsale(bench.programs)?;
    let offer = Offer {
        stock,
        orders_per_minute: 10_000,
    };
    let serving = Serving {
        program: &program,
        gateways: None,
        core: None,
        options,
    };
    let sale = Sale::open(dir.path(), offer, serving)?;
    let load = Load {
        url: &sale.url(),
        connections: CONNECTIONS,
        in_flight: 1,
        seconds: SECONDS_MAX,
        core: None,
        crowd: "a",
        count: None,
    };
    let cpu = machine::cpu_seconds(sale.pid())?;
    let start = Instant::now();
    let wrk = Wrk::start(dir.path(), &load)?;
    let sold = child::until("sold", Duration::from_secs(SECONDS_MAX), LOOK_EVERY, || {
        let sold = sale.counts()?.event("reserved")? >= u64::from(stock);
        Ok(sold.then(Instant::now))
    });
    wrk.interrupt()?;
    let seconds = (sold? - start).as_secs_f64();
    let cpu = machine::cpu_seconds(sale.pid())? - cpu;
    let counts = sale.counts()?;
    ensure!(
        counts.event("won")? == u64::from(stock),
        "{} of {stock} buyers were told that they won",
        counts.event("won")?
    );
    let per_call = counts.event("core_attempts")? as f64 / counts.event("core_calls")?.max(1) as f64;
    sale.stop()?;
    let round = Round {
        per_second: f64::from(stock) / seconds,
        cpu_us: cpu * 1e6 / f64::from(stock),
        per_call,
    };
    Ok((round, dir))
}

fn ask_spike(dir: &Path, spike: Spike<'_>) -> anyhow::Result<f64> {
    let load = Load {
        url: spike.url,
        connections: SPIKE_CONNECTIONS,
        in_flight: 1,
        seconds: SPIKE_SECONDS,
        core: None,
        crowd: "",
        count: Some(spike.accepts),
    };
    let counted = wrk::run(dir, &load)?;
    ensure!(
        counted.matching > 0.0,
        "none of {} answers from {} contains {}: is its stock gone?",
        counted.requests,
        spike.url,
        spike.accepts
    );
    Ok(counted.per_second * counted.matching / counted.requests)
}
