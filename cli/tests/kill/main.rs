//! The server is killed without a warning at random moments, also while it starts, recovers or settles, and
//! started again on the same data. Whatever a buyer was shown as reserved is there at the end.
//!
//! `FLASHSALE_KILL_ROUNDS` rounds are played from seed `FLASHSALE_KILL_SEED` on, `FLASHSALE_KILL_AT_ONCE` at a
//! time. A round's plan follows from its seed; where exactly a kill hits is up to the machine.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

#[path = "../common/mod.rs"]
mod common;
mod plan;
mod round;

use common::evidence::AtRest;
use common::{Place, shop, yaml};
use flashsale_buyers::{TicketHistory, TicketState};
use plan::Plan;
use round::{Phase, Seen};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| {
        text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}"))
    })
}

/// What all rounds showed.
#[derive(Default)]
struct Sum {
    rounds: usize,
    failed: Vec<u64>,
    kills: BTreeMap<Phase, usize>,
    back_after: Vec<Duration>,
    promised: usize,
    paid: usize,
    retries: u64,
}

impl Sum {
    fn add(&mut self, plan: &Plan, seen: Seen) {
        let verdict = if seen.problems.is_empty() { "ok" } else { "FAILED" };
        println!(
            "seed {}: {verdict}; {} shards, killed {:?}, served again after {:?}, {} promised, {} paid, {} retries",
            plan.seed, plan.shards, seen.kills, seen.back_after, seen.promised, seen.paid, seen.retries
        );
        for problem in seen.problems.iter().take(20) {
            println!("  {problem}");
        }
        self.rounds += 1;
        if !seen.problems.is_empty() {
            self.failed.push(plan.seed);
        }
        for phase in seen.kills {
            *self.kills.entry(phase).or_default() += 1;
        }
        self.back_after.extend(seen.back_after);
        self.promised += seen.promised;
        self.paid += seen.paid;
        self.retries += seen.retries;
    }

    fn print(&mut self) {
        self.back_after.sort_unstable();
        let back = &self.back_after;
        let quantile = |q: f64| back.get((back.len() as f64 * q) as usize).or(back.last());
        println!(
            "{} rounds, {} failed {:?}; kills {:?}; {} restarts that served, after {:?} (half), {:?} (p99), {:?} (worst); \
             {} tickets shown as reserved, {} as paid; {} requests sent again",
            self.rounds,
            self.failed.len(),
            self.failed,
            self.kills,
            back.len(),
            quantile(0.5),
            quantile(0.99),
            back.last(),
            self.promised,
            self.paid,
            self.retries
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_as_reserved_survives_kills_at_any_moment() {
    let (rounds, first) = (
        number("FLASHSALE_KILL_ROUNDS", 12),
        number("FLASHSALE_KILL_SEED", 1),
    );
    let at_once = number("FLASHSALE_KILL_AT_ONCE", 2).max(1) as usize;
    let mut sum = Sum::default();
    let mut playing = JoinSet::new();
    for seed in first..first + rounds {
        while playing.len() >= at_once {
            let (plan, seen) = playing.join_next().await.unwrap().unwrap();
            sum.add(&plan, seen);
        }
        playing.spawn(async move {
            let plan = Plan::of(seed);
            let seen = round::play(&plan).await;
            (plan, seen)
        });
    }
    while let Some(played) = playing.join_next().await {
        let (plan, seen) = played.unwrap();
        sum.add(&plan, seen);
    }
    sum.print();
    assert!(
        sum.failed.is_empty(),
        "replay with FLASHSALE_KILL_ROUNDS=1 FLASHSALE_KILL_SEED={}",
        sum.failed[0]
    );
    assert!(
        sum.promised > 0,
        "no ticket was ever promised: nothing was tested"
    );
}

/// What the rounds look for is found where it is.
#[tokio::test]
async fn a_promise_that_the_log_or_the_order_database_lost_is_found() {
    let place = Place::new(&yaml("small", &[("phone", 10)]));
    let tickets = shop::sell_and_settle(&place).await;
    let shown = |buyer: &str, ticket: &str, state| TicketHistory {
        buyer: buyer.to_owned(),
        key: String::new(),
        ticket: ticket.to_owned(),
        item: "phone".to_owned(),
        order_id: None,
        states: vec![(state, 1)],
        sure_until_ns: 0,
    };
    let mut rest = AtRest::read(&place.data()).await;
    for (buyer, ticket) in &tickets {
        assert_eq!(rest.unkept(&shown(buyer, ticket, TicketState::Reserved)), None);
        let unpaid = rest.unkept(&shown(buyer, ticket, TicketState::Paid));
        assert_eq!(unpaid.is_some(), *buyer == "cleo", "{unpaid:?}");
    }
    let (buyer, ticket) = &tickets[0];
    let reserved = shown(buyer, ticket, TicketState::Reserved);
    let problem = rest.unkept(&shown("bob", ticket, TicketState::Reserved)).unwrap();
    assert!(problem.contains("not this buyer's ticket"), "{problem}");
    rest.evidence.orders.retain(|order| order.buyer_id != *buyer);
    let problem = rest.unkept(&reserved).unwrap();
    assert!(problem.contains("not in the order database"), "{problem}");
    rest.evidence.events.iter_mut().for_each(Vec::clear);
    let problem = rest.unkept(&reserved).unwrap();
    assert!(problem.contains("not in the log"), "{problem}");
    assert_eq!(rest.unkept(&shown(buyer, ticket, TicketState::Queued)), None);
}
