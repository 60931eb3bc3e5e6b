//! Killed without warning, again and again: the cursor and the orders agree, and nothing acknowledged is lost.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::books::check;
use common::*;
use flashsale_core::event::Event;
use flashsale_core::ids::OwnerId;
use flashsale_orders::{Orders, PaymentOutcome};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

/// How often the worker is killed.
const KILLS: usize = 12;
/// Where the child finds its database.
const TARGET: &str = "FLASHSALE_TEST_TARGET";

/// The worker: applies, makes, pays and expires as fast as it can, and says each number once it is committed.
#[tokio::test]
#[ignore = "the killed half of the test below"]
async fn child() {
    let target = std::env::var(TARGET).expect("started by the test below");
    let orders = Orders::open(&target, sale()).await.unwrap();
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

fn spawn(home: &Home) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(TARGET, home.target())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn a_killed_worker_leaves_books_that_agree_and_loses_nothing_acknowledged(on: Backend) {
    let home = Home::new(on).await;
    let (mut applied, mut paid) = (0, BTreeSet::new());
    for kill in 0..KILLS {
        let mut child = spawn(&home);
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
        check(&home.open().await, applied, &paid).await;
    }
}

/// The worker is stopped in the middle of a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stands_still_holds_its_rows_for_seconds_only() {
    let home = Home::new(Backend::Postgres).await;
    let orders = home.open().await;
    let signal = |child: &Child, name: &str| {
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    // An apply that has begun to write: its transaction holds the shard's row.
    let applying = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' \
         AND (query LIKE 'INSERT INTO orders%' OR query LIKE 'INSERT INTO live_units%' OR query LIKE '%UPDATE shards%')";
    for _ in 0..2 {
        let mut child = spawn(&home);
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut tries = 0;
        loop {
            lines.next().expect("it works");
            signal(&child, "-STOP");
            if home.server().sql("postgres", applying).unwrap() != "0" {
                break;
            }
            signal(&child, "-CONT");
            tries += 1;
            assert!(tries < 5_000, "it never stood still in an apply");
        }
        // Waits for the shard's row, which the worker holds when it stands in an apply.
        let claimed = orders.claim(SHARD, OwnerId(2)).await.unwrap();
        let before = claimed.row.applied;
        let next = apply(&orders, &[reserved(before + 1, before as u32 + 1)]).await;
        assert_eq!((next.row.applied, next.dead.len()), (before + 1, 0));
        signal(&child, "-CONT");
        // It finds its transaction gone, or goes on behind what was done meanwhile.
        let _ = lines.next();
        child.kill().unwrap();
        child.wait().unwrap();
        check(&home.open().await, before + 1, &BTreeSet::new()).await;
    }
}

on_both! {
    a_killed_worker_leaves_books_that_agree_and_loses_nothing_acknowledged,
}
