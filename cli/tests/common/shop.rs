//! A buyer or two, by hand, and a small sale that is over.

use super::served::{self, Served};
use super::{PATIENCE, Place};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks the shop as a buyer; the status and the answer.
pub(crate) async fn ask(shop: SocketAddr, method: &str, path: &str, buyer: &str, body: &str) -> (u16, Value) {
    let ask = async {
        let mut stream = TcpStream::connect(shop).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\nX-Buyer-Id: {buyer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    };
    tokio::time::timeout(PATIENCE, ask)
        .await
        .expect("the shop answers")
}

/// Buys one `item` and waits for the order; the ticket.
pub(crate) async fn order(shop: SocketAddr, sale: &str, item: &str, buyer: &str) -> String {
    let body = format!(r#"{{"item":"{item}","quantity":1}}"#);
    let path = format!("/v1/sales/{sale}/purchases");
    let (status, ticket) = ask(shop, "POST", &path, buyer, &body).await;
    assert_eq!(status, 202, "{ticket}");
    let id = ticket["ticket"].as_str().unwrap().to_owned();
    let path = format!("/v1/tickets/{id}");
    let ordered = async {
        loop {
            let (_, ticket) = ask(shop, "GET", &path, buyer, "").await;
            if ticket["state"] == "ordered" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ordered)
        .await
        .expect("it is ordered");
    id
}

/// Pays a ticket as the development mode allows.
pub(crate) async fn pay(shop: SocketAddr, ticket: &str, buyer: &str) {
    let (status, answer) = ask(shop, "POST", &format!("/dev/pay/{ticket}"), buyer, "").await;
    assert_eq!(status, 200, "{answer}");
}

/// Serves a sale named `small` of an item `phone`, for buyers who come by hand.
pub(crate) fn small(place: &Place) -> Served {
    let mut up = place.up();
    up.args([
        "--trust-header",
        "--opens-in",
        "50ms",
        "--closes-in",
        "2s",
        "--payment-timeout",
        "1s",
    ]);
    up.args(["--shards", "2", "--gateways", "1"]);
    Served::start(up, &place.path("ready.json"))
}

/// Three buyers order, two of them pay; the sale settles and the server ends. Gives each buyer with the ticket.
pub(crate) async fn sell_and_settle(place: &Place) -> Vec<(&'static str, String)> {
    let mut tickets = Vec::new();
    let mut server = small(place);
    let ready = server.ready(PATIENCE).await.unwrap();
    served::until(ready.admin, PATIENCE, |live| live["phase"] == "Open")
        .await
        .unwrap();
    for buyer in ["ada", "bob", "cleo"] {
        let ticket = order(ready.listen, "small", "phone", buyer).await;
        if buyer != "cleo" {
            pay(ready.listen, &ticket, buyer).await;
        }
        tickets.push((buyer, ticket));
    }
    served::until(ready.admin, PATIENCE, |live| live["phase"] == "Settled")
        .await
        .unwrap();
    assert!(server.stop().await.success(), "{}", server.errors());
    tickets
}
