//! Orders: how fast reservations reach the database and become orders, against a bare insert of the same rows; and
//! whether a set rate is kept.

mod bare;
pub(crate) mod postgres;
pub(crate) mod steady;

use crate::Bench;
use crate::machine::own_cpu_seconds;
use crate::report::{Figure, Goal, Section};
use anyhow::{Context, ensure};
use flashsale_core::event::{Change, Event, Reservation};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, RequestKey, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_orders::{Counted, Orders, Routes, Sale, SaleItem, ShardBatch, TicketSecret, Waiting};
use std::path::Path;
use std::time::Instant;

/// Reservations of a round.
const ROWS: usize = 60_000;
/// Events in one batch, over all shards: one durable commit.
const BATCH: usize = 2_000;
/// Shards that a batch is spread over.
const SHARDS: usize = 4;

/// How long something took.
#[derive(Debug, Clone, Copy)]
struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

struct Watch(Instant, f64);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), own_cpu_seconds())
    }

    fn stop(&self) -> Took {
        Took {
            seconds: self.0.elapsed().as_secs_f64(),
            cpu_seconds: own_cpu_seconds() - self.1,
        }
    }
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shards = all_events();
    let (mut bares, mut applied, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench
            .progress
            .round(round, bench.rounds, "apply, make and a bare insert in turn");
        let dir = bench.round_dir()?;
        if round % 2 == 0 {
            bares.push(runtime.block_on(bare::insert(dir.path(), &shards))?);
        }
        let [apply, make] = runtime.block_on(ours(&file(dir.path(), "ours.db")?, &shards))?;
        applied.push(apply);
        made.push(make);
        if round % 2 == 1 {
            bares.push(runtime.block_on(bare::insert(dir.path(), &shards))?);
        }
    }
    let rates = |all: &[Took]| all.iter().map(|t| ROWS as f64 / t.seconds).collect::<Vec<_>>();
    let per_cpu = |all: &[Took]| {
        all.iter()
            .map(|t| ROWS as f64 / t.cpu_seconds)
            .collect::<Vec<_>>()
    };
    let mut figures = vec![
        Figure::new("reservations applied", "rows/s", rates(&applied)),
        Figure::new("orders made", "rows/s", rates(&made)),
        Figure::new("bare multi-row insert", "rows/s", rates(&bares)),
        Figure::ratio(
            "rows per CPU time, applied : bare insert",
            &per_cpu(&applied),
            &per_cpu(&bares),
        ),
    ];
    bench.progress.show("orders at a set rate, 30 s");
    figures.extend(steady::measure(bench, &[])?);
    Ok(Section {
        name: "orders",
        method: format!(
            "{ROWS} reservations in batches of {BATCH} over {SHARDS} shards, each batch one durable commit to SQLite, against \
             two multi-row inserts of the same rows into the same tables. Then {} reservations in `flashsale up` at {} \
             orders a minute, watched for {} s.",
            steady::STOCK,
            steady::PER_MINUTE,
            steady::WATCHED.as_secs()
        ),
        figures,
        notes: Vec::new(),
    })
}

impl Figure {
    /// Kept within 5 % of `set`.
    fn kept(self, set: f64) -> Self {
        self.goal(Goal::Within(set * 0.95, set * 1.05))
    }
}

/// What all shards decided.
fn all_events() -> Vec<Vec<Event>> {
    (0..SHARDS).map(|shard| events(shard, ROWS / SHARDS)).collect()
}

fn events(shard: usize, count: usize) -> Vec<Event> {
    let event = |n: usize| Event {
        n: n as u64,
        made: Epoch(1),
        change: Change::Reserved(Reservation {
            buyer: BuyerKey(n as u128),
            buyer_id: format!("buyer-{shard}-{n:08}").into(),
            item: ItemIx((n % 3) as u16),
            units: [UnitRange {
                first: n as u32,
                len: 1,
            }]
            .into_iter()
            .collect(),
            // Spread like the hashes that they are in earnest.
            key: Some(RequestKey(
                u128::from(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            )),
            at: 1_796_126_400_000 + n as u64 / 50,
            place: n as u32,
        }),
    };
    (1..=count).map(event).collect()
}

fn sale() -> Sale {
    Sale {
        uid: SaleUid(1 << 100),
        namespace: "shop".into(),
        name: "phone-launch".into(),
        spec: serde_json::Value::Null,
        phase: "Open".into(),
        currency: "EUR".into(),
        decimals: 2,
        shards: SHARDS as u16,
        items: (0..3)
            .map(|i| SaleItem {
                id: format!("item-{i}").into(),
                price: 69_900,
            })
            .collect(),
        routes: Routes::default(),
        fresh_secret: TicketSecret([1; 32]),
        now: 0,
    }
}

/// The path of a new file in `dir`.
fn file(dir: &Path, name: &str) -> anyhow::Result<String> {
    let path = dir.join(name);
    let path = path.to_str();
    Ok(path
        .context("a temporary directory with a path of text")?
        .to_owned())
}

/// Opens a new database.
async fn open(target: &str) -> anyhow::Result<Orders> {
    Ok(Orders::open(target, sale()).await?)
}

/// Applies everything, then makes all of it into orders.
async fn ours(target: &str, shards: &[Vec<Event>]) -> anyhow::Result<[Took; 2]> {
    let orders = open(target).await?;
    let watch = Watch::start();
    let mut tickets: Vec<Waiting> = Vec::new();
    let chunk = BATCH / SHARDS;
    for at in (0..shards[0].len()).step_by(chunk) {
        let batch: Vec<ShardBatch<'_>> = shards
            .iter()
            .enumerate()
            .map(|(shard, events)| shard_batch(shard, &events[at..events.len().min(at + chunk)]))
            .collect();
        for applied in orders.apply(&batch).await? {
            tickets.extend(applied.reserved);
        }
    }
    let applied = watch.stop();
    ensure!(
        tickets.len() == ROWS,
        "{} of {ROWS} reservations applied",
        tickets.len()
    );
    let watch = Watch::start();
    let mut count = 0;
    for chunk in tickets.chunks(BATCH) {
        count += orders.make(chunk, 1_796_126_500_000, 900_000).await?.len();
    }
    let made = watch.stop();
    ensure!(count == ROWS, "{count} of {ROWS} orders made");
    orders.close().await;
    Ok([applied, made])
}

fn shard_batch(shard: usize, events: &[Event]) -> ShardBatch<'_> {
    let (epoch, base) = (Epoch(1), 0);
    ShardBatch {
        shard: ShardId(shard as u16),
        steps: vec![Counted::Opened { epoch, base }, Counted::Events { epoch, events }],
    }
}
