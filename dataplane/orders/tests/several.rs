//! One sale in several databases.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::{Event, TicketNo};
use flashsale_core::ids::{OwnerId, ShardId};
use flashsale_core::order::State;
use flashsale_orders::{
    Cancelled, Counted, Delivery, ErrorKind, LoadState, Orders, Payment, PaymentOutcome, Replay, Retry, Sale,
    ShardBatch, Totals, Waiting,
};
use std::collections::BTreeSet;

const SHARDS: u16 = 5;
/// Reservations of each shard.
const EACH: u64 = 40;

fn wide() -> Sale {
    Sale {
        shards: SHARDS,
        ..sale()
    }
}

fn batches(events: &[Vec<Event>]) -> Vec<ShardBatch<'_>> {
    let all = events.iter().enumerate();
    all.map(|(shard, events)| ShardBatch {
        shard: ShardId(shard as u16),
        steps: vec![
            Counted::Opened { epoch: E1, base: 0 },
            Counted::Events { epoch: E1, events },
        ],
    })
    .collect()
}

fn reservations() -> Vec<Vec<Event>> {
    let events: Vec<Event> = (1..=EACH).map(|n| reserved(n, n as u32)).collect();
    vec![events; usize::from(SHARDS)]
}

fn money(orders: &Orders, shard: ShardId, ticket: TicketNo) -> Payment {
    Payment {
        id: format!("p{}-{}", shard.0, ticket.n),
        order_id: orders.order_id(shard, ticket),
        amount: 69_900,
        currency: "EUR".into(),
        at: 150,
    }
}

/// A sale from its first reservation to its last release; what the books say then, and what was told.
async fn live(orders: &Orders) -> (Totals, Vec<String>) {
    assert!(
        orders
            .move_load_state(LoadState::Unseeded, LoadState::Seeded)
            .await
            .unwrap()
    );
    for shard in 0..SHARDS {
        orders.claim(ShardId(shard), OwnerId(1)).await.unwrap();
    }
    let mut log = reservations();
    let applied = orders.apply(&batches(&log)).await.unwrap();
    let reserved: Vec<Waiting> = applied.iter().flat_map(|a| a.reserved.clone()).collect();
    assert_eq!(reserved.len() as u64, EACH * u64::from(SHARDS));
    let turn: Vec<Waiting> = reserved.iter().copied().filter(|w| w.ticket.n <= 30).collect();
    let made = orders.make(&turn, 100, TIMEOUT).await.unwrap();
    assert_eq!(made.len(), turn.len());

    let mut payments: Vec<Payment> = Vec::new();
    for order in made.iter().filter(|m| m.ticket.n <= 10) {
        payments.push(money(orders, order.shard, order.ticket));
    }
    payments.push(money(orders, ShardId(SHARDS), ticket(1)));
    let outcomes = orders.pay_all(&payments).await.unwrap();
    let (unknown, paid) = outcomes.split_last().unwrap();
    assert!(matches!(unknown, PaymentOutcome::Refused(_)));
    for (outcome, payment) in paid.iter().zip(&payments) {
        assert!(matches!(outcome, PaymentOutcome::Paid(r)
            if Some((r.shard, r.ticket)) == orders.ticket_of(&payment.order_id)));
    }
    for shard in (0..SHARDS).map(ShardId) {
        let cancelled = orders.cancel(shard, ticket(11), 160).await.unwrap();
        assert!(matches!(cancelled, Cancelled::Closed { again: false, .. }));
    }
    while !orders.expire(5_000, 7).await.unwrap().is_empty() {}
    while !orders.close_backlog(5_000, 5_001, 7).await.unwrap().is_empty() {}
    let late = money(orders, ShardId(3), ticket(20));
    assert!(matches!(
        orders.pay(&late).await.unwrap(),
        PaymentOutcome::RefundDue(_)
    ));

    // Every second release comes back through the log.
    for release in orders.releases(1_000).await.unwrap() {
        if release.ticket.n % 2 == 0 {
            let events = &mut log[usize::from(release.shard.0)];
            let n = events.len() as u64 + 1;
            events.push(released(n, release.ticket, release.reason));
        }
    }
    orders.apply(&batches(&log)).await.unwrap();
    let mut told = Vec::new();
    let keep = |m: flashsale_orders::Message| told.push(format!("{:?} {} {}", m.kind, m.target, m.payload));
    orders.messages(keep).await.unwrap();
    told.sort();
    (orders.totals().await.unwrap(), told)
}

