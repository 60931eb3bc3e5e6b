//! How many events per second go through the order log and back, and how long one takes: starts a Pulsar of its own.
//!
//! `cargo run --release -p flashsale-pulsar --example log_rate [-- SECONDS [RECORDS_PER_S]]`
//!
//! First as fast as it goes: 8 partitions, 512 events of about 100 bytes per record, a window of records that aren't read
//! back in each. Then at a set rate of small records (default 200/s per partition), for the time from append to read back.

use bytes::Bytes;
use flashsale_core::event::{self, Change, Event, Record, Reservation};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, OwnerId, RequestKey, SaleUid, ShardId};
use flashsale_core::units::{UnitRange, Units};
use flashsale_pulsar::{Admin, Delivery, From, Layout, LogOptions, Names, OrderLog, Reader, Service};
use flashsale_servers::PulsarServer;
use std::error::Error;
use std::time::{Duration, Instant};

const PARTITIONS: u16 = 8;
const EVENTS_PER_RECORD: u64 = 512;
/// Records per partition that aren't read back.
const WINDOW: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args.next().map_or(Ok(10), |s| s.parse())?;
    let per_second: u64 = args.next().map_or(Ok(200), |s| s.parse())?;
    let dir = tempfile::tempdir()?;
    let server = PulsarServer::start(dir.path()).await?;
    let service = Service::new(server.service_url(), None);
    let admin = Admin::new(&server.admin_url(), None)?;
    let layout = Layout {
        names: Names::new("bench", SaleUid(1)),
        shards: PARTITIONS,
    };
    admin.ensure(&layout).await?;
    let log = OrderLog::start(&service, &layout.names, 0..PARTITIONS, LogOptions::default());
    let mut reader = Reader::start(&service, &layout.names, (0..PARTITIONS).map(|p| (p, From::Start)));

    let record = record(EVENTS_PER_RECORD);
    println!(
        "{} events in a record of {} bytes",
        EVENTS_PER_RECORD,
        record.len()
    );
    // Once to warm the broker's Java up, once for the figure.
    full_speed(&log, &mut reader, &record, Duration::from_secs(seconds)).await?;
    let rate = full_speed(&log, &mut reader, &record, Duration::from_secs(seconds)).await?;
    println!(
        "{:.0} events/s in {:.0} records/s over {PARTITIONS} partitions",
        rate * EVENTS_PER_RECORD as f64,
        rate
    );
    one_at_a_time(&log, &mut reader, per_second, Duration::from_secs(seconds)).await?;
    println!(
        "publishers: {:?}\nreader: {:?}",
        log.stats(),
        reader.state().stats()
    );
    log.close(Duration::from_secs(5)).await;
    Ok(())
}

/// Keeps a window in flight in each partition; answers the records read back per second.
async fn full_speed(
    log: &OrderLog,
    reader: &mut Reader,
    record: &Bytes,
    time: Duration,
) -> Result<f64, Box<dyn Error>> {
    for partition in 0..PARTITIONS {
        for _ in 0..WINDOW {
            log.append(partition, record.clone())?;
        }
    }
    let (started, mut read, mut in_flight) = (Instant::now(), 0u64, WINDOW * usize::from(PARTITIONS));
    let mut took = time;
    while in_flight > 0 {
        if let Some(Delivery::Record(delivered)) = reader.next().await {
            in_flight -= 1;
            if started.elapsed() < time {
                read += 1;
                log.append(delivered.partition, record.clone())?;
                in_flight += 1;
                took = started.elapsed();
            }
        }
    }
    Ok(read as f64 / took.as_secs_f64())
}

/// Sends records of one event at a set rate, whatever comes back; prints how long they took.
async fn one_at_a_time(
    log: &OrderLog,
    reader: &mut Reader,
    per_second: u64,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::new();
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second.max(1))?);
    let event = record(1);
    loop {
        tokio::select! {
            _ = tick.tick(), if started.elapsed() < time => {
                for partition in 0..PARTITIONS {
                    // The time goes in front of a record that nobody decodes here.
                    let mut bytes = (started.elapsed().as_micros() as u64).to_be_bytes().to_vec();
                    bytes.extend_from_slice(&event);
                    log.append(partition, bytes)?;
                }
            }
            delivery = reader.next() => if let Some(Delivery::Record(record)) = delivery {
                let at = record.bytes.first_chunk().map_or(0, |at| u64::from_be_bytes(*at));
                took.push(started.elapsed().as_micros() as u64 - at);
            },
            () = tokio::time::sleep(Duration::from_secs(1)), if started.elapsed() >= time => break,
        }
    }
    took.sort_unstable();
    let at = |share: f64| {
        took.get((took.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0) as f64
            / 1000.0
    };
    let (half, most, worst) = (at(0.5), at(0.99), at(0.999));
    println!(
        "append to read back, {per_second}/s in each partition, {} records: p50 {half} ms, p99 {most} ms, p99.9 {worst} ms",
        took.len()
    );
    Ok(())
}

fn record(events: u64) -> Bytes {
    let (epoch, owner) = (Epoch(3), OwnerId(0x1234_5678_9abc_def0));
    let event = |n| Event {
        n,
        made: epoch,
        change: Change::Reserved(Reservation {
            buyer: BuyerKey(u128::MAX / u128::from(n + 2)),
            buyer_id: format!("customer-{n:027}").into(),
            item: ItemIx(1),
            units: Units::from_elem(
                UnitRange {
                    first: n as u32,
                    len: 1,
                },
                1,
            ),
            key: Some(RequestKey(u128::MAX / u128::from(n + 3))),
            at: 1_764_590_400_000,
            place: n as u32,
        }),
    };
    let events = (1..=events).map(|n| event(1_000_000 + n)).collect();
    event::encode(
        SaleUid(u128::MAX / 3),
        ShardId(1),
        &Record::Batch { epoch, owner, events },
    )
    .into()
}
