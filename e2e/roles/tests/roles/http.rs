//! Requests by hand.

use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::signature;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Head and body of an answer; `None` if nobody answers whole.
async fn ask(address: SocketAddr, request: String) -> Option<(u16, String)> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    tokio::time::timeout(ANSWER_WITHIN, ask).await.ok()?
}

/// A page of an admin port; `None` if nobody answers whole.
pub(crate) async fn page(address: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\n\r\n");
    ask(address, request).await.map(|(_, body)| body)
}

/// What a buyer's ticket says.
pub(crate) async fn ticket(shop: SocketAddr, ticket: &str, buyer: &str) -> (u16, Value) {
    let request = format!(
        "GET /v1/tickets/{ticket} HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\nX-Buyer-Id: {buyer}\r\n\r\n"
    );
    let (status, body) = ask(shop, request).await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

/// Buys one unit.
pub(crate) async fn buy(shop: SocketAddr, sale: &str, item: &str, buyer: &str) -> (u16, Value) {
    let body = format!(r#"{{"item":"{item}","quantity":1}}"#);
    let request = format!(
        "POST /v1/sales/{sale}/purchases HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\nX-Buyer-Id: {buyer}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = ask(shop, request).await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

/// Breaks the glass at a control sidecar.
pub(crate) async fn break_glass(admin: SocketAddr, key: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let signed = signature::sign(key, now_ms() / 1000, body.as_bytes());
    let request = format!(
        "POST /switches HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\n{}: {signed}\r\nContent-Length: {}\r\n\r\n{body}",
        signature::HEADER,
        body.len()
    );
    ask(admin, request).await.unwrap()
}

/// Reports a payment as the provider would.
pub(crate) async fn pay(shop: SocketAddr, key: &str, order: &str) -> (u16, Value) {
    let body = format!(r#"{{"paymentId":"by-hand","orderId":"{order}","amount":"9.90","currency":"EUR"}}"#);
    let signed = signature::sign(key, now_ms() / 1000, body.as_bytes());
    let request = format!(
        "POST /v1/payments/callback HTTP/1.1\r\nHost: flashsale\r\nConnection: close\r\n{}: {signed}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        signature::HEADER,
        body.len()
    );
    let (status, body) = ask(shop, request).await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}
