//! How fast reservations are applied and orders made, against a bare multi-row insert of the same rows into
//! the same tables, in the same run: `cargo run --release -p flashsale-orders --example apply_rate [rows]`.
//!
//! Each batch is one durable commit in all cases. The CPU's time is what counts on a machine with neighbours.

use flashsale_core::event::{Change, Event, Reservation};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, RequestKey, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_orders::{Counted, Orders, Routes, Sale, SaleItem, ShardBatch, TicketSecret, Waiting};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use std::path::Path;
use std::time::Instant;

/// Events in one batch, over all shards.
const BATCH: usize = 2000;
/// Shards that a batch is spread over.
const SHARDS: usize = 4;
/// Rounds, each with databases of its own; the medians are shown.
const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let rows: usize = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let shards: Vec<Vec<Event>> = (0..SHARDS).map(|s| events(s, rows / SHARDS)).collect();
    let mut figures: [Vec<(f64, f64)>; 4] = Default::default();
    for round in 0..ROUNDS {
        let dir = tempfile::tempdir()?;
        let mut run = [Figure::default(); 4];
        // Turn about, so that neither always has the colder machine.
        if round % 2 == 0 {
            run[0] = bare(dir.path(), &shards).await?;
        }
        [run[1], run[2], run[3]] = ours(dir.path(), &shards).await?;
        if round % 2 == 1 {
            run[0] = bare(dir.path(), &shards).await?;
        }
        for (all, figure) in figures.iter_mut().zip(run) {
            all.push((rows as f64 / figure.wall, rows as f64 / figure.cpu));
        }
    }
    let medians = figures.map(|f| (median(f.iter().map(|x| x.0)), median(f.iter().map(|x| x.1))));
    println!("{rows} rows, {BATCH} a commit over {SHARDS} shards, median of {ROUNDS}");
    for (name, (wall, cpu)) in ["bare insert", "apply", "make", "make with handover"]
        .iter()
        .zip(medians)
    {
        let ratio = cpu / medians[0].1;
        println!("{name:20} {wall:9.0}/s by the clock  {cpu:9.0}/s of CPU time  {ratio:.2} of a bare insert");
    }
    Ok(())
}

#[derive(Default, Clone, Copy)]
struct Figure {
    wall: f64,
    cpu: f64,
}

struct Watch(Instant, f64);

impl Watch {
    fn start() -> Result<Self, Failure> {
        Ok(Self(Instant::now(), cpu_seconds()?))
    }

    fn stop(&self) -> Result<Figure, Failure> {
        Ok(Figure {
            wall: self.0.elapsed().as_secs_f64(),
            cpu: cpu_seconds()? - self.1,
        })
    }
}

/// CPU time of this process, user and system, in seconds; the kernel counts hundredths.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
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
            key: Some(RequestKey(
                u128::from(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            )),
            at: 1_796_126_400_000 + n as u64 / 50,
            place: n as u32,
        }),
    };
    (1..=count).map(event).collect()
}

fn sale(handover: bool) -> Sale {
    let target = || if handover { vec!["shop".into()] } else { vec![] };
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
        routes: Routes {
            handover: target(),
            ..Routes::default()
        },
        fresh_secret: TicketSecret([1; 32]),
        now: 0,
    }
}

/// Applies everything, makes one half without and one half with handover messages.
async fn ours(dir: &Path, shards: &[Vec<Event>]) -> Result<[Figure; 3], Failure> {
    let path = dir.join("ours.db");
    let path = path.to_str().ok_or("a path of text")?;
    let orders = Orders::open(path, sale(false)).await?;
    let watch = Watch::start()?;
    let mut tickets: Vec<Waiting> = Vec::new();
    let chunk = BATCH / SHARDS;
    for at in (0..shards[0].len()).step_by(chunk) {
        let batch: Vec<ShardBatch<'_>> = shards
            .iter()
            .enumerate()
            .map(|(shard, events)| {
                let events = &events[at..events.len().min(at + chunk)];
                let opened = Counted::Opened {
                    epoch: Epoch(1),
                    base: 0,
                };
                let events = Counted::Events {
                    epoch: Epoch(1),
                    events,
                };
                ShardBatch {
                    shard: ShardId(shard as u16),
                    steps: vec![opened, events],
                }
            })
            .collect();
        for applied in orders.apply(&batch).await? {
            tickets.extend(applied.reserved);
        }
    }
    let applied = watch.stop()?;
    let (plain, told) = tickets.split_at(tickets.len() / 2);
    let made = make(&orders, plain).await?;
    orders.close().await;
    let orders = Orders::open(path, sale(true)).await?;
    let handed = make(&orders, told).await?;
    orders.close().await;
    Ok([applied, made, handed])
}

