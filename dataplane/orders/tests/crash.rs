//! Killed without warning, again and again: the cursor and the orders agree, and nothing acknowledged is lost.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::Event;
use flashsale_core::order::State;
use flashsale_orders::{Orders, PaymentOutcome};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// How often the worker is killed.
const KILLS: usize = 12;
/// Where the child finds its database.
const DIR: &str = "FLASHSALE_TEST_DIR";

/// The worker: applies, makes, pays and expires as fast as it can, and says each number once it is committed.
#[tokio::test]
#[ignore = "the killed half of the test below"]
async fn child() {
    let dir = std::env::var(DIR).expect("started by the test below");
    let orders = open(Path::new(&dir)).await;
    let mut n = orders.rows().await.unwrap()[0].1.applied;
    loop {
        let mut events: Vec<Event> = (n + 1..=n + 20).map(|n| reserved(n, n as u32)).collect();
        // Every release that waits is applied with the next batch.
        for release in orders.releases(100).await.unwrap() {
            let n = events.len() as u64 + n + 1;
            events.push(released(n, release.ticket, release.reason));
        }
        n += events.len() as u64;
        let applied = apply(&orders, &events).await;
        say("applied", n);
        let made = orders.make(&applied.reserved, n, 1).await.unwrap();
        for order in made.iter().step_by(2) {
            let money = payment(&orders, &order.order_id, order.ticket.n, n);
            assert!(matches!(
                orders.pay(&money).await.unwrap(),
                PaymentOutcome::Paid(_)
            ));
            say("paid", order.ticket.n);
        }
        orders.expire(n + 1, 1000).await.unwrap();
    }
}

fn say(what: &str, n: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{what} {n}").and_then(|()| out.flush()).unwrap();
}

#[tokio::test]
async fn a_killed_worker_leaves_books_that_agree_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut applied, mut paid) = (0, BTreeSet::new());
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Another moment of the loop each time.
        let mut left = 5 + 7 * kill;
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            let Some((what, n)) = line.split_once(' ') else {
                continue;
            };
            match (what, n.parse::<u64>()) {
                ("applied", Ok(n)) => applied = n,
                ("paid", Ok(n)) => drop(paid.insert(n)),
                _ => continue,
            }
            heard += 1;
            left = left.saturating_sub(1);
            if left == 0 {
                // What it still says on its way is read too.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= 5 + 7 * kill, "the worker ended by itself");
        check(&open(dir.path()).await, applied, &paid).await;
    }
}

async fn check(orders: &Orders, acknowledged: u64, paid: &BTreeSet<u64>) {
    let mut all = Vec::new();
    let recovered = orders.recover(|order| all.push(order)).await.unwrap();
    let cursor = recovered.rows[0].1.applied;
    assert!(
        cursor >= acknowledged,
        "applied {cursor}, acknowledged {acknowledged}"
    );
    // Every number up to the cursor is an order, or the release of one.
    let mut live = BTreeSet::new();
    orders
        .live_units(|_, _, unit, ticket| {
            live.insert((unit, ticket.n));
        })
        .await
        .unwrap();
    let waits: BTreeSet<u64> = recovered.releases.iter().map(|r| r.ticket.n).collect();
    let mut released = 0;
    for order in &all {
        let n = order.ticket.n;
        let held = live.contains(&(order.units[0].first, n));
        match order.state {
            State::Closed(_) => assert_eq!(held, waits.contains(&n), "order {n}"),
            _ => assert!(held, "order {n}"),
        }
        released += u64::from(!held);
    }
    assert_eq!(all.len() as u64 + released, cursor);
    assert!(all.iter().all(|o| o.ticket.n <= cursor));
    let mut recorded = BTreeSet::new();
    orders
        .payments(|p| {
            recorded.insert(p.ticket.n);
        })
        .await
        .unwrap();
    assert!(paid.is_subset(&recorded));
    let states: BTreeSet<u64> = all
        .iter()
        .filter(|o| o.state == State::Paid)
        .map(|o| o.ticket.n)
        .collect();
    assert_eq!(states, recorded);
    orders.close().await;
}
