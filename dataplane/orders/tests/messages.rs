//! The local message table.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_orders::{Delivery, Message, Orders, Replay, Retry};

async fn three(home: &Home) -> Orders {
    let orders = home.open().await;
    apply(&orders, &[reserved(1, 1), reserved(2, 2), reserved(3, 3)]).await;
    orders
        .make(&[waiting(1), waiting(2), waiting(3)], 100, TIMEOUT)
        .await
        .unwrap();
    orders
}

fn ids(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|m| m.id).collect()
}

async fn a_message_is_due_until_it_is_delivered_or_given_up(on: Backend) {
    let home = Home::new(on).await;
    let orders = three(&home).await;
    assert!(orders.due(99, 10).await.unwrap().is_empty());
    assert_eq!(ids(&orders.due(100, 2).await.unwrap()), [1, 2]);
    orders.delivered(&[1]).await.unwrap();
    orders
        .undelivered(2, &"é".repeat(400), Retry::At(500))
        .await
        .unwrap();
    orders.undelivered(3, "gone", Retry::Dead).await.unwrap();
    // Said too late, or twice: nothing changes.
    orders.undelivered(1, "late", Retry::Dead).await.unwrap();
    assert_eq!(orders.next_due().await.unwrap(), Some(500));
    let due = orders.due(500, 10).await.unwrap();
    assert_eq!((ids(&due), due[0].attempts), (vec![2], 1));
    assert!(due[0].last_error.as_ref().is_some_and(|e| e.len() == 500));

    assert_eq!(ids(&orders.dead_messages(10).await.unwrap()), [3]);
    assert_eq!(orders.replay(Replay::Ids(&[1, 2, 3]), 600).await.unwrap(), 1);
    assert_eq!(ids(&orders.due(600, 10).await.unwrap()), [2, 3]);
    orders.undelivered(3, "gone", Retry::Dead).await.unwrap();
    assert_eq!(orders.replay(Replay::All, 700).await.unwrap(), 1);
    let mut all = Vec::new();
    orders
        .messages(|m| all.push((m.id, m.state, m.attempts)))
        .await
        .unwrap();
    assert_eq!(
        all,
        [
            (1, Delivery::Delivered, 1),
            (2, Delivery::Due, 1),
            (3, Delivery::Due, 2)
        ]
    );
}

async fn a_handover_says_what_the_shop_needs(on: Backend) {
    let home = Home::new(on).await;
    let orders = three(&home).await;
    let first = &orders.due(100, 1).await.unwrap()[0];
    let payload: serde_json::Value = serde_json::from_str(&first.payload).unwrap();
    assert_eq!(
        payload,
        serde_json::json!({
            "sale": "phone-launch", "namespace": "shop", "orderId": "0123456789ab-0-1-1", "buyer": "buyer-1",
            "item": "phone", "quantity": 1, "amount": "699.00", "currency": "EUR", "payByMs": 1100,
        })
    );
}

on_both! {
    a_message_is_due_until_it_is_delivered_or_given_up,
    a_handover_says_what_the_shop_needs,
}
