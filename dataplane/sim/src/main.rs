//! Plays the sales of a range of seeds and says what happened in them.

use clap::Parser;
use flashsale_sim::stats::{Fault, OUTCOMES, Stat, Stats};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A seeded simulation of whole sales: the protocol core under load and faults, with checkers.
#[derive(Debug, Parser)]
#[command(name = "flashsale-sim")]
struct Args {
    /// The seeds to play, as FROM..TO.
    #[arg(long, value_parser = seeds, default_value = "0..10000")]
    seeds: Range<u64>,
    /// How many threads play.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Plays this one seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints each step of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// Seeds that a thread takes at a time.
const CHUNK: u64 = 256;
/// Time between two lines of progress: on a terminal, and elsewhere.
const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return one(seed, args.trace);
    }
    let total = args.seeds.end.saturating_sub(args.seeds.start);
    let (next, done, failed) = (
        AtomicU64::new(args.seeds.start),
        AtomicU64::new(0),
        AtomicBool::new(false),
    );
    let all = Mutex::new((Stats::default(), Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| play(&args.seeds, &next, &done, &failed, &all));
        }
        progress(total, &done, &failed, began);
    });
    let (stats, mut bad) = all.into_inner().unwrap_or_default();
    print_stats(&stats, began.elapsed());
    bad.sort_unstable();
    match bad.first() {
        None => ExitCode::SUCCESS,
        Some(seed) => {
            println!("{} seed(s) violate a promise; the first:", bad.len());
            one(*seed, false)
        }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} isn't a range of seeds: write it as 0..1000000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |t: &str| t.replace('_', "").parse::<u64>().map_err(|_| wrong());
    let (from, to) = (number(from)?, number(to)?);
    if from < to { Ok(from..to) } else { Err(wrong()) }
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let report = flashsale_sim::run(seed, None, trace);
    for v in &report.violations {
        println!("seed {seed} step {}: {}: {}", v.step, v.checker.name(), v.what);
    }
    if report.violations.is_empty() {
        println!("seed {seed}: {} steps, all checks hold", report.stats.steps);
        return ExitCode::SUCCESS;
    }
    println!("replay with: flashsale-sim --seed {seed} --trace");
    ExitCode::FAILURE
}

fn play(
    seeds: &Range<u64>,
    next: &AtomicU64,
    done: &AtomicU64,
    failed: &AtomicBool,
    all: &Mutex<(Stats, Vec<u64>)>,
) {
    let (mut stats, mut bad) = (Stats::default(), Vec::new());
    while !failed.load(Ordering::Relaxed) {
        let from = next.fetch_add(CHUNK, Ordering::Relaxed);
        if from >= seeds.end {
            break;
        }
        for seed in from..(from + CHUNK).min(seeds.end) {
            let report = flashsale_sim::run(seed, None, false);
            stats.add_run(&report.stats);
            if !report.violations.is_empty() {
                bad.push(seed);
                failed.store(true, Ordering::Relaxed);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    if let Ok(mut all) = all.lock() {
        all.0.add_all(&stats);
        all.1.extend(bad);
    }
}

/// Says how far the run is, until it is done.
fn progress(total: u64, done: &AtomicU64, failed: &AtomicBool, began: Instant) {
    let terminal = std::io::stdout().is_terminal();
    let every = if terminal { BAR_EVERY } else { LINE_EVERY };
    let mut last = began;
    loop {
        let count = done.load(Ordering::Relaxed);
        let over = count >= total || failed.load(Ordering::Relaxed);
        if over || last.elapsed() >= every {
            last = Instant::now();
            print_progress(count, total, began.elapsed(), terminal);
        }
        if over {
            if terminal {
                println!();
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn print_progress(count: u64, total: u64, elapsed: Duration, terminal: bool) {
    let rate = count as f64 / elapsed.as_secs_f64().max(0.001);
    let percent = count * 100 / total.max(1);
    if terminal {
        let bar = "█".repeat((percent / 4) as usize);
        print!("\r{bar:·<25} {percent:>3} %  {count} of {total} seeds, {rate:.0}/s ");
        // A terminal that can't be written to changes nothing about the result.
        let _ = std::io::stdout().flush();
    } else {
        println!("{percent:>3} %  {count} of {total} seeds, {rate:.0} seeds/s");
    }
}

fn print_stats(stats: &Stats, elapsed: Duration) {
    let per_seed = elapsed.as_secs_f64() * 1e3 / stats.runs.max(1) as f64;
    println!(
        "\n{} seeds, {} steps, {:.1} s, {per_seed:.3} ms per seed",
        stats.runs,
        stats.steps,
        elapsed.as_secs_f64()
    );
    println!("\nwhat happened");
    for stat in Stat::ALL {
        println!("  {:<28} {:>14}", stat.name(), stats.of(*stat));
    }
    println!("\nfaults: how often, and in how many seeds together with which outcome");
    print!("  {:<40} {:>11}", "", "times");
    OUTCOMES.iter().for_each(|(name, _)| print!(" {name:>9}"));
    println!();
    for (fault, row) in Fault::ALL.iter().zip(&stats.coverage) {
        print!("  {:<40} {:>11}", fault.name(), stats.faults[*fault as usize]);
        row.iter().for_each(|count| print!(" {count:>9}"));
        println!();
    }
}
