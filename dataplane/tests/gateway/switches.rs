//! What is switched, and how buyers hear of it.

use crate::calls::Answer;
use crate::stand::{CASE, PHONE, Setup, Stand};
use flashsale_core::order::State;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::shared::SalePhase;
use flashsale_dataplane::switches::{Document, Entry, Source};
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;

/// Switches `switches` at the next revision.
fn switch(stand: &Stand, switches: &[(&str, Value, Option<u64>)]) {
    let entries = switches.iter().map(|(switch, value, expires_ms)| Entry {
        switch: (*switch).to_owned(),
        value: value.clone(),
        expires_ms: *expires_ms,
        ..Entry::nobody(Source::FlashSaleSwitch)
    });
    let revision = stand.shared.switches.in_force().revision + 1;
    let entries = entries.collect();
    assert!(
        stand
            .shared
            .switches
            .declare(Document { revision, entries }, now_ms())
    );
}

#[tokio::test]
async fn a_paused_sale_takes_nothing_says_so_and_goes_on() {
    let stand = Stand::start(Setup::default()).await;
    let keyed = || stand.purchase("alice", PHONE, 1).header("Idempotency-Key", "k-1");
    let first = Answer::of(keyed()).await;
    switch(&stand, &[("sale.paused", true.into(), None)]);
    for request in [stand.purchase("bob", PHONE, 1), keyed()] {
        let paused = Answer::of(request).await;
        assert_eq!(paused.problem(), (503, "sale-paused"));
        assert_eq!(paused.header("retry-after"), "5");
        assert_eq!(paused.body["switched"], "sale.paused");
        let detail = paused.body["detail"].as_str().unwrap();
        assert!(detail.contains("this request took nothing"), "{detail}");
    }
    let ticket = stand
        .get(&format!("/v1/tickets/{}", first.ticket()), "alice")
        .await;
    assert_eq!(ticket.status, 200, "what was bought before stands");
    let counters = &stand.shared.counters;
    assert_eq!((counters.won.load(Relaxed), counters.busy.load(Relaxed)), (1, 2));
    switch(&stand, &[]);
    assert_eq!(Answer::of(keyed()).await.ticket(), first.ticket());
    assert_eq!(stand.buy("bob").await.status, 202);
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let stand = Stand::start(Setup::default()).await;
    let until = now_ms() + 700;
    switch(&stand, &[("sale.paused", true.into(), Some(until))]);
    assert_eq!(stand.buy("alice").await.problem(), (503, "sale-paused"));
    let mut answer = stand.buy("alice").await;
    while answer.status == 503 {
        stand.shared.switches.tick(now_ms());
        answer = stand.buy("alice").await;
    }
    assert_eq!(answer.status, 202);
    assert!(now_ms() >= until, "not before its time");
}

#[tokio::test]
async fn a_sale_that_is_switched_to_sold_out_says_that_it_was_switched() {
    let stand = Stand::start(Setup::default()).await;
    switch(&stand, &[("entry.soldOut", true.into(), None)]);
    let answer = stand.buy("alice").await;
    assert_eq!(answer.problem(), (410, "sold-out"));
    assert_eq!(answer.body["switched"], "entry.soldOut");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("switched") && detail.contains("took nothing"),
        "{detail}"
    );
    let really = {
        switch(&stand, &[]);
        stand.shared.stock[0].available.store(0, Relaxed);
        stand.buy("alice").await
    };
    assert_eq!(
        (really.problem(), really.body.get("switched")),
        ((410, "sold-out"), None)
    );
}

#[tokio::test]
async fn paused_is_said_rather_than_sold_out_and_neither_before_the_opening() {
    let mut setup = Setup::default();
    setup.sale.opens = now_ms() + 3_600_000;
    setup.sale.closes = now_ms() + 7_200_000;
    let early = Stand::start(setup).await;
    let both = [
        ("sale.paused", true.into(), None),
        ("entry.soldOut", true.into(), None),
    ];
    switch(&early, &both);
    assert_eq!(early.buy("alice").await.problem(), (425, "not-open"));
    let stand = Stand::start(Setup::default()).await;
    switch(&stand, &both);
    assert_eq!(stand.buy("alice").await.problem(), (503, "sale-paused"));
    stand.shared.advance(SalePhase::Draining);
    assert_eq!(stand.buy("alice").await.problem(), (410, "sale-closed"));
}

#[tokio::test]
async fn a_rate_limit_lets_so_many_purchases_through_and_the_rest_is_busy() {
    let mut setup = Setup::default();
    setup.sale.items[1].stock = 100_000;
    setup.sale.items[1].limit = 3;
    setup.options.limits.per_address = None;
    let stand = Stand::start(setup).await;
    switch(&stand, &[("entry.rateLimit", 50.into(), None)]);
    let (began, mut taken, mut busy) = (std::time::Instant::now(), 0, 0);
    let mut n = 0;
    while began.elapsed().as_millis() < 1_000 {
        n += 1;
        let answer = Answer::of(stand.purchase(&format!("buyer-{n}"), CASE, 1)).await;
        match answer.status {
            202 => taken += 1,
            503 => {
                assert_eq!(
                    (answer.problem(), answer.header("retry-after")),
                    ((503, "busy"), "1")
                );
                busy += 1;
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    let most = began.elapsed().as_secs_f64() * 50.0 + 6.0;
    assert!(
        (40.0..=most).contains(&f64::from(taken)),
        "{taken} of {n} in {:?}",
        began.elapsed()
    );
    assert!(busy > 0);
    switch(&stand, &[("entry.rateLimit", 0.into(), None)]);
    assert_eq!(stand.buy("nobody").await.problem(), (503, "busy"));
    switch(&stand, &[]);
    assert_eq!(stand.buy("somebody").await.status, 202);
}

#[tokio::test]
async fn only_static_pages_means_no_event_streams_and_a_sale_that_is_rendered_seldom() {
    let stand = Stand::start(Setup::default()).await;
    let bought = stand.buy("alice").await;
    let events = format!("/v1/tickets/{}/events", bought.ticket());
    switch(&stand, &[("pages.static", true.into(), None)]);
    let first = stand.get("/v1/sales/phone-launch", "").await;
    assert_eq!(stand.get(&events, "alice").await.problem(), (503, "busy"));
    stand.post(bought.ticket(), "alice", State::Paid);
    let ticket = stand
        .get(&format!("/v1/tickets/{}", bought.ticket()), "alice")
        .await;
    assert_eq!(ticket.body["state"], "paid", "tickets are told as ever");
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let later = stand.get("/v1/sales/phone-launch", "").await;
    assert_eq!(first.body["nowMs"], later.body["nowMs"]);
    for page in ["/", "/ticket", "/openapi.json"] {
        assert_eq!(stand.get(page, "").await.status, 200, "{page}");
    }
}

#[tokio::test]
async fn what_the_sale_itself_says_is_switched_from_the_start() {
    let mut setup = Setup::default();
    setup.sale.switches = serde_json::from_value(json!({"sale": {"paused": true}})).unwrap();
    let stand = Stand::start(setup).await;
    assert_eq!(stand.buy("alice").await.problem(), (503, "sale-paused"));
    assert_eq!(stand.shared.switches.in_force().all[0].source(), Source::Spec);
}
