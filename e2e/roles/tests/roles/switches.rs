//! Switches and amendments over processes: who hears of them, how soon, and what survives a kill.

use crate::http::{break_glass, buy, page, ticket};
use crate::process::Process;
use crate::rest::AtRest;
use crate::stage::{LINK_KEY, SERVES_WITHIN, Script, Stage};
use crate::{ONE, servers};
use flashsale_core::event::{Change, ReleaseReason};
use flashsale_core::order::State;
use flashsale_dataplane::audit;
use flashsale_dataplane::clock::now_ms;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const SALE: &str = "switched";

/// Looks until it is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    began.elapsed()
}

fn shop(gateway: &Process) -> SocketAddr {
    gateway.serves().unwrap().listen.unwrap()
}

async fn admin_json(process: &Process, path: &str) -> Value {
    let admin = process.serves().unwrap().admin.unwrap();
    serde_json::from_str(&page(admin, path).await.unwrap_or_default()).unwrap_or_default()
}

async fn switch(stage: &Stage, set: Value, seconds: u64) {
    let admin = stage.sidecars[0].serves().unwrap().admin.unwrap();
    let body =
        json!({"set": set, "reason": "a test", "actor": "sre@shop", "expiresAfter": format!("{seconds}s")});
    let (status, answer) = break_glass(admin, LINK_KEY, &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn bought(stage: &Stage, buyer: &str) -> (u16, Value) {
    buy(shop(&stage.gateways[0]), SALE, "item-0", buyer).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_sale_is_switched_extended_given_more_stock_and_called_off() {
    let _one = ONE.lock().await;
    let below = tempfile::tempdir().unwrap();
    let servers = servers(below.path()).await;
    let opens = now_ms() + 6_000;
    let script = Script {
        name: SALE,
        stock: vec![40],
        shards: 2,
        sidecars: 2,
        opens,
        closes: opens + 60_000,
        payment_timeout: Duration::from_secs(600),
    };
    let mut stage = Stage::set(&servers, &script);
    stage.ready().await.unwrap();
    until("it opens", async || bought(&stage, "first").await.0 != 425).await;
    switched(&stage).await;
    held(&stage).await;
    amended(&mut stage, script.closes).await;
    called_off(&mut stage).await;
    stage.settled(Duration::from_secs(60)).await.unwrap();
    stage.end().await.unwrap();
    at_rest(&stage).await;
}

/// Every process hears of it within a second; buyers are told; it ends by itself.
async fn switched(stage: &Stage) {
    let until_ms = now_ms() + 5_000;
    let began = Instant::now();
    switch(stage, json!({"sale": {"paused": true}}), 5).await;
    for gateway in &stage.gateways {
        until("paused", async || {
            buy(shop(gateway), SALE, "item-0", "first").await.1["switched"] == "sale.paused"
        })
        .await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!("both gateways are paused {took:?} after the call");
    for process in stage.sidecars[..1]
        .iter()
        .chain(&stage.gateways)
        .chain([&stage.worker, &stage.payments])
    {
        until(&process.name, async || {
            let shown = admin_json(process, "/switches.json").await;
            let one = &shown["switches"][0];
            one["switch"] == "sale.paused" && one["source"] == "breakGlass" && one["effective"] == true
        })
        .await;
        let metrics = page(process.serves().unwrap().admin.unwrap(), "/metrics")
            .await
            .unwrap();
        let metric = "flashsale_switch{source=\"breakGlass\",switch=\"sale.paused\"} 1";
        assert!(metrics.contains(metric), "{}: {metrics}", process.name);
    }
    until("it goes on by itself", async || {
        bought(stage, "first").await.0 == 200
    })
    .await;
    assert!(now_ms() + 1_500 >= until_ms, "not before its time");
    let admin = stage.sidecars[1].serves().unwrap().admin.unwrap();
    let (status, _) = break_glass(admin, LINK_KEY, &json!({})).await;
    assert_eq!(status, 404, "not at a sidecar without control");
    let admin = stage.sidecars[0].serves().unwrap().admin.unwrap();
    let (status, _) = break_glass(admin, "another key", &json!({})).await;
    assert_eq!(status, 401);
}

/// No order is made while orders are held.
async fn held(stage: &Stage) {
    switch(stage, json!({"orders": {"hold": true}}), 6).await;
    let heard = async || admin_json(&stage.worker, "/live.json").await["queue"]["ratePerMinute"] == 0;
    until("the worker holds", heard).await;
    let (status, answer) = bought(stage, "held").await;
    assert_eq!(status, 202, "{answer}");
    let number = answer["ticket"].as_str().unwrap();
    let shown = async || ticket(shop(&stage.gateways[0]), number, "held").await.1;
    until("it is reserved", async || shown().await["state"] == "reserved").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let waits = shown().await;
    assert_eq!(
        (&waits["state"], &waits["waitSeconds"]),
        (&"reserved".into(), &Value::Null),
        "{waits}"
    );
    until("its order is made afterwards", async || {
        shown().await["state"] == "ordered"
    })
    .await;
}

/// More stock and a later end hold behind the declared end, whoever is killed.
async fn amended(stage: &mut Stage, closes: u64) {
    let later = "2099-01-01T00:00:00Z";
    let grants = json!([{"id": 2, "item": "item-0", "units": 60}]);
    stage
        .amend(&json!({"revision": 2, "closeTime": later, "grants": grants, "ratePerMinute": 500_000}))
        .await;
    let taken = async |stage: &Stage| {
        let live = admin_json(&stage.worker, "/live.json").await;
        let item = &live["items"][0];
        live["amendmentsRevision"] == 2 && item["stock"] == 100 && item["locked"].as_u64() <= Some(2)
    };
    until("the grant is taken", async || taken(stage).await).await;
    let live = admin_json(&stage.worker, "/live.json").await;
    assert_eq!(
        (&live["loaded"], &live["queue"]["ratePerMinute"]),
        (&true.into(), &500_000.into()),
        "{live}"
    );
    assert!(
        live["shards"]
            .as_array()
            .unwrap()
            .iter()
            .all(|shard| shard["open"] == true),
        "{live}"
    );
    stage.worker.kill().await;
    stage.worker.restart();
    stage.worker.ready(SERVES_WITHIN).await.unwrap();
    until("a new worker knows", async || taken(stage).await).await;
    let wait = (closes + 500).saturating_sub(now_ms());
    tokio::time::sleep(Duration::from_millis(wait)).await;
    // Whoever takes the other shard over now has to know that the sale goes on.
    stage.sidecars[1].kill().await;
    stage.sidecars[1].restart();
    stage.sidecars[1].ready(SERVES_WITHIN).await.unwrap();
    let mut tickets = 0;
    for n in 0..120 {
        let name = format!("late-{n}");
        let mut answer = bought(stage, &name).await;
        let began = Instant::now();
        while answer.0 == 503 && began.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK_EVERY).await;
            answer = bought(stage, &name).await;
        }
        match answer {
            (202, _) => tickets += 1,
            (410, body) => assert!(body["type"].as_str().unwrap().ends_with("sold-out"), "{body}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(tickets, 98, "two were sold before");
}

/// Orders that aren't paid are closed, and the sale says why.
async fn called_off(stage: &mut Stage) {
    let cancellation = json!({"reason": "a fire in the warehouse", "unpaidOrders": "Close"});
    let grants = json!([{"id": 2, "item": "item-0", "units": 60}, {"id": 3, "item": "item-0", "units": 0}]);
    stage
        .amend(&json!({"revision": 3, "grants": grants, "cancellation": cancellation}))
        .await;
    until("buyers are told", async || {
        let sale = page(shop(&stage.gateways[1]), &format!("/v1/sales/{SALE}"))
            .await
            .unwrap();
        sale.contains("a fire in the warehouse")
    })
    .await;
    let refused = async || {
        bought(stage, "nobody").await.1["type"]
            .as_str()
            .unwrap()
            .ends_with("sale-closed")
    };
    until("nobody can buy", refused).await;
    // Shown a few times a second.
    until("the worker shows it", async || {
        admin_json(&stage.worker, "/live.json").await["amendmentsRevision"] == 3
    })
    .await;
    let live = admin_json(&stage.worker, "/live.json").await;
    assert_eq!(live["amendmentsRefused"].as_array().unwrap().len(), 1, "{live}");
}

/// The log, the databases and each Redis tell one story, in which everybody got their units back.
async fn at_rest(stage: &Stage) {
    let rest = AtRest::read(stage).await;
    let (audit, totals) = audit::audit(&rest.sale, &rest.evidence);
    assert!(audit.ok, "{:?}", audit.checks);
    assert_eq!((totals[0].stock, totals[0].sellable), (100, 100));
    let orders = &rest.evidence.orders;
    assert!(orders.len() >= 100, "{}", orders.len());
    assert!(
        orders
            .iter()
            .all(|order| order.state == State::Closed(ReleaseReason::Cancelled))
    );
    let loads = rest.evidence.events.iter().flatten();
    let granted = loads.filter(|event| matches!(event.change, Change::Loaded { load: 2, .. }));
    assert_eq!(granted.count(), 2, "one for each shard, whoever was killed");
}
