//! Payment against closing, at the same instant.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::Event;
use flashsale_core::order::State;
use flashsale_orders::{Cancelled, PaymentOutcome, Waiting};
use std::sync::Arc;
use tokio::sync::Barrier;

/// How many orders are fought over.
const ROUNDS: u64 = 1000;

async fn payment_against_closing_has_one_winner_and_late_money_is_refund_due(on: Backend) {
    let home = Home::new(on).await;
    let orders = Arc::new(home.open().await);
    let events: Vec<Event> = (1..=ROUNDS).map(|n| reserved(n, n as u32)).collect();
    let waiting: Vec<Waiting> = apply(&orders, &events).await.reserved;
    orders.make(&waiting, 0, 5).await.unwrap();
    let (mut paid, mut refunds) = (0, 0);
    let start = Arc::new(Barrier::new(2));
    for n in 1..=ROUNDS {
        let money = payment(&orders, &format!("p{n}"), n, 7);
        let payer = tokio::spawn({
            let (orders, start) = (orders.clone(), start.clone());
            async move {
                start.wait().await;
                orders.pay(&money).await.unwrap()
            }
        });
        let closer = tokio::spawn({
            let (orders, start) = (orders.clone(), start.clone());
            async move {
                start.wait().await;
                orders.cancel(SHARD, ticket(n), 7).await.unwrap()
            }
        });
        let (outcome, cancelled) = (payer.await.unwrap(), closer.await.unwrap());
        let state = orders.order(SHARD, ticket(n)).await.unwrap().unwrap().state;
        match (outcome, cancelled, state) {
            (PaymentOutcome::Paid(_), Cancelled::Paid, State::Paid) => paid += 1,
            (PaymentOutcome::RefundDue(_), Cancelled::Closed { again: false, .. }, State::Closed(_)) => {
                refunds += 1;
            }
            other => panic!("order {n}: {other:?}"),
        }
    }
    let totals = orders.totals().await.unwrap();
    assert_eq!((totals.accepted.0, totals.refund_due.0), (paid, refunds));
    assert_eq!(
        (totals.items[0].paid.orders, totals.items[0].closed.orders),
        (paid, refunds)
    );
    assert_eq!((totals.releases, paid + refunds), (refunds, ROUNDS));
}

async fn one_payment_reported_by_many_at_once_is_recorded_once(on: Backend) {
    let home = Home::new(on).await;
    let orders = Arc::new(home.open().await);
    apply(&orders, &[reserved(1, 1)]).await;
    orders.make(&[waiting(1)], 0, 5).await.unwrap();
    let reports: Vec<_> = (0..20)
        .map(|_| {
            let (orders, money) = (orders.clone(), payment(&orders, "p", 1, 7));
            tokio::spawn(async move { orders.pay(&money).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for report in reports {
        match report.await.unwrap() {
            PaymentOutcome::Paid(recorded) => first += u32::from(!recorded.again),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((first, orders.totals().await.unwrap().accepted), (1, (1, 69_900)));
}

on_both! {
    payment_against_closing_has_one_winner_and_late_money_is_refund_due,
    one_payment_reported_by_many_at_once_is_recorded_once,
}
