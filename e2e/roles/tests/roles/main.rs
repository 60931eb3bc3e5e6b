//! Whole sales served by processes of their own, on real Redis, Pulsar and PostgreSQL.
//!
//! `FLASHSALE_KILL_ROUNDS` rounds are played from seed `FLASHSALE_KILL_SEED` on: at random moments of a sale one of
//! its processes or servers is killed without a warning and started again. A round's plan follows from its seed;
//! where exactly a kill hits is up to the machine.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

mod files;
mod http;
mod kills;
mod process;
mod rest;
mod stage;
mod switches;

use flashsale_buyers::{Crowd, CrowdConfig, Item, Outcome, PaymentSecret, Shares, TicketState};
use flashsale_core::ids::SaleUid;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::link::{LinkKey, close_early};
use flashsale_servers::{Counts, RealParts};
use http::page;
use rest::AtRest;
use stage::{DATABASES, PAYMENT_KEY, SERVES_WITHIN, Script, Stage};
use std::time::Duration;
use tokio::sync::Mutex;

/// Redis servers that all sales of a test share.
const REDIS: usize = 2;
/// One test at a time: each has servers of its own, and the machine is small.
static ONE: Mutex<()> = Mutex::const_new(());

async fn servers(dir: &std::path::Path) -> RealParts {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let counts = Counts {
        redis: REDIS,
        databases: DATABASES,
    };
    RealParts::start(dir, counts).await.unwrap()
}

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| {
        text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_as_reserved_survives_the_death_of_any_process_or_server() {
    let _one = ONE.lock().await;
    let below = tempfile::tempdir().unwrap();
    let mut servers = servers(below.path()).await;
    kills::play_all(&mut servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_of_six_processes_sells_out_exactly_and_settles() {
    let _one = ONE.lock().await;
    let below = tempfile::tempdir().unwrap();
    let servers = servers(below.path()).await;
    let opens = now_ms() + 8_000;
    let script = Script {
        name: "whole",
        stock: vec![700, 300],
        shards: 3,
        sidecars: 2,
        opens,
        closes: opens + 600_000,
        payment_timeout: Duration::from_secs(120),
    };
    let mut stage = Stage::set(&servers, &script);
    stage.ready().await.unwrap();
    let items = script.stock.iter().enumerate();
    let items = items.map(|(ix, stock)| Item::new(format!("item-{ix}"), u64::from(*stock)));
    let mut config = CrowdConfig::new(stage.door(), script.name, items.collect(), 4_000);
    config.opens_at_ms = opens;
    config.spread = Duration::from_secs(2);
    config.shares = Shares {
        duplicates: 0.05,
        replays: 0.05,
        other_keys: 0.03,
        lost_answers: 0.02,
        early: 0.05,
        pay_twice: 0.1,
        ..Shares::plain()
    };
    config.payment_secret = Some(PaymentSecret::new(PAYMENT_KEY));
    config.give_up_after = Duration::from_secs(120);
    let crowd = Crowd::new(config).unwrap();
    let outcome = crowd.run(std::future::pending()).await.unwrap();
    assert_eq!(outcome.violations, [], "{}", stage.errors());
    assert_eq!(outcome.unexpected.len(), 0, "{:?}", outcome.unexpected);

    let wrong_key = close_early(&stage.worker_link, &LinkKey::new(&[1; 32]), stage.uid).await;
    assert!(wrong_key.unwrap_err().contains("`keys.link`"));
    let other_sale = close_early(&stage.worker_link, &Stage::link_key(), SaleUid(1)).await;
    assert!(other_sale.unwrap_err().contains("another sale"));
    without_a_worker(&mut stage, &outcome).await;
    drained(&mut stage).await;
    close_early(&stage.worker_link, &Stage::link_key(), stage.uid)
        .await
        .unwrap();
    stage.settled(Duration::from_secs(60)).await.unwrap();
    for process in stage.processes() {
        let admin = process.serves().unwrap().admin.unwrap();
        assert_eq!(page(admin, "/healthz").await.unwrap(), "ok\n", "{}", process.name);
        assert_eq!(
            page(admin, "/readyz").await.unwrap(),
            "ready\n",
            "{}",
            process.name
        );
        let metrics = page(admin, "/metrics").await.unwrap();
        let linked =
            !process.name.starts_with("gateway") || metrics.matches("flashsale_link_up{to=\"").count() == 3;
        assert!(
            linked && metrics.contains("flashsale_shard_events"),
            "{}: {metrics}",
            process.name
        );
    }
    stage.end().await.unwrap();

    let mut rest = AtRest::read(&stage).await;
    let audit = rest.audit(&outcome);
    assert!(audit.ok, "{:?}", audit.checks);
    assert_eq!(rest.unkept(&outcome), [] as [String; 0]);
    assert_eq!(rest.paid(), script.stock);
    let paid = outcome
        .tickets
        .iter()
        .filter(|t| t.was_shown(TicketState::Paid))
        .count();
    println!(
        "{} buyers, {} tickets, {paid} shown as paid, sold out after {:?} s, answers in {:?} ms",
        4_000,
        outcome.tickets.len(),
        outcome.seconds_to_sold_out,
        outcome.latency_ms
    );
}

/// While the worker is away, gateways show what is known of tickets, and payments are to be reported again; once it is
/// back, they are taken.
async fn without_a_worker(stage: &mut Stage, outcome: &Outcome) {
    let shop = stage.gateways[0].serves().unwrap().listen.unwrap();
    let sold = &outcome.tickets[0];
    let order = sold.order_id.as_deref().unwrap();
    stage.worker.kill().await;
    let (status, shown) = http::ticket(shop, &sold.ticket, &sold.buyer).await;
    assert_eq!((status, &shown["state"]), (200, &"paid".into()), "{shown}");
    let (status, answer) = http::pay(shop, PAYMENT_KEY, order).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["type"].as_str().unwrap().ends_with("busy"), "{answer}");
    stage.worker.restart();
    stage.worker.ready(SERVES_WITHIN).await.unwrap();
    let mut answer = (503, serde_json::Value::Null);
    for _ in 0..200 {
        answer = http::pay(shop, PAYMENT_KEY, order).await;
        if answer.0 != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The order is paid already, so this one goes back.
    assert_eq!(
        (answer.0, &answer.1["result"]),
        (200, &"refundDue".into()),
        "{}",
        answer.1
    );
}

/// A gateway that is told to end says that it isn't ready and serves on for a while, before it ends in order.
async fn drained(stage: &mut Stage) {
    let gateway = &mut stage.gateways[1];
    let ready = gateway.serves().unwrap();
    gateway.terminate().await;
    let mut said = String::new();
    while !said.contains("the process is about to end") {
        said = page(ready.admin.unwrap(), "/readyz")
            .await
            .expect("it says that it isn't ready before it ends");
    }
    let time = page(ready.listen.unwrap(), "/v1/time").await;
    assert!(
        time.is_some_and(|time| time.contains("nowMs")),
        "it serves on for a while"
    );
    gateway.stop(SERVES_WITHIN).await.unwrap();
    gateway.restart();
    gateway.ready(SERVES_WITHIN).await.unwrap();
}
