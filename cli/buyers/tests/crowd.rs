//! A crowd against a server that keeps its promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Fault, SECRET, Server, Shop, now_ms};
use flashsale_buyers::{Address, Crowd, CrowdConfig, Item, Outcome, PaymentSecret, Shares, TicketState};

fn config(address: impl Into<Address>, items: Vec<Item>, buyers: u32) -> CrowdConfig {
    let mut config = CrowdConfig::new(address, "s", items, buyers);
    config.payment_secret = Some(PaymentSecret::new(SECRET));
    config.spread = Duration::from_millis(300);
    config.connections = 16;
    config.give_up_after = Duration::from_secs(60);
    config
}

async fn run(config: CrowdConfig) -> Outcome {
    Crowd::new(config).unwrap().run(pending()).await.unwrap()
}

#[tokio::test]
async fn a_crowd_of_every_kind_buys_the_stock_exactly_and_each_buyer_counts_once() {
    let mut shop = Shop::new(Fault::None, &[("a", 100), ("b", 50)]);
    shop.opens_at_ms = now_ms() + 400;
    let shop = Arc::new(shop);
    let server = Server::start(&shop);
    let mut config = config(
        server.address,
        vec![Item::new("a", 100), Item::new("b", 50)],
        2_000,
    );
    config.opens_at_ms = shop.opens_at_ms;
    config.threads = 2;
    config.shares = Shares {
        duplicates: 0.3,
        replays: 0.2,
        other_keys: 0.2,
        lost_answers: 0.1,
        early: 0.2,
        pay_twice: 0.5,
        cancels: 0.1,
        non_payers: 0.2,
        ..Shares::plain()
    };
    let crowd = Crowd::new(config).unwrap();
    let progress = crowd.progress();
    let outcome = crowd.run(pending()).await.unwrap();
    assert_eq!(outcome.violations, []);
    assert!(outcome.unexpected.is_empty(), "{:?}", outcome.unexpected);
    let b = outcome.buyers;
    assert_eq!(
        b.total,
        b.won + b.sold_out + b.duplicate + b.limited + b.failed,
        "{b:?}"
    );
    assert_eq!((b.total, b.duplicate, b.limited, b.failed), (2_000, 0, 0, 0));
    let (free, alive, paid) = shop.figures();
    // Who has cancelled may ask once more with another key, and get a second ticket; a winner counts once.
    let tickets = outcome.tickets.len() as u64;
    let winners: BTreeSet<&str> = outcome.tickets.iter().map(|t| t.buyer.as_str()).collect();
    assert_eq!(winners.len() as u64, b.won);
    assert_eq!(tickets, alive as u64 + outcome.totals.cancelled);
    assert_eq!(free + alive as i64, 150);
    assert_eq!(paid as u64, outcome.totals.paid);
    assert!(outcome.totals.cancelled > 0 && outcome.totals.repeats > 0 && outcome.totals.retries > 0);
    assert!(
        shop.truth.lock().unwrap().refused_early > 0,
        "the early birds came early"
    );
    assert!(outcome.seconds_to80_percent.unwrap() <= outcome.seconds_to_sold_out.unwrap());
    assert_eq!(outcome.winners.values().sum::<u64>(), tickets);
    assert!(outcome.latency_ms.p50 > 0.0 && outcome.latency_ms.p50 <= outcome.latency_ms.max);
    assert_eq!(progress.snapshot(), outcome.totals);
    assert_eq!(outcome.totals.waiting, 0);
}

#[tokio::test]
async fn the_same_seed_brings_the_same_buyers_and_another_seed_others() {
    let names = async |seed| {
        let server = Server::start(&Arc::new(Shop::new(Fault::None, &[("a", 1_000)])));
        let mut config = config(server.address, vec![Item::new("a", 1_000)], 50);
        config.seed = seed;
        let mut names: Vec<String> = run(config).await.tickets.into_iter().map(|t| t.buyer).collect();
        names.sort();
        names
    };
    let (first, again, other) = (names(7).await, names(7).await, names(8).await);
    assert_eq!(first.len(), 50);
    assert_eq!(first, again);
    assert!(first.iter().all(|name| !other.contains(name)));
}

#[tokio::test]
async fn buyers_from_an_earlier_run_are_duplicates_and_not_winners() {
    let server = Server::start(&Arc::new(Shop::new(Fault::None, &[("a", 1_000)])));
    let mut config = config(server.address, vec![Item::new("a", 1_000)], 50);
    config.shares = Shares {
        non_payers: 1.0,
        ..Shares::plain()
    };
    assert_eq!(run(config.clone()).await.buyers.won, 50);
    let second = run(config).await;
    assert_eq!((second.buyers.won, second.buyers.duplicate), (0, 50));
    assert_eq!(second.violations, []);
    assert_eq!(second.winners["a"], 0);
}

