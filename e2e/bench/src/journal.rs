//! The journal: commits a second and the time to a promise, against one write and `fdatasync` after the other to the
//! same disk.

use crate::Bench;
use crate::report::{Figure, Goal, Section};
use anyhow::{Context, bail};
use bytes::Bytes;
use flashsale_journal::{AppendError, Journal, Opened, Options};
use hdrhistogram::Histogram;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// As long as an event with its framing.
const RECORD_BYTES: usize = 200;
/// How long each part of a round takes.
const PART: Duration = Duration::from_millis(1_500);
/// Records a second while latency is measured: far from the limit.
const STEADY_PER_SECOND: u64 = 5_000;
/// How long an appender waits when the queue is full.
const FULL_PAUSE: Duration = Duration::from_micros(500);
/// Delivery later than this counts as this.
const LATENCY_US_MAX: u64 = 60_000_000;

#[derive(Debug, Default)]
struct Rounds {
    records: Vec<f64>,
    commits: Vec<f64>,
    bare: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    bare_mean: Vec<f64>,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let mut all = Rounds::default();
    for round in 0..bench.rounds {
        bench.progress.round(round, bench.rounds, "commits");
        let dir = bench.round_dir()?;
        let synced = bare(&dir.path().join("bare"))?;
        all.bare.push(synced);
        all.bare_mean.push(1e3 / synced);
        let (records, commits) = flat_out(&dir.path().join("flat-out"))?;
        all.records.push(records);
        all.commits.push(commits);
        let latency_us = steady(&dir.path().join("steady"))?;
        all.p50.push(latency_us.value_at_quantile(0.5) as f64 / 1e3);
        all.p99.push(latency_us.value_at_quantile(0.99) as f64 / 1e3);
    }
    let ratio = Figure::ratio("durable records/s, journal : one by one", &all.records, &all.bare);
    Ok(Section {
        name: "journal",
        method: format!(
            "Records of {RECORD_BYTES} bytes: first one write and one fdatasync for each, one by one; then the journal with \
             a queue that is never empty; then {STEADY_PER_SECOND} a second on a schedule, from when each was due until it \
             was delivered as durable."
        ),
        figures: vec![
            Figure::new("journal, queue kept full", "records/s", all.records),
            Figure::new("of which commits", "commits/s", all.commits),
            Figure::new("write and fdatasync one by one", "records/s", all.bare),
            ratio.goal(Goal::AtLeast(10.0)),
            Figure::new(
                format!("append to durable at {STEADY_PER_SECOND}/s, half"),
                "ms",
                all.p50,
            ),
            Figure::new(
                format!("append to durable at {STEADY_PER_SECOND}/s, 99 %"),
                "ms",
                all.p99,
            ),
            Figure::new("one write and fdatasync, mean", "ms", all.bare_mean),
        ],
        notes: Vec::new(),
    })
}

/// What the disk does without a journal: records a second.
fn bare(path: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    // Written before, so that only data has to reach the disk.
    file.write_all(&vec![0; 8 << 20])?;
    file.sync_all()?;
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    let record = [0x5A; RECORD_BYTES];
    let (start, mut records) = (Instant::now(), 0_u32);
    while start.elapsed() < PART / 2 {
        file.write_all(&record)?;
        file.sync_data()?;
        records += 1;
    }
    Ok(f64::from(records) / start.elapsed().as_secs_f64())
}

/// An appender that stops only while the queue is full: records and commits a second.
fn flat_out(dir: &Path) -> anyhow::Result<(f64, f64)> {
    let Opened {
        journal, committed, ..
    } = Journal::open(dir, Options::default())?;
    let record = Bytes::from(vec![0x5A; RECORD_BYTES]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| committed.iter().for_each(drop));
        while start.elapsed() < PART {
            match journal.append(0, record.clone()) {
                Ok(_) => {}
                Err(AppendError::Full { .. }) => std::thread::sleep(FULL_PAUSE),
                Err(other) => bail!("{other}"),
            }
        }
        journal.close()?;
        Ok(())
    })?;
    let (seconds, stats) = (start.elapsed().as_secs_f64(), journal.stats());
    Ok((stats.records as f64 / seconds, stats.batches as f64 / seconds))
}

/// Records on a schedule: microseconds from when each was due until it was delivered as durable.
fn steady(dir: &Path) -> anyhow::Result<Histogram<u64>> {
    let Opened {
        journal, committed, ..
    } = Journal::open(dir, Options::default())?;
    let record = Bytes::from(vec![0x5A; RECORD_BYTES]);
    let total = STEADY_PER_SECOND * PART.as_millis() as u64 / 1_000;
    let due = |number: u64| Duration::from_nanos(number * 1_000_000_000 / STEADY_PER_SECOND);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let subscriber = scope.spawn(|| -> anyhow::Result<Histogram<u64>> {
            let mut latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
            for batch in &committed {
                let now = start.elapsed();
                for record in batch? {
                    let micros = now.saturating_sub(due(record.position.0)).as_micros();
                    latency_us.saturating_record(u64::try_from(micros).unwrap_or(LATENCY_US_MAX).max(1));
                }
            }
            Ok(latency_us)
        });
        for number in 0..total {
            if let Some(early) = due(number).checked_sub(start.elapsed()) {
                std::thread::sleep(early);
            }
            journal.append(0, record.clone())?;
        }
        journal.close()?;
        match subscriber.join() {
            Ok(latency_us) => latency_us,
            Err(_) => bail!("the subscriber panicked"),
        }
    })
}
