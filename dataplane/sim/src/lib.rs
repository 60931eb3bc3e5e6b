//! Whole sales, simulated: the protocol core under buyers, workers, closers, payments and every fault
//! that a seed draws, checked while they run and at rest.
//!
//! Everything is in one thread and one memory; time, messages, crashes and lost answers are drawn from
//! the seed. The same seed is the same run, so a printed seed is a complete bug report.
//! `docs/simulation.md` describes faults and checkers.

mod answers;
mod audit;
pub mod breaks;
mod buyers;
pub mod check;
mod database;
mod dice;
mod faults;
mod ledger;
mod owners;
mod partition;
mod scenario;
mod shop;
pub mod stats;
mod wire;
mod world;

use breaks::Break;
use check::{Checker, Violation};
use stats::Stats;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What came of one run.
#[derive(Debug)]
pub struct Report {
    /// What was violated, in order of time; empty if all is well.
    pub violations: Vec<Violation>,
    /// What happened.
    pub stats: Stats,
}

/// Plays the sale of `seed`, with a rule left out if `bug` says so. With `trace`, each step is printed.
///
/// A panic of the core, such as a failed assertion, is a violation like any other.
#[must_use]
pub fn run(seed: u64, bug: Option<Break>, trace: bool) -> Report {
    let mut world = World::new(seed, bug, trace);
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        world.violation(Checker::Panic, text.unwrap_or_default());
    }
    Report {
        violations: std::mem::take(&mut world.ledger.violations),
        stats: world.stats,
    }
}
