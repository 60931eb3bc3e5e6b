//! Buying.

use crate::calls::Answer;
use crate::stand::{CASE, PHONE, Setup, Stand};
use flashsale_core::order::State;
use flashsale_core::view::ShardView;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::sale::Registration;
use flashsale_dataplane::shared::{SalePhase, UNKNOWN};
use reqwest::Method;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PURCHASES: &str = "/v1/sales/phone-launch/purchases";

#[tokio::test]
async fn a_purchase_gives_a_ticket_and_a_retry_the_same_one() {
    let stand = Stand::start(Setup::default()).await;
    let keyed = || stand.purchase("alice", PHONE, 1).header("Idempotency-Key", "k-1");
    let first = Answer::of(keyed()).await;
    assert_eq!((first.status, &first.body["state"]), (202, &"queued".into()));
    assert_eq!(first.body["amount"], "699.00");
    assert_eq!(first.body["currency"], "EUR");
    let again = Answer::of(keyed()).await;
    assert_eq!((again.status, again.ticket()), (200, first.ticket()));
    let without_key = stand.buy("alice").await;
    assert_eq!((without_key.status, without_key.ticket()), (200, first.ticket()));
    let counters = &stand.shared.counters;
    assert_eq!(counters.won.load(Ordering::Relaxed), 1);
    assert_eq!(counters.duplicate.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_key_used_for_something_else_is_a_conflict_and_the_first_purchase_stands() {
    let stand = Stand::start(Setup::default()).await;
    let buy = |quantity| {
        stand
            .purchase("alice", CASE, quantity)
            .header("Idempotency-Key", "k")
    };
    let first = Answer::of(buy(1)).await;
    assert_eq!(Answer::of(buy(2)).await.problem(), (409, "key-conflict"));
    assert_eq!(Answer::of(buy(1)).await.ticket(), first.ticket());
    let others = stand.purchase("bob", CASE, 2).header("Idempotency-Key", "k");
    assert_eq!(
        Answer::of(others).await.status,
        202,
        "another buyer's equal key is another key"
    );
}

#[tokio::test]
async fn sold_out_is_said_to_everybody_but_those_who_hold_a_ticket() {
    let stand = Stand::start(Setup::default()).await;
    let answers = futures_join((0..40).map(|i| {
        let name = format!("buyer-{i}");
        let request = stand.purchase(&name, PHONE, 1);
        async move { (name, Answer::of(request).await) }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, a)| a.status == 202);
    assert_eq!((won.len(), lost.len()), (10, 30));
    for (_, answer) in &lost {
        assert_eq!(answer.problem(), (410, "sold-out"));
    }
    for (name, answer) in &won {
        let again = stand.buy(name).await;
        assert_eq!((again.status, again.ticket()), (200, answer.ticket()));
    }
    let calls = stand.shared.counters.core_calls.load(Ordering::Relaxed);
    assert_eq!(stand.buy("somebody-else").await.problem(), (410, "sold-out"));
    assert_eq!(
        stand.shared.counters.core_calls.load(Ordering::Relaxed),
        calls,
        "from memory"
    );
    let sale = stand.get("/v1/sales/phone-launch", "").await;
    assert_eq!(sale.body["items"][1]["availability"], "Plenty");
}

async fn futures_join<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    futures.for_each(|future| drop(set.spawn(future)));
    set.join_all().await
}

#[tokio::test]
async fn a_cancelled_unit_is_sold_again() {
    let mut setup = Setup::default();
    setup.sale.items[0].stock = 1;
    // The test asks again and again, faster on some machines than a buyer may.
    setup.options.limits.per_buyer = None;
    let stand = Stand::start(setup).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    assert_eq!(stand.buy("bob").await.problem(), (410, "sold-out"));
    // Only what is durable can be released; the worker, which this stand has none of, would ask again until it is.
    let reserved = async {
        while stand.get(&format!("/v1/tickets/{ticket}"), "alice").await.body["state"] != "reserved" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), reserved)
        .await
        .expect("reserved");
    stand.post(&ticket, "alice", State::Reserved);
    let cancel = stand.call(Method::DELETE, &format!("/v1/tickets/{ticket}"), "alice");
    assert_eq!(Answer::of(cancel).await.body["reason"], "cancelled");
    // The release is on its way through the host; until it is there, sold out is the truth.
    let sold = async {
        while stand.buy("bob").await.status != 202 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), sold)
        .await
        .expect("sold again");
}

#[tokio::test]
async fn more_than_the_limit_is_refused() {
    let stand = Stand::start(Setup::default()).await;
    let much = Answer::of(stand.purchase("alice", CASE, 4)).await;
    assert_eq!(
        (much.problem(), &much.body["limit"]),
        ((422, "limit-exceeded"), &3.into())
    );
    assert_eq!(Answer::of(stand.purchase("alice", CASE, 2)).await.status, 202);
    let more = Answer::of(stand.purchase("alice", CASE, 2)).await;
    assert_eq!(
        more.problem(),
        (422, "limit-exceeded"),
        "together with what the buyer has"
    );
}

