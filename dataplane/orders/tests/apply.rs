//! Applying: once, in order, past poison, never an oversell.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::{Event, ReleaseReason};
use flashsale_core::ids::{Epoch, OwnerId};
use flashsale_core::order::State;
use flashsale_core::row::RowRefusal;
use flashsale_orders::{Counted, ErrorKind, Orders, Poison, ShardBatch, Stall};

async fn books(orders: &Orders) -> String {
    let mut books = Vec::new();
    let recovered = orders
        .recover(|order| books.push(format!("{order:?}")))
        .await
        .unwrap();
    orders
        .live_units(|s, i, u, t| books.push(format!("{s:?} {i:?} {u} {t:?}")))
        .await
        .unwrap();
    books.push(format!("{recovered:?} {:?}", orders.dead_events().await.unwrap()));
    books.join("\n")
}

async fn duplicates_and_late_deliveries_change_nothing(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    let events: Vec<Event> = (1..=6).map(|n| reserved(n, n as u32)).collect();
    apply(&orders, &events[..4]).await;
    let before = books(&orders).await;
    for delivery in [&events[..4], &events[..2], &events[1..3]] {
        let applied = apply(&orders, delivery).await;
        assert!(applied.reserved.is_empty() && applied.stall.is_none());
    }
    let applied = apply(&orders, &events[5..]).await;
    assert_eq!(
        applied.stall,
        Some(Stall { epoch: E1, n: 6 }),
        "event 5 is missing"
    );
    assert_eq!(books(&orders).await, before);

    let overlapping = apply(&orders, &events[2..]).await;
    let new: Vec<u64> = overlapping.reserved.iter().map(|w| w.ticket.n).collect();
    assert_eq!((new, overlapping.row.applied), (vec![5, 6], 6));
}

async fn events_of_another_epoch_wait_for_its_opening(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 1), reserved(2, 2)]).await;
    let later = [reserved(3, 3)];
    let of_epoch = |epoch| Counted::Events {
        epoch,
        events: &later,
    };
    let batch = |steps| [ShardBatch { shard: SHARD, steps }];
    let applied = orders.apply(&batch(vec![of_epoch(Epoch(2))])).await.unwrap();
    assert_eq!(
        applied[0].stall,
        Some(Stall {
            epoch: Epoch(2),
            n: 3
        })
    );
    let wrong_base = Counted::Opened {
        epoch: Epoch(2),
        base: 3,
    };
    let applied = orders
        .apply(&batch(vec![wrong_base, of_epoch(Epoch(2))]))
        .await
        .unwrap();
    assert_eq!(applied[0].row.applied, 2);
    let opened = Counted::Opened {
        epoch: Epoch(2),
        base: 2,
    };
    // What an older epoch left behind its successor's opening is passed over: it was cut, or comes again as a copy.
    let applied = orders
        .apply(&batch(vec![opened, of_epoch(E1), of_epoch(Epoch(2))]))
        .await
        .unwrap();
    assert_eq!(
        (
            applied[0].row.applied,
            applied[0].row.applied_epoch,
            applied[0].stall
        ),
        (3, Epoch(2), None)
    );
}

async fn an_oversell_is_refused_alone_and_the_shard_moves_on(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 5)]).await;
    // 2 wants 4 and 5, which 1 holds; so 3 gets 4; 4 wants it too; 5 is fine.
    let events = [
        reserved_as(2, reservation(2, 0, &[(4, 2)])),
        reserved(3, 4),
        reserved(4, 4),
        reserved(5, 6),
    ];
    let applied = apply(&orders, &events).await;
    let new: Vec<u64> = applied.reserved.iter().map(|w| w.ticket.n).collect();
    assert_eq!((new, applied.row.applied), (vec![3, 5], 5));
    assert_eq!(
        applied.dead,
        [(ticket(2), Poison::Oversell), (ticket(4), Poison::Oversell)]
    );
    let mut live = Vec::new();
    orders
        .live_units(|_, _, unit, ticket| live.push((unit, ticket.n)))
        .await
        .unwrap();
    assert_eq!(live, [(4, 3), (5, 1), (6, 5)]);
    let refused = orders.order(SHARD, ticket(2)).await.unwrap().unwrap();
    assert_eq!(refused.state, State::Closed(ReleaseReason::Refused));
    let dead = orders.dead_events().await.unwrap();
    assert_eq!((dead.len(), dead[0].units.as_deref()), (2, Some("4-5")));
    assert!(
        orders.releases(9).await.unwrap().is_empty(),
        "the units are quarantined, not freed"
    );
    assert_eq!(orders.totals().await.unwrap().dead_events, 2);
}

