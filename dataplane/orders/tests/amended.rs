//! What is changed of a running sale, and what is switched off of it.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::ReleaseReason;
use flashsale_core::order::State;
use flashsale_orders::{PaymentOutcome, Routes};

async fn what_was_amended_is_written_in_place_of_what_was_known_only(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    assert_eq!(orders.amended().await.unwrap(), (0, String::new()));
    assert!(orders.amend(0, 3, "{\"a\": \"é\"}").await.unwrap());
    assert!(
        !orders.amend(0, 4, "{}").await.unwrap(),
        "somebody else was there before"
    );
    orders.close().await;
    let again = home.open().await;
    assert_eq!(again.amended().await.unwrap(), (3, "{\"a\": \"é\"}".to_owned()));
    assert!(again.amend(3, 4, "{}").await.unwrap());
}

async fn a_sale_that_is_called_off_closes_what_is_not_paid_and_nothing_else(on: Backend) {
    let home = Home::new(on).await;
    let orders = home.open().await;
    apply(
        &orders,
        &[reserved(1, 1), reserved(2, 2), reserved(3, 3), reserved(4, 4)],
    )
    .await;
    orders
        .make(&[waiting(1), waiting(2)], 100, TIMEOUT)
        .await
        .unwrap();
    let paid = orders.pay(&payment(&orders, "p", 1, 150)).await.unwrap();
    assert!(matches!(paid, PaymentOutcome::Paid(_)));
    let closed = orders.close_unpaid_parts(200, 2).await;
    assert!(closed.failed.is_empty());
    assert_eq!(closed.done.len(), 2, "as many as asked for");
    let rest = orders.close_unpaid_parts(200, 10).await.done;
    let all: Vec<_> = closed
        .done
        .iter()
        .chain(&rest)
        .map(|order| (order.ticket.n, order.state))
        .collect();
    let cancelled = State::Closed(ReleaseReason::Cancelled);
    assert_eq!(all, [(2, cancelled), (3, cancelled), (4, cancelled)]);
    assert_eq!(orders.releases(10).await.unwrap().len(), 3);
    assert!(orders.close_unpaid_parts(300, 10).await.done.is_empty());
    // Money that comes now goes back.
    let late = orders.pay(&payment(&orders, "late", 2, 250)).await.unwrap();
    assert!(matches!(late, PaymentOutcome::RefundDue(_)));
}

async fn messages_to_one_target_are_found_among_all(on: Backend) {
    let home = Home::new(on).await;
    let to = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let mut sale = sale();
    sale.routes = Routes {
        handover: to(&["points", "handover"]),
        ..Routes::default()
    };
    let orders = home.open_as(sale).await;
    apply(&orders, &[reserved(1, 1), reserved(2, 2)]).await;
    orders
        .make(&[waiting(1), waiting(2)], 100, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(orders.due(100, 10).await.unwrap().len(), 4);
    let found = orders.due_to("handover", 100, 10).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|message| &*message.target == "handover"));
    assert!(
        orders.due_to("handover", 99, 10).await.unwrap().is_empty(),
        "not before its time"
    );
    let ids: Vec<u64> = found.iter().map(|message| message.id).collect();
    orders.delivered(&ids).await.unwrap();
    assert!(orders.due_to("handover", 100, 10).await.unwrap().is_empty());
    assert_eq!(
        orders.due(100, 10).await.unwrap().len(),
        2,
        "the others wait, untried"
    );
    assert!(
        orders
            .due(100, 10)
            .await
            .unwrap()
            .iter()
            .all(|message| message.attempts == 0)
    );
}

on_both! {
    what_was_amended_is_written_in_place_of_what_was_known_only,
    a_sale_that_is_called_off_closes_what_is_not_paid_and_nothing_else,
    messages_to_one_target_are_found_among_all,
}
