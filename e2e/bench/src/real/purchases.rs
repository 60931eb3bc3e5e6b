//! Purchases over HTTP on real parts, until the whole stock is sold and read back from Pulsar.

use super::Parts;
use crate::Bench;
use crate::purchases;
use crate::report::{Figure, Section};
use crate::sold::Sold;
use anyhow::{Context, ensure};
use flashsale_pulsar::{Delivery, From, Names, Reader, Service};
use std::path::Path;
use std::time::Duration;

/// Units on sale.
const STOCK: u32 = 100_000;
/// Whose topics they are, as in `flashsale up`.
const TENANT: &str = "public";
/// How long the log may be silent while it is read.
const READ_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let parts = Parts::start(bench)?;
    let options = parts.options()?;
    let (mut rounds, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench
            .progress
            .round(round, bench.rounds, "a sale from first to last unit");
        let before = parts.cpu_seconds()?;
        let (sold, dir) = purchases::sell(bench, STOCK, &options)?;
        let after = parts.cpu_seconds()?;
        cpu.push([0, 1].map(|part| (after[part] - before[part]) * 1e6 / f64::from(STOCK)));
        super::runtime()?.block_on(check(&parts, &dir.path().join("data")))?;
        rounds.push(sold);
    }
    let of = |what: fn(&purchases::Round) -> f64| rounds.iter().map(what).collect::<Vec<_>>();
    let unit = "µs/purchase";
    Ok(Section {
        name: "purchases-real",
        method: format!(
            "{STOCK} units sold over HTTP by `flashsale up` on {}, each to another buyer, by wrk with the connections of \
             `purchases`, all on this machine, another sale in each round; from the first request until the last \
             reservation was read back from Pulsar, whose topics are read afterwards: every unit is in them once.",
            Parts::described()
        ),
        figures: vec![
            Figure::new("durable purchases", "purchases/s", of(|r| r.per_second)),
            Figure::new("server's CPU time", unit, of(|r| r.cpu_us)),
            Figure::new(
                "Redis' CPU time, all together, start and end included",
                unit,
                cpu.iter().map(|c| c[0]).collect(),
            ),
            Figure::new(
                "Pulsar's CPU time, start and end included",
                unit,
                cpu.iter().map(|c| c[1]).collect(),
            ),
            Figure::new("attempts per call of a shard", "attempts", of(|r| r.per_call)),
        ],
        notes: Vec::new(),
    })
}

/// The sale's topics hold every unit once, each for another buyer.
async fn check(parts: &Parts, data: &Path) -> anyhow::Result<()> {
    let mut sold = Sold::of(data)?;
    let service = Service::new(parts.servers.pulsar.service_url(), None);
    let names = Names::new(TENANT, sold.uid());
    let all = (0..super::REDIS).map(|partition| (partition, From::Start));
    let mut reader = Reader::start(&service, &names, all);
    let mut open = super::REDIS;
    while open > 0 {
        let next = tokio::time::timeout(READ_WITHIN, reader.next()).await;
        let delivery = next.context("the log can't be read to its end")?;
        match delivery {
            Some(Delivery::Record(record)) => sold.take(record.partition, &record.bytes)?,
            Some(Delivery::CaughtUp { .. }) => open -= 1,
            None => ensure!(open == 0, "the log's reader ended"),
        }
    }
    sold.check(STOCK)
}
