//! PostgreSQL dies or stands still around commits, and two workers do the same work.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::books::check;
use common::*;
use flashsale_core::event::Event;
use flashsale_orders::{Orders, PaymentOutcome, Result};
use flashsale_servers::PostgresServer;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often the server is killed.
const KILLS: u64 = 20;
/// The moments, and what is done meanwhile, come from this.
const SEED: u64 = 0x5eed_0f0a_dead_cafe;

/// splitmix64: enough for moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The shard's log: what its owner has promised. It outlives the database.
#[derive(Default)]
struct Log {
    events: Vec<Event>,
    released: BTreeSet<u64>,
}

impl Log {
    fn reserve(&mut self, count: u64) {
        let last = self.events.len() as u64;
        self.events
            .extend((last + 1..=last + count).map(|n| reserved(n, n as u32)));
    }
}

/// Repeats a call until the server does it.
async fn until<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(error.kind().may_pass(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Applies, makes, pays and closes until told to stop; returns what was acknowledged.
async fn work(
    orders: &Orders,
    log: &mut Log,
    stop: &AtomicBool,
    random: &mut Random,
    clock: &AtomicU64,
) -> (u64, BTreeSet<u64>) {
    let mut paid = BTreeSet::new();
    let mut applied = 0;
    while !stop.load(Ordering::Acquire) {
        let now = clock.fetch_add(10, Ordering::Relaxed);
        log.reserve(1 + random.below(30));
        for release in until(async || orders.releases(100).await).await {
            if log.released.insert(release.ticket.n) {
                let n = log.events.len() as u64 + 1;
                log.events.push(released(n, release.ticket, release.reason));
            }
        }
        let all = &log.events;
        let result = until(async || try_apply(orders, all).await).await;
        applied = result.row.applied;
        assert_eq!((applied, result.stall), (all.len() as u64, None));
        // From the database, as after a restart: an answer may have been lost with its connection.
        let recovered = until(async || orders.recover(|_| ()).await).await;
        let made = until(async || orders.make(&recovered.waiting, now, 25).await).await;
        for order in made.iter().filter(|_| random.below(2) == 0).collect::<Vec<_>>() {
            let money = payment(orders, &order.order_id, order.ticket.n, now);
            match until(async || orders.pay(&money).await).await {
                PaymentOutcome::Paid(_) => paid.insert(order.ticket.n),
                other => panic!("{other:?}"),
            };
        }
        until(async || orders.expire(now, 1_000).await).await;
    }
    (applied, paid)
}

async fn try_apply(orders: &Orders, events: &[Event]) -> Result<flashsale_orders::Applied> {
    use flashsale_orders::{Counted, ShardBatch};
    let opened = Counted::Opened { epoch: E1, base: 0 };
    let steps = vec![opened, Counted::Events { epoch: E1, events }];
    let mut applied = orders.apply(&[ShardBatch { shard: SHARD, steps }]).await?;
    Ok(applied.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_around_commits_loses_nothing_and_does_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = PostgresServer::start(dir.path(), &["orders"]).await.unwrap();
    let orders = Orders::open(&server.url("orders"), sale()).await.unwrap();
    let mut random = Random(SEED);
    let (mut log, mut paid, clock) = (Log::default(), BTreeSet::new(), AtomicU64::new(100));
    for kill in 0..KILLS {
        let stop = AtomicBool::new(false);
        let mut moments = Random(SEED ^ kill);
        let killer = async {
            tokio::time::sleep(Duration::from_micros(5_000 + moments.below(60_000))).await;
            server.kill().unwrap();
            server.restart().await.unwrap();
            stop.store(true, Ordering::Release);
        };
        let ((), (acknowledged, new)) =
            tokio::join!(killer, work(&orders, &mut log, &stop, &mut random, &clock));
        paid.extend(new);
        let again = Orders::open(&server.url("orders"), sale()).await.unwrap();
        check(&again, acknowledged, &paid).await;
    }
    assert!(
        !paid.is_empty() && !log.released.is_empty(),
        "seed {SEED:#x} did everything"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_log_have_one_effect() {
    let home = Home::new(Backend::Postgres).await;
    let one = home.open().await;
    let two = home.open().await;
    let mut log = Log::default();
    log.reserve(4_000);
    let log = log.events;
    let worker = async |orders: Orders, step: usize| {
        let mut new = Vec::new();
        let mut to = 0;
        while to < log.len() {
            to = (to + step).min(log.len());
            let applied = until(async || try_apply(&orders, &log[..to]).await).await;
            assert_eq!((applied.stall, applied.dead.len()), (None, 0));
            // Both try to make the last of them, in another order.
            let mut turn: Vec<_> = (1..=to as u64).rev().take(300).map(waiting).collect();
            if step > 100 {
                turn.reverse();
            }
            let made = until(async || orders.make(&turn, 100, TIMEOUT).await).await;
            new.push((applied.reserved.len(), made.len()));
        }
        new
    };
    let (first, second) = tokio::join!(worker(one, 97), worker(two, 131));
    let sum = |part: fn(&(usize, usize)) -> usize| first.iter().chain(&second).map(part).sum::<usize>();
    assert_eq!((sum(|p| p.0), sum(|p| p.1)), (log.len(), log.len()));
    let orders = home.open().await;
    let totals = orders.totals().await.unwrap();
    assert_eq!(
        (totals.items[0].pending.orders, totals.items[0].live_units),
        (4_000, 4_000)
    );
    assert_eq!(orders.due(100, 9_999).await.unwrap().len(), 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_fails_calls_in_time_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(dir.path(), &["orders"]).await.unwrap();
    let orders = Orders::open(&server.url("orders"), sale()).await.unwrap();
    let mut log = Log::default();
    log.reserve(10);
    try_apply(&orders, &log.events).await.unwrap();
    server.freeze();
    log.reserve(10);
    let error = try_apply(&orders, &log.events).await.unwrap_err();
    assert!(error.kind().may_pass(), "{error}");
    assert!(orders.due(1, 1).await.is_err(), "known to be down");
    server.thaw();
    let applied = until(async || try_apply(&orders, &log.events).await).await;
    assert_eq!(applied.row.applied, 20);
    assert_eq!(orders.totals().await.unwrap().items[0].live_units, 20);
}
