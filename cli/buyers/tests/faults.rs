//! Servers that break one promise each; the crowd must name it.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use common::{Fault, SECRET, Server, Shop, now_ms};
use flashsale_buyers::{Crowd, CrowdConfig, Item, PaymentSecret, Shares, ViolationKind};

/// The kinds of violations seen at a server with this fault.
async fn seen(fault: Fault, shares: Shares) -> BTreeSet<ViolationKind> {
    // Who asks for another ticket must not be stopped by an empty shelf.
    let stock = if fault == Fault::AnotherTicket { 400 } else { 40 };
    let mut shop = Shop::new(fault, &[("a", stock)]);
    // Long enough that the first look (after 0.2 s) finds `reserved`.
    shop.step = Duration::from_millis(150);
    shop.opens_at_ms = now_ms() + 300;
    let server = Server::start(&Arc::new(shop));
    let mut config = CrowdConfig::new(server.address, "s", vec![Item::new("a", stock as u64)], 80);
    config.payment_secret = Some(PaymentSecret::new(SECRET));
    config.spread = Duration::from_millis(50);
    config.connections = 8;
    config.give_up_after = Duration::from_secs(30);
    config.opens_at_ms = now_ms() + 300;
    config.shares = shares;
    let outcome = Crowd::new(config).unwrap().run(pending()).await.unwrap();
    assert_eq!(outcome.violations_total, outcome.violations.len() as u64);
    let named = |v: &&flashsale_buyers::Violation| v.kind == ViolationKind::Oversold || !v.buyer.is_empty();
    assert!(
        outcome
            .violations
            .iter()
            .all(|v| named(&v) && !v.detail.is_empty())
    );
    outcome.violations.iter().map(|v| v.kind).collect()
}

fn only(kind: ViolationKind) -> BTreeSet<ViolationKind> {
    BTreeSet::from([kind])
}

#[tokio::test]
async fn a_server_that_keeps_its_promises_is_not_accused() {
    let shares = Shares {
        replays: 0.5,
        other_keys: 0.3,
        duplicates: 0.5,
        pay_twice: 1.0,
        early: 0.3,
        ..Shares::plain()
    };
    assert_eq!(seen(Fault::None, shares).await, BTreeSet::new());
}

#[tokio::test]
async fn overselling_is_caught() {
    assert_eq!(
        seen(Fault::Oversells, Shares::plain()).await,
        only(ViolationKind::Oversold)
    );
}

#[tokio::test]
async fn a_forgotten_reservation_is_caught() {
    assert_eq!(
        seen(Fault::Forgets, Shares::plain()).await,
        only(ViolationKind::Forgotten)
    );
}

#[tokio::test]
async fn another_ticket_on_a_retry_is_caught() {
    let shares = Shares {
        lost_answers: 1.0,
        ..Shares::plain()
    };
    assert!(
        seen(Fault::AnotherTicket, shares)
            .await
            .contains(&ViolationKind::AnotherTicket)
    );
}

#[tokio::test]
async fn another_ticket_for_another_key_is_over_the_limit() {
    let shares = Shares {
        other_keys: 1.0,
        ..Shares::plain()
    };
    assert!(
        seen(Fault::AnotherTicket, shares)
            .await
            .contains(&ViolationKind::OverLimit)
    );
}

#[tokio::test]
async fn sold_out_told_to_a_holder_is_caught() {
    let shares = Shares {
        replays: 1.0,
        ..Shares::plain()
    };
    assert_eq!(
        seen(Fault::SoldOutToHolder, shares).await,
        only(ViolationKind::SoldOutToHolder)
    );
    let shares = Shares {
        other_keys: 1.0,
        ..Shares::plain()
    };
    assert_eq!(
        seen(Fault::SoldOutToHolder, shares).await,
        only(ViolationKind::SoldOutToHolder)
    );
}

#[tokio::test]
async fn a_reservation_that_fails_is_caught() {
    assert_eq!(
        seen(Fault::FailsReserved, Shares::plain()).await,
        only(ViolationKind::PromiseBroken)
    );
}

#[tokio::test]
async fn moving_back_in_the_line_is_caught() {
    assert_eq!(
        seen(Fault::PositionGrows, Shares::plain()).await,
        only(ViolationKind::PositionGrew)
    );
}

#[tokio::test]
async fn selling_before_the_opening_is_caught() {
    let shares = Shares {
        early: 1.0,
        ..Shares::plain()
    };
    assert_eq!(
        seen(Fault::OpensEarly, shares).await,
        only(ViolationKind::SoldEarly)
    );
}

#[tokio::test]
async fn a_payment_answered_in_two_ways_is_caught() {
    let shares = Shares {
        pay_twice: 1.0,
        ..Shares::plain()
    };
    assert!(
        seen(Fault::ForgetsPayments, shares)
            .await
            .contains(&ViolationKind::PaymentAnswerChanged)
    );
}
