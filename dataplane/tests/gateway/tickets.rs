//! Tickets and what they say.

use crate::calls::Answer;
use crate::stand::{Setup, Stand};
use flashsale_core::event::ReleaseReason;
use flashsale_core::order::State;
use reqwest::Method;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_ticket_goes_from_queued_to_paid() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let path = format!("/v1/tickets/{ticket}");
    let reserved = async {
        loop {
            let seen = stand.get(&path, "alice").await;
            match seen.body["state"].as_str() {
                // As often as a buyer may ask.
                Some("queued") => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => return seen,
            }
        }
    };
    let reserved = tokio::time::timeout(Duration::from_secs(10), reserved)
        .await
        .unwrap();
    assert_eq!(reserved.body["state"], "reserved");
    assert_eq!(
        (&reserved.body["position"], &reserved.body["ahead"]),
        (&1.into(), &0.into())
    );
    assert!(reserved.body["orderId"].is_null() && reserved.body["waitSeconds"].is_number());
    assert_eq!(reserved.body["links"]["events"], format!("{path}/events"));
    assert_eq!(reserved.body["links"]["page"], format!("/ticket#{ticket}"));

    stand.post(&ticket, "alice", State::Pending);
    let ordered = stand.get(&path, "alice").await;
    assert_eq!(ordered.body["state"], "ordered");
    assert!(ordered.body["orderId"].is_string() && ordered.body["payByMs"].is_u64());
    assert!(ordered.body["position"].is_null() && ordered.body["waitSeconds"].is_null());

    let paid = stand.post_body(&format!("/dev/pay/{ticket}"), "alice", "").await;
    assert_eq!((paid.status, &paid.body["state"]), (200, &"paid".into()));
    let cancel = Answer::of(stand.call(Method::DELETE, &path, "alice")).await;
    assert_eq!(cancel.problem(), (409, "not-cancellable"));
}

#[tokio::test]
async fn the_position_is_the_place_less_those_served() {
    let stand = Stand::start(Setup::default()).await;
    for i in 0..4 {
        stand.buy(&format!("buyer-{i}")).await;
    }
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let place = stand.number(&ticket, "alice").place;
    let position =
        async || stand.get(&format!("/v1/tickets/{ticket}"), "alice").await.body["position"].clone();
    assert_eq!(position().await, place);
    stand.shared.stock[0].served.store(2, Ordering::Relaxed);
    assert_eq!(position().await, place.saturating_sub(2).max(1));
    stand.shared.stock[0].served.store(1_000, Ordering::Relaxed);
    assert_eq!(position().await, 1);
}

#[tokio::test]
async fn forged_and_foreign_tickets_are_unknown() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let mut forged = ticket.clone().into_bytes();
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let mut elsewhere = stand.number(&ticket, "alice");
    elsewhere.shard = flashsale_core::ids::ShardId(9);
    let elsewhere = stand.sign(&elsewhere, "alice");
    for (ticket, buyer) in [
        (ticket.as_str(), "mallory"),
        (&forged, "alice"),
        (&ticket[1..], "alice"),
        ("x", "alice"),
        ("%41", "alice"),
        (&elsewhere, "alice"),
    ] {
        for (method, suffix) in [(Method::GET, ""), (Method::GET, "/events"), (Method::DELETE, "")] {
            let path = format!("/v1/tickets/{ticket}{suffix}");
            let answer = Answer::of(stand.call(method, &path, buyer)).await;
            assert_eq!(answer.problem(), (404, "unknown-ticket"), "{path} {buyer}");
        }
    }
    let anonymous = stand.get(&format!("/v1/tickets/{ticket}"), "").await;
    assert_eq!(anonymous.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_ticket_that_the_database_does_not_know_yet_is_cancelled_once_it_does() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let cancel = tokio::spawn(Answer::of(stand.call(
        Method::DELETE,
        &format!("/v1/tickets/{ticket}"),
        "alice",
    )));
    // Answered by the stand-in for the worker before the database has it, as it is asked again and again.
    tokio::task::yield_now().await;
    stand.post(&ticket, "alice", State::Reserved);
    let cancelled = cancel.await.unwrap();
    assert_eq!(
        (cancelled.status, &cancelled.body["state"]),
        (200, &"closed".into())
    );
    let again = Answer::of(stand.call(Method::DELETE, &format!("/v1/tickets/{ticket}"), "alice")).await;
    assert_eq!((again.status, &again.body["reason"]), (200, &"cancelled".into()));
}

#[tokio::test]
async fn closed_tickets_say_why() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    for (reason, word) in [
        (ReleaseReason::Unpaid, "unpaid"),
        (ReleaseReason::Backlog, "backlog"),
        (ReleaseReason::Refused, "refused"),
    ] {
        stand.post(&ticket, "alice", State::Closed(reason));
        let seen = stand.get(&format!("/v1/tickets/{ticket}"), "alice").await;
        assert_eq!(
            (&seen.body["state"], &seen.body["reason"]),
            (&"closed".into(), &word.into())
        );
    }
}

#[tokio::test]
async fn a_ticket_that_the_database_never_learns_of_is_busy_and_stays() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let path = format!("/v1/tickets/{ticket}");
    let cancel = Answer::of(stand.call(Method::DELETE, &path, "alice")).await;
    assert_eq!(cancel.problem(), (503, "busy"));
    assert_eq!(stand.get(&path, "alice").await.body["state"], "reserved");
}