#[tokio::test]
async fn patient_buyers_get_what_others_cancel_and_pay_for_it() {
    let shop = Arc::new(Shop::new(Fault::None, &[("a", 20)]));
    let server = Server::start(&shop);
    let mut config = config(server.address, vec![Item::new("a", 20)], 400);
    config.shares = Shares {
        patient: 0.3,
        cancels: 1.0,
        ..Shares::plain()
    };
    let outcome = run(config).await;
    assert_eq!(outcome.violations, []);
    // Whoever is not patient cancels, so in the end the patient ones hold everything, paid.
    assert_eq!(shop.figures(), (0, 20, 20));
    assert_eq!(outcome.totals.paid, 20);
    assert!(outcome.buyers.won > 20);
    let looks = shop.truth.lock().unwrap().looks_at_sale;
    assert!((1..=60).contains(&looks), "one shared look a second, saw {looks}");
}

#[tokio::test]
async fn patience_ends() {
    let server = Server::start(&Arc::new(Shop::new(Fault::None, &[("a", 1)])));
    let mut config = config(server.address, vec![Item::new("a", 1)], 20);
    config.shares = Shares {
        patient: 0.5,
        non_payers: 1.0,
        ..Shares::plain()
    };
    config.seed = 4;
    config.patience = Duration::from_millis(300);
    let outcome = run(config).await;
    assert_eq!((outcome.buyers.won, outcome.buyers.sold_out), (1, 19));
    assert!(
        outcome.duration_seconds < 20.0,
        "nobody waited for the end of the crowd"
    );
    assert!(outcome.unexpected.is_empty());
}

