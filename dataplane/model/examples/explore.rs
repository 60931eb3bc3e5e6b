//! Explores the models and prints a table.
//!
//! `explore` runs those of the tests, `explore full` all, `explore NAME` all of one name.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use flashsale_model::models::all;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of 16 to 20 bytes each, and the states of two layers beside: about 8 GB.
const STATES_MAX: usize = 20_000_000;

fn main() -> ExitCode {
    let which = std::env::args().nth(1).unwrap_or_default();
    let tasks = all()
        .into_iter()
        .filter(|t| which == "full" || t.config.name == which || (t.quick && which.is_empty()));
    println!("| model and bounds | states | steps | depth | seconds | verdict |");
    println!("|---|---|---|---|---|---|");
    let mut failed = false;
    for task in tasks {
        let begun = Instant::now();
        let report = task.explore(STATES_MAX);
        let missing = report.seen().missing(&task.expected);
        let verdict = match &report.violation {
            Some((problem, _)) => format!("BROKEN: {problem}"),
            None if !report.exhausted => "holds so far, not exhausted".into(),
            None if !missing.is_empty() => format!("holds, but never: {missing:?}"),
            None => "holds, exhausted".into(),
        };
        println!(
            "| {} | {} | {} | {} | {:.1} | {verdict} |",
            task.config.bounds(),
            report.states,
            report.steps,
            report.depth,
            begun.elapsed().as_secs_f64(),
        );
        for step in report.violation.iter().flat_map(|(_, way)| way) {
            println!("    {step}");
        }
        failed |= report.violation.is_some() || !missing.is_empty();
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
