//! A hundred thousand waiting buyers: whether what they are told comes true, and what they cost the server.
//!
//! Starts a real `flashsale up` for each run and buys over real HTTP. Exit 1 if a position ever grew, if anybody
//! wasn't served, or if half of the first promises were off by more than a fifth.

mod buyer;
mod crowd;
mod http;
mod memory;
mod promises;
mod report;
mod sale;
mod server;
mod streams;
mod waiting;
mod world;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use crowd::Plan;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// File descriptors that are left for other things than event streams.
const SPARE_FILES: u64 = 1_000;

/// The runs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Run {
    /// Nobody is served: what does waiting itself cost?
    Memory,
    /// Everybody asks every 5 to 10 s until the order is made
    Polling,
    /// Everybody waits on an event stream
    Events,
}

/// Let many buyers wait, and see whether they are told the truth.
#[derive(Debug, Parser)]
struct Args {
    /// The program to test
    #[arg(long, default_value = "target/release/flashsale")]
    flashsale: PathBuf,
    /// How many buyers wait
    #[arg(long, default_value_t = 100_000)]
    buyers: u32,
    /// The set rate at which orders are made
    #[arg(long, default_value_t = 80_000)]
    rate_per_minute: u32,
    /// Everybody has come within so many seconds
    #[arg(long, default_value_t = 5.0)]
    arrive_seconds: f64,
    /// Kept connections for purchases and polls
    #[arg(long, default_value_t = 300)]
    connections: u32,
    /// Event streams on connections of their own, as far as the limit on open files allows; the others share
    /// HTTP/2 connections
    #[arg(long, default_value_t = 100_000)]
    streams: u32,
    /// Only these runs
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Run>,
    /// Decides who buys what and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures here
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let files = rlimit::increase_nofile_limit(u64::MAX).context("the limit on open files")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut report = LocalSet::new().block_on(&runtime, runs(&args, files))?;
    report.judge();
    print!("{}", report.table());
    if let Some(file) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn runs(args: &Args, files: u64) -> anyhow::Result<Report> {
    let room = files.saturating_sub(SPARE_FILES + u64::from(args.connections) + u64::from(args.buyers) / 100);
    let streams = args
        .streams
        .min(args.buyers)
        .min(u32::try_from(room).unwrap_or(u32::MAX));
    let polling = Plan {
        connections: args.connections,
        arrive: Duration::from_secs_f64(args.arrive_seconds),
        streams: 0,
        shared_streams: 0,
        polls: true,
    };
    let events = Plan {
        streams,
        shared_streams: args.buyers - streams,
        ..polling
    };
    let wanted = |run| args.only.is_empty() || args.only.contains(&run);
    let program = args.flashsale.as_path();
    let mut report = Report::default();
    if wanted(Run::Memory) {
        eprintln!("memory: {} buyers, {streams} streams of their own", args.buyers);
        report.memory = Some(
            LocalSet::new()
                .run_until(memory::run(program, args.buyers, events, args.seed))
                .await?,
        );
    }
    for (run, plan) in [(Run::Polling, polling), (Run::Events, events)] {
        if !wanted(run) {
            continue;
        }
        eprintln!(
            "{run:?}: {} buyers, {} orders a minute",
            args.buyers, args.rate_per_minute
        );
        // A set of its own: what is left of a run's tasks ends with it.
        let local = LocalSet::new();
        let waited = waiting::run(program, args.buyers, args.rate_per_minute, plan, args.seed);
        let waited = local.run_until(waited).await?;
        match run {
            Run::Polling => report.polling = Some(waited),
            _ => report.events = Some(waited),
        }
    }
    Ok(report)
}