#[tokio::test]
async fn late_payers_are_told_refund_due_and_that_is_no_violation() {
    let mut shop = Shop::new(Fault::None, &[("a", 20)]);
    shop.pay_within = Duration::from_millis(300);
    let shop = Arc::new(shop);
    let server = Server::start(&shop);
    let mut config = config(server.address, vec![Item::new("a", 20)], 20);
    config.shares = Shares {
        late_payers: 1.0,
        pay_twice: 1.0,
        ..Shares::plain()
    };
    let outcome = run(config).await;
    assert_eq!(outcome.violations, []);
    assert_eq!(shop.truth.lock().unwrap().callbacks, 40);
    assert_eq!((outcome.buyers.won, outcome.totals.paid), (20, 0));
    assert!(
        outcome.tickets.iter().all(|t| t.was_shown(TicketState::Closed)),
        "{:?}",
        outcome.tickets
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_with_the_same_key() {
    let shop = Arc::new(Shop::new(Fault::None, &[("a", 50)]));
    shop.truth.lock().unwrap().busy_left = 120;
    let server = Server::start(&shop);
    let mut config = config(server.address, vec![Item::new("a", 50)], 50);
    config.shares = Shares::plain();
    let outcome = run(config).await;
    assert_eq!(outcome.buyers.won, 50);
    assert_eq!(outcome.totals.retries, 120);
    assert_eq!(shop.truth.lock().unwrap().purchases, 170);
    assert!(outcome.tickets.iter().all(|t| t.key.ends_with("-0")));
}

/// A crowd whose server is killed once a hundred have won, and comes back elsewhere after what happens `meanwhile`: the
/// outcome, and how many had won until then. The configuration is the usual one as `change` leaves it.
async fn killed_midway(
    shop: &Arc<Shop>,
    buyers: u32,
    change: impl FnOnce(&mut CrowdConfig),
    meanwhile: impl AsyncFnOnce(),
) -> (Outcome, u64) {
    let server = Server::start(shop);
    let place = Arc::new(Mutex::new(Some(server.address)));
    let ask = Arc::clone(&place);
    let mut config = config(
        Address::Ask(Arc::new(move || *ask.lock().unwrap())),
        vec![Item::new("a", 300)],
        buyers,
    );
    change(&mut config);
    let crowd = Crowd::new(config).unwrap();
    let progress = crowd.progress();
    let kill = async {
        while progress.snapshot().won < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        *place.lock().unwrap() = None;
        drop(server);
        let won = progress.snapshot().won;
        meanwhile().await;
        let again = Server::start(shop);
        *place.lock().unwrap() = Some(again.address);
        (won, again)
    };
    let (outcome, (won, _again)) = tokio::join!(crowd.run(pending()), kill);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.violations, []);
    assert_eq!(outcome.buyers.failed, 0, "{:?}", outcome.unexpected);
    let (free, alive, _) = shop.figures();
    assert_eq!(free + alive as i64, 300);
    (outcome, won)
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_elsewhere_loses_nobody() {
    let shop = Arc::new(Shop::new(Fault::None, &[("a", 300)]));
    let change = |config: &mut CrowdConfig| {
        config.spread = Duration::from_millis(800);
        config.shares.patient = 0.0;
    };
    let away = async || tokio::time::sleep(Duration::from_millis(100)).await;
    let (outcome, won) = killed_midway(&shop, 3_000, change, away).await;
    assert!(won < 300, "killed in the middle");
    assert_eq!(outcome.buyers.total, 3_000);
    let (_, alive, _) = shop.figures();
    assert_eq!(
        outcome.tickets.len() as u64,
        alive as u64 + outcome.totals.cancelled
    );
}

#[tokio::test]
async fn a_server_that_dies_may_forget_what_it_had_only_queued() {
    let mut shop = Shop::new(Fault::None, &[("a", 300)]);
    shop.step = Duration::from_secs(2);
    let shop = Arc::new(shop);
    let change = |config: &mut CrowdConfig| {
        config.shares = Shares {
            lost_answers: 1.0,
            ..Shares::plain()
        };
    };
    killed_midway(&shop, 600, change, async || shop.forget_queued()).await;
}

#[tokio::test]
async fn stopping_sends_everybody_home_with_what_they_have() {
    let shop = Arc::new(Shop::new(Fault::None, &[("a", 10)]));
    let server = Server::start(&shop);
    let mut config = config(server.address, vec![Item::new("a", 10)], 1_000);
    config.spread = Duration::from_secs(3_000);
    let crowd = Crowd::new(config).unwrap();
    let progress = crowd.progress();
    let some = async move {
        while progress.snapshot().answered == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let outcome = crowd.run(some).await.unwrap();
    let b = outcome.buyers;
    assert_eq!(b.total, b.won + b.sold_out + b.duplicate + b.limited + b.failed);
    assert!(b.won > 0 && b.failed > 900, "{b:?}");
    assert!(outcome.unexpected["stopped before the buyer was done"] > 900);
}

#[tokio::test]
async fn the_history_has_a_line_for_each_request_and_each_answer() {
    let server = Server::start(&Arc::new(Shop::new(Fault::None, &[("a", 30)])));
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(server.address, vec![Item::new("a", 30)], 100);
    config.history = Some(folder.path().join("history.jsonl"));
    config.threads = 2;
    let outcome = run(config).await;
    let text = std::fs::read_to_string(folder.path().join("history.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let count = |kind: &str| lines.iter().filter(|l| l["type"] == kind).count() as u64;
    assert_eq!(count("invoke"), outcome.totals.sent);
    assert_eq!(
        count("ok") + count("fail") + count("info"),
        outcome.totals.answered
    );
    let ticket = &outcome.tickets[0];
    let first = lines
        .iter()
        .find(|l| l["ticket"] == *ticket.ticket && l["op"] == "purchase")
        .unwrap();
    assert_eq!(first["buyer"], *ticket.buyer);
    assert_eq!(first["req"], *ticket.key);
    assert!(
        lines
            .iter()
            .any(|l| l["state"] == "sold-out" && l["type"] == "fail")
    );
    assert!(lines.iter().all(|l| l["mono_ns"].is_u64()));
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_the_field() {
    let nowhere: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
    let refused = |change: fn(&mut CrowdConfig)| {
        let mut config = config(nowhere, vec![Item::new("a", 1)], 1);
        change(&mut config);
        Crowd::new(config).err().unwrap().to_string()
    };
    assert!(refused(|c| c.items.clear()).contains("`items`"));
    assert!(refused(|c| c.sale = "a\r\nX: y".to_owned()).contains("`sale, host, items[].id`"));
    assert!(refused(|c| c.shares.cancels = 1.5).contains("`shares`"));
    assert!(
        refused(|c| c.shares = Shares {
            cancels: 0.6,
            non_payers: 0.6,
            ..Shares::plain()
        })
        .contains("sum")
    );
    assert!(refused(|c| c.skew = flashsale_buyers::Skew::OneShard).contains("`shards`"));
    assert!(refused(|c| c.pipeline = 0).contains("`pipeline`"));
}