async fn make(orders: &Orders, tickets: &[Waiting]) -> Result<Figure, Failure> {
    let watch = Watch::start()?;
    let mut count = 0;
    for chunk in tickets.chunks(BATCH) {
        count += orders.make(chunk, 1_796_126_500_000, 900_000).await?.len();
    }
    assert_eq!(count, tickets.len());
    let Figure { wall, cpu } = watch.stop()?;
    // As if all rows had been made, to be set against the other figures.
    Ok(Figure {
        wall: wall * 2.0,
        cpu: cpu * 2.0,
    })
}

/// The same rows into the same tables, by two statements for each batch and nothing else.
async fn bare(dir: &Path, shards: &[Vec<Event>]) -> Result<Figure, Failure> {
    let path = dir.join("bare.db");
    Orders::open(path.to_str().ok_or("a path of text")?, sale(false))
        .await?
        .close()
        .await;
    let mut on: SqliteConnection = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
        .connect()
        .await?;
    let all: Vec<(usize, &Event, &Reservation)> = interleaved(shards);
    let watch = Watch::start()?;
    for batch in all.chunks(BATCH) {
        let mut tx = on.begin_with("BEGIN IMMEDIATE").await?;
        let values = ["(1,?,?,?,?,?,?,?,?,?,?,'reserved',?)"]
            .repeat(batch.len())
            .join(",");
        let mut insert = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO orders (sale, shard, made, n, buyer, item, quantity, units, request_key, place, amount, \
             state, reserved_at) VALUES {values}"
        )));
        for (shard, event, r) in batch {
            insert = insert
                .bind(*shard as i64)
                .bind(1i64)
                .bind(event.n as i64)
                .bind(&*r.buyer_id)
                .bind(i64::from(r.item.0))
                .bind(1i64)
                .bind(r.units[0].first.to_string())
                .bind(r.key.map(|k| k.0.to_be_bytes().to_vec()))
                .bind(i64::from(r.place))
                .bind(69_900i64)
                .bind(r.at as i64);
        }
        insert.execute(&mut *tx).await?;
        let values = ["(1,?,?,?,?,?)"].repeat(batch.len()).join(",");
        let text = format!("INSERT INTO live_units (sale, shard, item, unit, made, n) VALUES {values}");
        let mut insert = sqlx::query(AssertSqlSafe(text));
        for (shard, event, r) in batch {
            insert = insert
                .bind(*shard as i64)
                .bind(i64::from(r.item.0))
                .bind(i64::from(r.units[0].first))
                .bind(1i64)
                .bind(event.n as i64);
        }
        insert.execute(&mut *tx).await?;
        tx.commit().await?;
    }
    let figure = watch.stop()?;
    on.close().await?;
    Ok(figure)
}

/// The events in the order in which `ours` applies them.
fn interleaved(shards: &[Vec<Event>]) -> Vec<(usize, &Event, &Reservation)> {
    let chunk = BATCH / SHARDS;
    let mut all = Vec::new();
    for at in (0..shards[0].len()).step_by(chunk) {
        for (shard, events) in shards.iter().enumerate() {
            for event in &events[at..events.len().min(at + chunk)] {
                if let Change::Reserved(r) = &event.change {
                    all.push((shard, event, r));
                }
            }
        }
    }
    all
}
