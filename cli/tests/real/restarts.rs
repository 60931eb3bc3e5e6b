//! The process ends and is started again on the same parts, or on others.

use crate::common::refusal::refused;
use crate::common::served::{self, Ready, Served};
use crate::common::{PATIENCE, Place, adds_up, audit_on, shop, yaml};
use crate::servers::{options, servers};
use serde_json::Value;

const SALE: &str = "resumed";

fn serve(place: &Place, parts: &[String]) -> Served {
    let mut up = place.up();
    up.args(["--trust-header", "--opens-in", "50ms", "--closes-in", "30m"]);
    up.args(["--shards", "4", "--gateways", "1"]).args(parts);
    Served::start(up, &place.path("ready.json"))
}

async fn open(server: &mut Served) -> Ready {
    let ready = server.ready(PATIENCE).await.unwrap();
    let open = served::until(ready.admin, PATIENCE, |live| live["phase"] == "Open").await;
    open.unwrap_or_else(|last| panic!("{last}\n{}", server.errors()));
    ready
}

async fn state(ready: Ready, ticket: &str, buyer: &str) -> Value {
    let path = format!("/v1/tickets/{ticket}");
    let (status, ticket) = shop::ask(ready.listen, "GET", &path, buyer, "").await;
    assert_eq!(status, 200, "{ticket}");
    ticket["state"].clone()
}

#[tokio::test]
async fn a_sale_goes_on_where_it_was_and_refuses_other_parts() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let (same, fewer) = (options(&parts, 2), options(&parts, 1));
    let place = Place::new(&yaml(SALE, &[("phone", 10)]));

    let mut server = serve(&place, &same);
    let ready = open(&mut server).await;
    let ada = shop::order(ready.listen, SALE, "phone", "ada").await;
    shop::pay(ready.listen, &ada, "ada").await;
    assert!(server.stop().await.success(), "{}", server.errors());

    for other in [&fewer[..], &[]] {
        let mut up = place.up();
        up.arg("--trust-header").args(other);
        let line =
            "error: *data: the sale was started on 4 Redis, Pulsar, 2 databases, not on *: give the same *";
        refused(up, 2, &[line]).await;
    }

    // Once ended well, once killed: each time it goes on.
    let mut tickets = vec![("ada", ada)];
    for buyer in ["bob", "cleo"] {
        let mut server = serve(&place, &same);
        let ready = open(&mut server).await;
        for (earlier, ticket) in &tickets {
            assert_eq!(state(ready, ticket, earlier).await, "paid", "{earlier}");
        }
        let body = r#"{"item":"phone","quantity":1}"#;
        let path = format!("/v1/sales/{SALE}/purchases");
        let (status, again) = shop::ask(ready.listen, "POST", &path, "ada", body).await;
        assert_ne!(status, 202, "ada has all she may have: {again}");
        let ticket = shop::order(ready.listen, SALE, "phone", buyer).await;
        shop::pay(ready.listen, &ticket, buyer).await;
        tickets.push((buyer, ticket));
        let live = served::until(ready.admin, PATIENCE, |live| {
            live["items"][0]["sold"] == tickets.len()
        })
        .await;
        let live = live.unwrap();
        assert_eq!(live["items"][0]["sellable"], 10 - tickets.len(), "{live:#}");
        server.kill().await;
    }
    let (ended, report) = audit_on(&place.data(), &same).await;
    assert!(adds_up(&ended, &report), "{ended:?}");
    assert_eq!(report["items"][0]["sold"], 3, "{report:#}");
}