async fn impossible_events_are_buried_and_hold_nobody_up(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    let mut nobody = reservation(4, 0, &[(40, 1)]);
    nobody.buyer_id = "a\0b".into();
    let events = [
        reserved_as(1, reservation(1, 9, &[(1, 1)])),
        reserved_as(2, reservation(2, 0, &[])),
        reserved_as(3, reservation(3, 0, &[(1, 3), (2, 1)])),
        reserved_as(4, nobody),
        reserved_as(5, reservation(5, 0, &[(u32::MAX, 2)])),
        reserved_as(6, reservation(6, 0, &[(0, 70_000)])),
        released(7, ticket(99), ReleaseReason::Unpaid),
        reserved(8, 1),
    ];
    let applied = apply(&orders, &events).await;
    let why: Vec<Poison> = applied.dead.iter().map(|d| d.1).collect();
    let units = Poison::Units;
    assert_eq!(
        why,
        [
            Poison::Item,
            units,
            units,
            Poison::Buyer,
            units,
            units,
            Poison::Unknown
        ]
    );
    assert_eq!((applied.reserved.len(), applied.row.applied), (1, 8));
    let closed = orders.order(SHARD, ticket(4)).await.unwrap().unwrap();
    assert_eq!(closed.state, State::Closed(ReleaseReason::Refused));
    assert_eq!(orders.totals().await.unwrap().items[0].live_units, 1);
}

async fn the_release_of_a_paid_order_is_buried_and_its_unit_stays_sold(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 1)]).await;
    orders.make(&[waiting(1)], 10, TIMEOUT).await.unwrap();
    orders.pay(&payment(&orders, "p", 1, 20)).await.unwrap();
    let applied = apply(
        &orders,
        &[released(2, ticket(1), ReleaseReason::Unpaid), reserved(3, 1)],
    )
    .await;
    let dead: Vec<_> = applied.dead.iter().map(|d| d.1).collect();
    assert_eq!(dead, [Poison::Paid, Poison::Oversell]);
}

async fn one_batch_has_the_outcome_of_its_events_one_by_one(on: Backend) {
    let reason = ReleaseReason::Unpaid;
    // A unit that comes back and is sold again within the batch, and one that is sold twice before.
    let events = [
        reserved(1, 1),
        reserved(2, 2),
        released(3, ticket(1), reason),
        reserved(4, 1),
        reserved(5, 2),
        released(6, ticket(2), reason),
        reserved(7, 2),
        released(8, ticket(4), reason),
        reserved(9, 1),
    ];
    let homes = (Home::new(on).await, Home::new(on).await);
    let (at_once, one_by_one) = (homes.0.open().await, homes.1.open().await);
    // With 2 known before the batch, so that its release needn't be looked up within.
    apply(&at_once, &events[..2]).await;
    apply(&at_once, &events).await;
    for n in 1..=events.len() {
        apply(&one_by_one, &events[..n]).await;
    }
    assert_eq!(books(&at_once).await, books(&one_by_one).await);
    let dead: Vec<u64> = at_once
        .dead_events()
        .await
        .unwrap()
        .iter()
        .map(|d| d.event.n)
        .collect();
    assert_eq!(dead, [5]);
}

async fn a_claim_is_refused_once_somebody_else_has_claimed(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    let first = orders
        .claim_after(SHARD, Epoch(0), OwnerId(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.epoch, E1);
    let late = orders.claim_after(SHARD, Epoch(0), OwnerId(2)).await.unwrap();
    assert_eq!(late, Err(RowRefusal::Claimed));
    assert_eq!(
        orders.claim(SHARD, OwnerId(u64::MAX)).await.unwrap().row.owner,
        OwnerId(u64::MAX)
    );
    assert_eq!(orders.rows().await.unwrap()[0].1.claimed, Epoch(2));
    let unknown = orders
        .claim(flashsale_core::ids::ShardId(7), OwnerId(1))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Broken);
}

on_both! {
    duplicates_and_late_deliveries_change_nothing,
    events_of_another_epoch_wait_for_its_opening,
    an_oversell_is_refused_alone_and_the_shard_moves_on,
    impossible_events_are_buried_and_hold_nobody_up,
    the_release_of_a_paid_order_is_buried_and_its_unit_stays_sold,
    one_batch_has_the_outcome_of_its_events_one_by_one,
    a_claim_is_refused_once_somebody_else_has_claimed,
}
