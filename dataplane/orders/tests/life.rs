//! An order's life in the database, and what is told of it.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::ReleaseReason;
use flashsale_core::ids::OwnerId;
use flashsale_core::order::State;
use flashsale_orders::{Cancelled, Kind, PaymentOutcome, PaymentRefusal};
use std::collections::BTreeMap;

fn sent<T: Send>(future: T) -> T {
    future
}

async fn an_order_is_reserved_made_paid_and_told_of(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    assert_eq!(orders.claim(SHARD, OwnerId(9)).await.unwrap().epoch, E1);
    let applied = sent(apply(&orders, &[reserved(1, 5), reserved(2, 6)])).await;
    assert_eq!((applied.row.applied, applied.reserved.len()), (2, 2));

    let made = sent(orders.make(&[waiting(1)], 100, TIMEOUT)).await.unwrap();
    assert_eq!((made.len(), made[0].expires_at), (1, 1100));
    assert_eq!(orders.ticket_of(&made[0].order_id), Some((SHARD, ticket(1))));
    assert!(orders.make(&[waiting(1)], 200, TIMEOUT).await.unwrap().is_empty());

    let outcome = sent(orders.pay(&payment(&orders, "p1", 1, 150))).await.unwrap();
    assert!(matches!(outcome, PaymentOutcome::Paid(r) if r.ticket == ticket(1) && !r.again));
    let order = orders.order(SHARD, ticket(1)).await.unwrap().unwrap();
    assert_eq!((order.state, order.paid_at), (State::Paid, Some(150)));
    assert_eq!(
        orders.cancel(SHARD, ticket(1), 160).await.unwrap(),
        Cancelled::Paid
    );

    let told: Vec<(Kind, u64)> = orders
        .due(200, 10)
        .await
        .unwrap()
        .iter()
        .map(|m| (m.kind, m.id))
        .collect();
    assert_eq!(told, [(Kind::Handover, 1), (Kind::Paid, 2)]);
    let totals = orders.totals().await.unwrap();
    assert_eq!(
        (
            totals.items[0].paid.amount,
            totals.items[0].live_units,
            totals.accepted
        ),
        (69_900, 2, (1, 69_900))
    );
}

async fn a_released_unit_can_be_sold_again_once_the_release_is_applied(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 5)]).await;
    sent(orders.cancel(SHARD, ticket(1), 50)).await.unwrap();
    assert_eq!(orders.releases(10).await.unwrap().len(), 1);
    assert_eq!(orders.totals().await.unwrap().items[0].live_units, 1);

    let events = [released(2, ticket(1), ReleaseReason::Cancelled), reserved(3, 5)];
    let applied = apply(&orders, &events).await;
    assert_eq!((applied.released, applied.dead), (vec![ticket(1)], vec![]));
    assert!(orders.releases(10).await.unwrap().is_empty());
    let mut live = BTreeMap::new();
    sent(orders.live_units(|_, _, unit, ticket| {
        live.insert(unit, ticket);
    }))
    .await
    .unwrap();
    assert_eq!(live, BTreeMap::from([(5, ticket(3))]));
}

async fn money_that_does_not_fit_is_refused_and_late_money_is_a_refund_due(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 5)]).await;
    let good = payment(&orders, "p1", 1, 10);
    let refusal = async |payment| match orders.pay(&payment).await.unwrap() {
        PaymentOutcome::Refused(refusal) => Some(refusal),
        _ => None,
    };
    assert_eq!(refusal(good.clone()).await, Some(PaymentRefusal::NotMade));
    orders.make(&[waiting(1)], 100, TIMEOUT).await.unwrap();
    let mut wrong = good.clone();
    wrong.amount = 1;
    assert_eq!(
        refusal(wrong).await,
        Some(PaymentRefusal::Amount { expected: 69_900 })
    );
    let mut wrong = good.clone();
    wrong.currency = "USD".into();
    assert_eq!(refusal(wrong).await, Some(PaymentRefusal::Currency));
    for id in [
        "",
        "0123456789ab-0-1-01",
        "x",
        "0123456789ab-0-1-1-",
        "0123456789ab-0-1-2",
        "0123456789ab-9-1-1",
    ] {
        let mut wrong = good.clone();
        wrong.order_id = id.into();
        assert_eq!(refusal(wrong).await, Some(PaymentRefusal::UnknownOrder), "{id}");
    }
    let closed = sent(orders.expire(1100, 10)).await.unwrap();
    assert_eq!(closed[0].state, State::Closed(ReleaseReason::Unpaid));
    for again in [false, true] {
        let outcome = orders.pay(&good).await.unwrap();
        assert!(matches!(outcome, PaymentOutcome::RefundDue(r) if r.again == again));
    }
    let mut reused = good.clone();
    reused.amount = 5;
    assert_eq!(refusal(reused).await, Some(PaymentRefusal::IdReused));
    assert_eq!(orders.totals().await.unwrap().refund_due, (1, 69_900));
}

async fn what_waits_too_long_is_closed_and_only_that(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    // Reserved at 11, 12, 13 and 14.
    apply(
        &orders,
        &(1..=4).map(|n| reserved(n, n as u32)).collect::<Vec<_>>(),
    )
    .await;
    orders.make(&[waiting(1)], 100, TIMEOUT).await.unwrap();
    let closed = sent(orders.close_backlog(14, 500, 10)).await.unwrap();
    let tickets: Vec<u64> = closed.iter().map(|o| o.ticket.n).collect();
    assert_eq!(tickets, [2, 3]);
    assert!(orders.expire(1099, 10).await.unwrap().is_empty());
    assert_eq!(orders.expire(1100, 10).await.unwrap().len(), 1);
    assert_eq!(orders.releases(10).await.unwrap().len(), 3);
    // The shop heard of one order only, so it hears of one end only.
    let kinds: Vec<Kind> = orders
        .due(2000, 10)
        .await
        .unwrap()
        .iter()
        .map(|m| m.kind)
        .collect();
    assert_eq!(kinds, [Kind::Handover, Kind::Closed]);
}

async fn a_restart_finds_everything_in_order(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    let mut late = reservation(1, 0, &[(1, 2), (9, 1)]);
    late.place = 7;
    apply(&orders, &[reserved_as(1, late), reserved(2, 20), reserved(3, 21)]).await;
    orders.make(&[waiting(3)], 100, TIMEOUT).await.unwrap();
    orders.cancel(SHARD, ticket(3), 150).await.unwrap();
    let secret = orders.ticket_secret().clone();
    orders.close().await;

    let mut again = sale();
    again.fresh_secret = flashsale_orders::TicketSecret([8; 32]);
    let orders = home.open_as(again).await;
    assert_eq!(*orders.ticket_secret(), secret);
    let mut seen = Vec::new();
    let recovered = sent(orders.recover(|order| seen.push(order))).await.unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].quantity, seen[0].units.len()), (3, 2));
    let waiting: Vec<u64> = recovered.waiting.iter().map(|w| w.ticket.n).collect();
    assert_eq!(waiting, [2, 1], "in order of place");
    assert_eq!(recovered.releases[0].ticket, ticket(3));
    assert_eq!(recovered.rows.len(), 2);
    assert_eq!((recovered.rows[0].1.applied, recovered.rows[1].1.applied), (3, 0));
}

on_both! {
    an_order_is_reserved_made_paid_and_told_of,
    a_released_unit_can_be_sold_again_once_the_release_is_applied,
    money_that_does_not_fit_is_refused_and_late_money_is_a_refund_due,
    what_waits_too_long_is_closed_and_only_that,
    a_restart_finds_everything_in_order,
}