#[tokio::test]
async fn what_is_malformed_is_refused_and_nothing_is_taken() {
    let stand = Stand::start(Setup::default()).await;
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"item":"case"}"#,
        r#"{"item":"case","quantity":0}"#,
        r#"{"item":"case","quantity":-1}"#,
        r#"{"item":"case","quantity":1.0}"#,
        r#"{"item":"case","quantity":"1"}"#,
        r#"{"item":"case","quantity":4294967296}"#,
        r#"{"item":"case","quantity":1,"price":"0.01"}"#,
        r#"{"item":"case","item":"case","quantity":1}"#,
        r#"{"item":"case","quantity":1}x"#,
        &deep,
    ] {
        let answer = stand.post_body(PURCHASES, "alice", body).await;
        assert_eq!(answer.problem(), (400, "invalid-request"), "{body:.40}");
    }
    for key in ["", &"k".repeat(65), "a b", "a\tb"] {
        let request = stand.purchase("alice", CASE, 1).header("Idempotency-Key", key);
        assert_eq!(
            Answer::of(request).await.problem(),
            (400, "invalid-request"),
            "{key:?}"
        );
    }
    let unknown = Answer::of(stand.purchase("alice", "no-such-item", 1)).await;
    assert_eq!(unknown.problem(), (404, "unknown-item"));
    let large = stand.post_body(PURCHASES, "alice", &" ".repeat(4_097)).await;
    assert_eq!(large.problem(), (413, "body-too-large"));
    assert_eq!(stand.shared.counters.core_attempts.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn before_the_opening_buyers_learn_when_to_come_back() {
    let mut setup = Setup::default();
    setup.sale.opens = now_ms() + 60_000;
    let opens = setup.sale.opens;
    let stand = Stand::start(setup).await;
    let early = stand.buy("alice").await;
    assert_eq!(
        (early.problem(), &early.body["openTimeMs"]),
        ((425, "not-open"), &opens.into())
    );
    let wait = early.body["waitMs"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&wait), "{wait}");
    assert!((50..=60).contains(&early.header("retry-after").parse().unwrap()));
    assert_eq!(
        stand.get("/v1/sales/phone-launch", "").await.body["phase"],
        "Armed"
    );
}

#[tokio::test]
async fn behind_the_closing_only_tickets_are_given_back() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    stand.shared.advance(SalePhase::Draining);
    assert_eq!(stand.buy("bob").await.problem(), (410, "sale-closed"));
    assert_eq!(stand.buy("alice").await.ticket(), ticket);
    let counted = stand.shared.counters.not_open.load(Ordering::Relaxed);
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn while_their_shard_is_not_open_buyers_are_told_to_wait_and_never_that_it_is_sold_out() {
    let stand = Stand::start(Setup::default()).await;
    stand.shared.stock[0].available.store(UNKNOWN, Ordering::Release);
    for shard in &stand.shared.shards {
        shard.store(Arc::new(ShardView::unowned(stand.shared.stock.len())));
    }
    let busy = stand.buy("alice").await;
    assert_eq!((busy.problem(), busy.header("retry-after")), ((503, "busy"), "1"));
}

#[tokio::test]
async fn while_another_shard_is_not_open_buyers_of_an_open_one_are_served() {
    let stand = Stand::start(Setup::default()).await;
    stand.shared.stock[0].available.store(UNKNOWN, Ordering::Release);
    assert_eq!(stand.buy("alice").await.status, 202);
}

#[tokio::test]
async fn registered_buyers_only_means_what_it_says() {
    let mut setup = Setup::default();
    setup.sale.registration = Some(Registration {
        opens: now_ms() - 1_000,
        closes: now_ms() + 3_600_000,
        required: true,
        max: 2,
    });
    setup.sale.shards = 1;
    let stand = Stand::start(setup).await;
    let register = |buyer: &'static str| stand.post_body("/v1/sales/phone-launch/registrations", buyer, "");
    assert_eq!(stand.buy("alice").await.problem(), (403, "not-entitled"));
    let (first, again) = (register("alice").await, register("alice").await);
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.body, again.body, "the same entitlement each time");
    assert_eq!(stand.buy("alice").await.status, 202);
    let bob = register("bob").await;
    assert_ne!(bob.body["entitlement"], first.body["entitlement"]);
    assert_eq!(register("carol").await.problem(), (409, "registration-full"));
}

#[tokio::test]
async fn without_registration_there_is_nothing_to_register_for() {
    let stand = Stand::start(Setup::default()).await;
    let answer = stand
        .post_body("/v1/sales/phone-launch/registrations", "alice", "")
        .await;
    assert_eq!(answer.problem(), (425, "registration-not-open"));
}

#[tokio::test]
async fn every_purchase_request_is_counted_once() {
    let mut setup = Setup::default();
    setup.options.limits.per_buyer = Some(flashsale_dataplane::gateway::Rate {
        per_second: 1,
        burst: 6,
    });
    let stand = Stand::start(setup).await;
    let mut requests = 0;
    for i in 0..15 {
        for (item, quantity) in [(PHONE, 1), (CASE, 2), (CASE, 9), ("none", 1)] {
            stand
                .purchase(&format!("buyer-{i}"), item, quantity)
                .send()
                .await
                .unwrap();
            requests += 1;
        }
    }
    for _ in 0..8 {
        stand.buy("buyer-0").await;
        stand.post_body(PURCHASES, "", "{}").await;
        requests += 2;
    }
    let buckets = [
        "won",
        "sold_out",
        "duplicate",
        "limited",
        "not_open",
        "too_fast",
        "busy",
        "failed",
    ];
    let counters = &stand.shared.counters;
    let counted: Vec<(&str, u64)> = counters
        .each()
        .filter(|(name, _)| buckets.contains(name))
        .collect();
    assert_eq!(
        counted.iter().map(|(_, n)| n).sum::<u64>(),
        requests,
        "{counted:?}"
    );
    for name in ["won", "sold_out", "duplicate", "limited", "too_fast", "failed"] {
        assert!(
            counted.iter().any(|(n, count)| *n == name && *count > 0),
            "{name} in {counted:?}"
        );
    }
}
