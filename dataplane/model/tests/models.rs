//! Every quick model is explored to its end: nothing breaks, and everything that must be possible happens.

use flashsale_model::models::{Task, all};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More than any quick model has.
const STATES_MAX: usize = 5_000_000;

fn holds(name: &str) {
    let tasks: Vec<Task> = all()
        .into_iter()
        .filter(|t| t.quick && t.config.name == name)
        .collect();
    assert!(!tasks.is_empty());
    for task in tasks {
        let begun = Instant::now();
        let report = task.explore(STATES_MAX);
        let (bounds, seconds) = (task.config.bounds(), begun.elapsed().as_secs_f64());
        println!(
            "{bounds}: {} states, depth {}, {seconds:.1} s",
            report.states, report.depth
        );
        if let Some((problem, way)) = report.violation {
            panic!("{bounds}: {problem}\n{}", way.join("\n"));
        }
        assert!(report.exhausted, "{bounds}: more than {STATES_MAX} states");
        let missing = report.seen().missing(&task.expected);
        assert!(missing.is_empty(), "{bounds}: never happened: {missing:?}");
    }
}

#[test]
fn takeovers_keep_every_promise() {
    holds("takeover");
}

#[test]
fn stock_is_loaded_once_whatever_crashes_in_between() {
    holds("loading");
}

#[test]
fn bypass_keeps_every_promise() {
    holds("bypass");
}

#[test]
fn transfers_lose_and_double_no_unit() {
    holds("transfer");
}

#[test]
fn an_order_is_paid_or_released_and_its_unit_comes_back() {
    holds("orders");
}

#[test]
fn a_buyer_whose_reservation_was_released_buys_again() {
    holds("rebuy");
}

#[test]
fn limits_and_keys_hold_across_takeovers() {
    holds("limits");
}
