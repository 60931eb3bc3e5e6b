//! How many purchases one Redis accepts per second: in batches against one call each.

use super::shard::{EPOCH, Open};
use crate::Bench;
use crate::machine::main_thread_seconds;
use crate::report::{Figure, Goal, Section};
use anyhow::ensure;
use flashsale_core::attempt::{Answer, Attempt, Verdict};
use flashsale_core::ids::{ItemIx, Keyring, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_redis::{BuyerShard, CallError, Options, ShardName};
use flashsale_servers::{Aof, RedisOptions, RedisServer};
use std::sync::Arc;
use std::time::Instant;

/// What batches should accept of what single calls do.
const GOAL: f64 = 6.0;
/// With a disk that is synced before each answer single calls are slow; so many times fewer say as much.
const FEWER_WHEN_SYNCED: usize = 20;

/// A way to send the same attempts.
struct Way {
    name: &'static str,
    /// Attempts in one call.
    batch: usize,
    /// Calls under way at once.
    in_flight: usize,
    /// Attempts in all.
    attempts: usize,
}

/// The way that is compared with single calls, as gateways call: what comes while calls are under way is the next batch.
const BATCHED: usize = 3;

const WAYS: [Way; 5] = [
    Way {
        name: "one call each, one in flight",
        batch: 1,
        in_flight: 1,
        attempts: 30_000,
    },
    Way {
        name: "one call each, 256 in flight",
        batch: 1,
        in_flight: 256,
        attempts: 60_000,
    },
    Way {
        name: "batches of 256, one in flight",
        batch: 256,
        in_flight: 1,
        attempts: 300 * 256,
    },
    Way {
        name: "batches of 256, four in flight",
        batch: 256,
        in_flight: 4,
        attempts: 300 * 256,
    },
    Way {
        name: "batches of 512, four in flight",
        batch: 512,
        in_flight: 4,
        attempts: 150 * 512,
    },
];

/// Redis' durability, and how it is called in the report.
const DURABILITY: [(Aof, &str); 2] = [(Aof::EverySecond, "AOF everysec"), (Aof::Always, "AOF always")];

/// Accepted per second of the wall clock, and CPU time of Redis' main thread for one.
#[derive(Clone, Copy)]
struct Rate {
    wall: f64,
    cpu_us: f64,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let runtime = super::runtime()?;
    let mut rates: [[Vec<Rate>; WAYS.len()]; 2] = Default::default();
    for round in 0..bench.rounds {
        for ((aof, word), rates) in DURABILITY.iter().zip(&mut rates) {
            let what = format!("each way in turn, {word}");
            bench.progress.round(round, bench.rounds, &what);
            let options = RedisOptions {
                aof: *aof,
                ..RedisOptions::default()
            };
            let server = runtime.block_on(RedisServer::start(options))?;
            for (at, way) in WAYS.iter().enumerate() {
                let shard = ShardId(at as u16);
                rates[at].push(runtime.block_on(run(&server, way, *aof, shard))?);
            }
        }
    }
    let all = DURABILITY.iter().zip(&rates);
    Ok(Section {
        name: "redis",
        method: "Purchases by distinct buyers, all accepted, on one shard in one Redis, sent as calls of the shard's \
                 function, by one client thread; the ways take turns in each round, each on a fresh shard. CPU time \
                 is that of Redis' main thread."
            .to_owned(),
        figures: all.flat_map(|((_, word), rates)| figures(word, rates)).collect(),
        notes: Vec::new(),
    })
}

fn figures(durability: &str, rates: &[Vec<Rate>; WAYS.len()]) -> Vec<Figure> {
    let wall = |at: usize| rates[at].iter().map(|r| r.wall).collect::<Vec<_>>();
    let cpu = |at: usize| rates[at].iter().map(|r| r.cpu_us).collect::<Vec<_>>();
    let mut figures = Vec::new();
    for (at, way) in WAYS.iter().enumerate() {
        let name = format!("{durability}: {}", way.name);
        figures.push(Figure::new(&name, "purchases/s", wall(at)));
        figures.push(Figure::new(format!("{name}, Redis' CPU"), "µs/purchase", cpu(at)));
    }
    let batched = &WAYS[BATCHED].name;
    for (single, way) in WAYS[..BATCHED]
        .iter()
        .enumerate()
        .filter(|(_, way)| way.batch == 1)
    {
        let name = format!("{durability}: {batched} : {}", way.name);
        figures.push(Figure::ratio(&name, &wall(BATCHED), &wall(single)).goal(Goal::AtLeast(GOAL)));
        let name = format!("{name}, per Redis' CPU");
        figures.push(Figure::ratio(name, &cpu(single), &cpu(BATCHED)).goal(Goal::AtLeast(GOAL)));
    }
    figures
}

async fn run(server: &RedisServer, way: &Way, aof: Aof, shard: ShardId) -> anyhow::Result<Rate> {
    let slow = aof == Aof::Always && way.batch == 1;
    let count = way.attempts / if slow { FEWER_WHEN_SYNCED } else { 1 };
    let units = UnitRange {
        first: 0,
        len: count as u32,
    };
    let name = ShardName::new(SaleUid(7), shard);
    let open = Open::new(&Options::new(server.url()), name, units).await?;
    let ring = Keyring::new(SaleUid(7));
    let attempts: Arc<[Attempt]> = (0..count).map(|n| attempt(&ring, n)).collect();
    let each = count.div_ceil(way.in_flight);
    let cpu = main_thread_seconds(server.pid())?;
    let started = Instant::now();
    let lanes: Vec<_> = (0..count)
        .step_by(each)
        .map(|from| {
            let (gateway, attempts, batch) = (open.gateway.clone(), Arc::clone(&attempts), way.batch);
            tokio::spawn(async move { lane(&gateway, &attempts[from..count.min(from + each)], batch).await })
        })
        .collect();
    let mut taken = 0;
    for lane in lanes {
        taken += lane.await??;
    }
    let wall = started.elapsed().as_secs_f64();
    let cpu = main_thread_seconds(server.pid())? - cpu;
    ensure!(taken == count, "{taken} of {count} accepted");
    open.sidecar.close_gate(EPOCH).await?;
    open.sidecar.drop_sale().await?;
    Ok(Rate {
        wall: taken as f64 / wall,
        cpu_us: cpu * 1e6 / taken as f64,
    })
}

/// Sends its attempts one call after the other; how many were accepted.
async fn lane(gateway: &BuyerShard, attempts: &[Attempt], batch: usize) -> Result<usize, CallError> {
    let mut taken = 0;
    for batch in attempts.chunks(batch) {
        let verdicts = gateway.purchase(EPOCH, &[0], batch).await?;
        let accepted = |verdict: &&Verdict| matches!(verdict, Verdict::Answer(Answer::Taken(_)));
        taken += verdicts.iter().filter(accepted).count();
    }
    Ok(taken)
}

fn attempt(ring: &Keyring, n: usize) -> Attempt {
    let id = format!("customer-{n}");
    let buyer = ring.buyer(&id);
    Attempt {
        token: n as u64,
        buyer,
        buyer_id: id.into(),
        item: ItemIx(0),
        quantity: 1,
        key: Some(ring.request(buyer, b"1")),
    }
}
