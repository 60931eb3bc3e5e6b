//! How fast this disk commits: `cargo run --release -p flashsale-journal --example commit_rate -- [dir] [seconds]`.
//!
//! Two questions, with records of 200 bytes: how many records a second when appenders never wait (the queue is kept
//! full), and how long one record takes from its append to its delivery when they come at a steady, lower rate.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flashsale_journal::{AppendError, Journal, Opened, Options};
use hdrhistogram::Histogram;

const RECORD_BYTES: usize = 200;
const APPENDERS: u16 = 2;
/// Records a second, in the runs that measure latency.
const STEADY_RATES: [u64; 3] = [100, 5_000, 100_000];
const SECONDS_MAX: u64 = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let scratch = tempfile::tempdir_in(args.next().unwrap_or_else(|| ".".to_owned()))?;
    let seconds = args
        .next()
        .map_or(Ok(3), |text| text.parse::<u64>())?
        .min(SECONDS_MAX);
    let length = Duration::from_secs(seconds);
    flat_out(&scratch.path().join("flat-out"), length)?;
    for rate in STEADY_RATES {
        steady(&scratch.path().join(rate.to_string()), length, rate)?;
    }
    Ok(())
}

/// Appenders that only stop when the queue is full.
fn flat_out(dir: &Path, length: Duration) -> Result<(), Box<dyn Error>> {
    let Opened {
        journal, committed, ..
    } = Journal::open(dir, Options::default())?;
    let record = Bytes::from(vec![0x5A; RECORD_BYTES]);
    let start = Instant::now();
    let mut full = 0_u64;
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|partition| {
                let (journal, record) = (&journal, &record);
                scope.spawn(move || {
                    let mut full = 0_u64;
                    while start.elapsed() < length {
                        match journal.append(partition, record.clone()) {
                            Ok(_) => {}
                            Err(AppendError::Full { .. }) => {
                                full += 1;
                                std::thread::sleep(Duration::from_micros(500));
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                    full
                })
            })
            .collect();
        let drain = scope.spawn(|| committed.iter().for_each(drop));
        for appender in appenders {
            full += appender
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        let closed = journal.close();
        let took = start.elapsed().as_secs_f64();
        let stats = journal.stats();
        println!(
            "flat out, {APPENDERS} appenders: {:.0} records/s, {:.1} MB/s of records ({:.1} MB/s written), \
             {:.0} commits/s of {:.0} records, fdatasync mean {} us, max {} us, refused {full} times for a full queue",
            stats.records as f64 / took,
            stats.records as f64 * RECORD_BYTES as f64 / took / 1e6,
            stats.disk_bytes as f64 / took / 1e6,
            stats.batches as f64 / took,
            stats.records as f64 / stats.batches.max(1) as f64,
            stats.sync_us_total / stats.batches.max(1),
            stats.sync_us_max,
        );
        drop(drain.join());
        closed
    })?;
    Ok(())
}

/// One appender on a schedule: a record counts from when it was due, so that a stall is not left out.
fn steady(dir: &Path, length: Duration, rate: u64) -> Result<(), Box<dyn Error>> {
    let Opened {
        journal, committed, ..
    } = Journal::open(dir, Options::default())?;
    let record = Bytes::from(vec![0x5A; RECORD_BYTES]);
    let total = rate * length.as_secs();
    let due = |number: u64| Duration::from_nanos(number * 1_000_000_000 / rate);
    let start = Instant::now();
    let latency = std::thread::scope(|scope| {
        let subscriber = scope.spawn(|| {
            let mut latency_us = Histogram::<u64>::new_with_bounds(1, SECONDS_MAX * 1_000_000, 3)
                .unwrap_or_else(|error| panic!("{error}"));
            for batch in committed.iter().flatten() {
                let now = start.elapsed();
                for record in batch {
                    let micros = now.saturating_sub(due(record.position.0)).as_micros();
                    latency_us.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
                }
            }
            latency_us
        });
        for number in 0..total {
            if let Some(early) = due(number).checked_sub(start.elapsed()) {
                std::thread::sleep(early);
            }
            if let Err(error) = journal.append(0, record.clone()) {
                panic!("{error}");
            }
        }
        let closed = journal.close();
        subscriber
            .join()
            .map(|latency| (latency, closed))
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let (latency_us, closed) = latency;
    closed?;
    let stats = journal.stats();
    println!(
        "{rate} records/s: append to delivery p50 {} us, p99 {} us, p99.9 {} us, max {} us; {:.1} records a commit, \
         fdatasync mean {} us",
        latency_us.value_at_quantile(0.5),
        latency_us.value_at_quantile(0.99),
        latency_us.value_at_quantile(0.999),
        latency_us.max(),
        stats.records as f64 / stats.batches.max(1) as f64,
        stats.sync_us_total / stats.batches.max(1),
    );
    Ok(())
}