async fn any_number_of_databases_has_the_same_books(on: Backend) {
    let mut first = None;
    for databases in [1, 2, 4] {
        let home = Home::of(on, databases).await;
        let orders = home.open_as(wide()).await;
        let books = live(&orders).await;
        assert_eq!(books.0.items[0].paid.orders, 10 * u64::from(SHARDS));
        assert!(books.0.releases > 0 && books.0.refund_due.0 == 1);
        let rows = orders.rows().await.unwrap();
        let shards: Vec<u16> = rows.iter().map(|(shard, _)| shard.0).collect();
        assert_eq!(shards, (0..SHARDS).collect::<Vec<_>>());
        let mut seen = 0;
        let recovered = orders.recover(|_| seen += 1).await.unwrap();
        assert_eq!((seen, recovered.rows), (EACH * u64::from(SHARDS), rows));
        assert_eq!(recovered.releases, orders.releases(1_000).await.unwrap());
        match &first {
            None => first = Some(books),
            Some(first) => assert_eq!(*first, books, "{databases} databases"),
        }
        orders.close().await;
    }
}

async fn messages_of_all_databases_have_numbers_of_their_own(on: Backend) {
    let home = Home::of(on, 3).await;
    let orders = home.open_as(wide()).await;
    let log = reservations();
    let applied = orders.apply(&batches(&log)).await.unwrap();
    let reserved: Vec<Waiting> = applied.iter().flat_map(|a| a.reserved.clone()).collect();
    orders.make(&reserved, 100, TIMEOUT).await.unwrap();
    let due = orders.due(100, 1_000).await.unwrap();
    let ids: BTreeSet<u64> = due.iter().map(|m| m.id).collect();
    assert_eq!((due.len(), ids.len()), (reserved.len(), reserved.len()));
    assert_eq!(orders.due(100, 7).await.unwrap(), due[..7]);

    let (gone, sent) = (due[0].id, due[1..].iter().map(|m| m.id).collect::<Vec<_>>());
    orders.delivered(&sent).await.unwrap();
    orders.undelivered(gone, "gone", Retry::Dead).await.unwrap();
    assert_eq!(orders.next_due().await.unwrap(), None);
    let dead = orders.dead_messages(10).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].id, &dead[0].payload),
        (1, gone, &due[0].payload)
    );
    assert_eq!(
        orders.replay(Replay::Ids(&[gone, sent[0]]), 200).await.unwrap(),
        1
    );
    let again = orders.due(200, 10).await.unwrap();
    assert_eq!(
        (again.len(), again[0].id, again[0].state),
        (1, gone, Delivery::Due)
    );
    orders.undelivered(gone, "gone", Retry::Dead).await.unwrap();
    assert_eq!(orders.replay(Replay::All, 300).await.unwrap(), 1);
}

