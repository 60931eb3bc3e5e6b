//! Buyers who wait for their order ask the gateway, which answers from memory: Redis hears nothing of it.
//! How many wait, `FLASHSALE_WAITING` says.

use crate::common::served::{self, Served};
use crate::common::{PATIENCE, Place, yaml};
use crate::kills::number;
use crate::servers::{ask_redis, options, servers};
use flashsale_servers::RealParts;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Tickets whose order isn't made yet.
const WAITING: u64 = 20_000;
const CONNECTIONS: u32 = 50;
/// So many times everybody asks, one round after the other.
const ROUNDS: u32 = 5;
/// Calls of all Redis servers, of gateways and sidecars together.
const CALLS_PER_SECOND_MAX: f64 = 100.0;
/// Between two looks, looking itself makes these calls at each Redis: an AUTH, an INFO and a QUIT.
const OWN_CALLS: u64 = 3;

/// A ticket and its buyer.
type Ticket = (String, String);

/// A connection to the shop that is kept.
struct Kept(BufReader<TcpStream>);

impl Kept {
    async fn open(shop: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(shop).await.unwrap()))
    }

    async fn ask(&mut self, method: &str, path: &str, buyer: &str, body: &str) -> (u16, Value) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: flashsale\r\nX-Buyer-Id: {buyer}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).await.unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the shop hung up");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).await.unwrap();
        (status, serde_json::from_slice(&answer).unwrap_or_default())
    }
}

/// Commands that all Redis servers have run so far, also inside of functions.
async fn calls(parts: &RealParts) -> u64 {
    let mut all = 0;
    for redis in &parts.redis {
        let stats = ask_redis(&redis.url(), "INFO commandstats").await;
        let counts = stats.split(":calls=").skip(1);
        all += counts
            .map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap())
            .sum::<u64>();
    }
    all
}

/// Everybody buys one.
async fn buy(shop: SocketAddr, buyers: u32) -> Vec<Ticket> {
    let mut buying = JoinSet::new();
    for first in 0..CONNECTIONS {
        buying.spawn(async move {
            let (mut shop, mut tickets) = (Kept::open(shop).await, Vec::new());
            for n in (first..buyers).step_by(CONNECTIONS as usize) {
                let (buyer, body) = (format!("buyer-{n}"), r#"{"item":"phone","quantity":1}"#);
                let (status, answer) = shop
                    .ask("POST", "/v1/sales/waiting/purchases", &buyer, body)
                    .await;
                assert_eq!(status, 202, "{answer}");
                tickets.push((answer["ticket"].as_str().unwrap().to_owned(), buyer));
            }
            tickets
        });
    }
    buying.join_all().await.concat()
}

/// Everybody asks once for their ticket; how many still wait for their order.
async fn poll(shop: SocketAddr, tickets: &[Ticket]) -> usize {
    let mut polling = JoinSet::new();
    for some in tickets.chunks(tickets.len().div_ceil(CONNECTIONS as usize)) {
        let some = some.to_vec();
        polling.spawn(async move {
            let (mut shop, mut waiting) = (Kept::open(shop).await, 0);
            for (ticket, buyer) in some {
                let (status, answer) = shop
                    .ask("GET", &format!("/v1/tickets/{ticket}"), &buyer, "")
                    .await;
                assert_eq!(status, 200, "{answer}");
                waiting += usize::from(answer["state"] == "reserved");
            }
            waiting
        });
    }
    polling.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn waiting_buyers_cost_redis_next_to_nothing() {
    let wait = number("FLASHSALE_WAITING", WAITING) as u32;
    let servers = servers().await;
    // Nobody else may call meanwhile.
    let parts = servers.parts.write().await;
    let one_a_second =
        yaml("waiting", &[("phone", wait)]).replace("ratePerMinute: 600000", "ratePerMinute: 60");
    let place = Place::new(&one_a_second);
    let mut up = place.up();
    up.args([
        "--trust-header",
        "--opens-in",
        "50ms",
        "--closes-in",
        "30m",
        "--shards",
        "8",
    ]);
    up.args(options(&parts, 2));
    let mut server = Served::start(up, &place.path("ready.json"));
    let ready = server.ready(PATIENCE).await.unwrap();
    let open = served::until(ready.admin, PATIENCE, |live| live["phase"] == "Open").await;
    open.unwrap();
    let tickets = buy(ready.listen, wait).await;
    let all = served::until(ready.admin, PATIENCE, |live| live["funnel"]["reserved"] == wait).await;
    all.unwrap_or_else(|last| panic!("{last}\n{}", server.errors()));

    let (began, before) = (Instant::now(), calls(&parts).await);
    let mut waiting = 0;
    for _ in 0..ROUNDS {
        waiting = poll(ready.listen, &tickets).await;
    }
    let (after, seconds) = (calls(&parts).await, began.elapsed().as_secs_f64());
    let per_second = (after - before - OWN_CALLS * parts.redis.len() as u64) as f64 / seconds;
    println!(
        "{ROUNDS} × {wait} polls in {seconds:.1} s, {waiting} still waited; {per_second:.1} calls of Redis a second"
    );
    server.kill().await;
    assert!(waiting > wait as usize * 9 / 10, "{waiting} still waited");
    assert!(per_second < CALLS_PER_SECOND_MAX, "{per_second} calls a second");
}
