//! Seeds that must hold, and broken variants that mustn't.

use flashsale_sim::breaks::{Break, CAUGHT};
use flashsale_sim::check::Checker;
use flashsale_sim::stats::{Fault, Stat, Stats};

/// A broken variant must be caught within so many seeds.
const SEEDS_TO_CATCH: u64 = 4_000;

#[test]
fn every_promise_holds_in_every_seed() {
    let mut stats = Stats::default();
    for seed in 0..5_000 {
        let report = flashsale_sim::run(seed, None, false);
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:?}",
            report.violations[0]
        );
        stats.add_run(&report.stats);
    }
    for stat in Stat::ALL {
        assert!(stats.of(*stat) > 0, "never happened: {}", stat.name());
    }
    for fault in Fault::ALL {
        assert!(
            stats.faults[*fault as usize] > 0,
            "never struck: {}",
            fault.name()
        );
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..50 {
        let (a, b) = (
            flashsale_sim::run(seed, None, false),
            flashsale_sim::run(seed, None, false),
        );
        assert_eq!(a.stats.counts, b.stats.counts);
        assert_eq!(a.stats.faults, b.stats.faults);
    }
}

#[test]
fn every_broken_variant_is_caught_by_its_checkers() {
    std::panic::set_hook(Box::new(|_| {}));
    for (bug, checker) in CAUGHT {
        let caught = (0..SEEDS_TO_CATCH).find(|&seed| {
            let report = flashsale_sim::run(seed, Some(*bug), false);
            report.violations.iter().any(|v| v.checker == *checker)
        });
        println!("{:<24} {:<26} seed {caught:?}", bug.name(), checker.name());
        assert!(
            caught.is_some(),
            "{} isn't caught by {}",
            bug.name(),
            checker.name()
        );
    }
}

#[test]
fn every_checker_and_every_variant_is_shown_to_work() {
    for checker in Checker::ALL.iter().filter(|c| **c != Checker::Panic) {
        assert!(
            CAUGHT.iter().any(|(_, c)| c == checker),
            "no variant trips {}",
            checker.name()
        );
    }
    for bug in Break::ALL {
        assert!(
            CAUGHT.iter().any(|(b, _)| b == bug),
            "{} trips no checker",
            bug.name()
        );
    }
}