async fn other_databases_than_at_first_are_refused(on: Backend) {
    let mut home = Home::of(on, 3).await;
    let orders = home.open_as(wide()).await;
    let secret = orders.ticket_secret().clone();
    assert!(orders.move_phase("Armed", "Draining").await.unwrap());
    orders.close().await;
    let spare = Home::of(on, 1).await;
    let t = home.targets.clone();
    for wrong in [
        vec![&t[0]],
        vec![&t[0], &t[1]],
        vec![&t[1], &t[0], &t[2]],
        vec![&t[0], &t[0], &t[2]],
        vec![&t[0], &t[1], &t[2], &spare.targets[0]],
        vec![&t[0], &t[1], &spare.targets[0]],
        vec![&spare.targets[0], &t[1], &t[2]],
    ] {
        let wrong: Vec<&str> = wrong.into_iter().map(String::as_str).collect();
        let error = Orders::open_all(&wrong, wide()).await.expect_err("another set");
        assert_eq!(
            (error.kind(), error.kind().exit_status()),
            (ErrorKind::OtherSet, 78),
            "{error}"
        );
        assert!(
            error.to_string().contains("same databases in the same order"),
            "{error}"
        );
    }
    let error = Orders::open_all(&[], wide()).await.expect_err("no database");
    assert_eq!(error.kind(), ErrorKind::Address);

    // None of it was entered anywhere.
    home.targets = t;
    let mut again = wide();
    again.fresh_secret = flashsale_orders::TicketSecret([8; 32]);
    let orders = home.open_as(again).await;
    assert_eq!(
        (orders.ticket_secret(), orders.phase().await.unwrap()),
        (&secret, "Draining".into())
    );
    spare.open().await.close().await;
}

/// Two servers: the second one is down, then back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_holds_up_its_own_shards_only() {
    let dir = tempfile::tempdir().unwrap();
    let start = async |name: &str| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(
            dir.parent().unwrap(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        flashsale_servers::PostgresServer::start(&dir, &["orders"])
            .await
            .unwrap()
    };
    let (up, mut down) = (start("up").await, start("down").await);
    let orders = Orders::open_all(&[&up.url("orders"), &down.url("orders")], wide())
        .await
        .unwrap();
    let log = reservations();
    let few: Vec<Vec<Event>> = log.iter().map(|events| events[..10].to_vec()).collect();
    orders.apply(&batches(&few)).await.unwrap();

    down.kill().unwrap();
    let parts = orders.apply_parts(&batches(&log)).await;
    let done: Vec<u16> = parts.done.iter().map(|a| a.shard.0).collect();
    assert_eq!(done, [0, 2, 4]);
    assert!(
        parts
            .done
            .iter()
            .all(|a| a.row.applied == EACH && a.reserved.len() == 30)
    );
    assert_eq!(parts.failed[0].shards, [ShardId(1), ShardId(3)]);
    assert!(
        parts.failed[0].error.kind().may_pass(),
        "{}",
        parts.failed[0].error
    );
    // Whoever wants all or nothing loses nothing: what was made meanwhile is reported with the rest.
    let waits = |shard| Waiting {
        shard: ShardId(shard),
        ..waiting(1)
    };
    let turn = [waits(0), waits(1)];
    assert!(orders.make(&turn, 100, TIMEOUT).await.is_err());
    let paid = orders
        .pay_parts(&turn.map(|w| money(&orders, w.shard, w.ticket)))
        .await;
    assert!(matches!(paid[0], Ok(PaymentOutcome::Paid(_))) && paid[1].is_err());
    assert!(orders.expire_parts(9, 9).await.failed[0].shards == [ShardId(1), ShardId(3)]);
    assert_eq!(orders.due(500, 10).await.unwrap().len(), 2);
    assert_eq!(
        orders.cancel(ShardId(2), ticket(2), 120).await.unwrap(),
        Cancelled::Closed {
            reason: flashsale_core::event::ReleaseReason::Cancelled,
            again: false,
        }
    );

    down.restart().await.unwrap();
    let made = loop {
        if let Ok(made) = orders.make(&turn, 100, TIMEOUT).await {
            break made;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let shards: BTreeSet<u16> = made.iter().map(|m| m.shard.0).collect();
    assert_eq!((made.len(), shards), (2, BTreeSet::from([0, 1])));
    let applied = orders.apply(&batches(&log)).await.unwrap();
    assert!(applied.iter().all(|a| a.row.applied == EACH));
    let totals = orders.totals().await.unwrap();
    assert_eq!(totals.items[0].live_units, EACH * u64::from(SHARDS));
    let order = orders.order(ShardId(1), ticket(1)).await.unwrap().unwrap();
    assert_eq!(order.state, State::Pending);
}

on_both! {
    any_number_of_databases_has_the_same_books,
    messages_of_all_databases_have_numbers_of_their_own,
    other_databases_than_at_first_are_refused,
}
