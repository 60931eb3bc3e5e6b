//! A small real HTTP server that keeps the true state of one sale in memory, or breaks one promise on purpose.
//! A test fixture and nothing else.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

pub const SECRET: &str = "the provider's secret";

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Never counts its stock.
    Oversells,
    /// Does not know a ticket any more once it was shown as reserved.
    Forgets,
    /// Gives another ticket to the same key.
    AnotherTicket,
    /// Tells a holder who repeats the purchase that it is sold out.
    SoldOutToHolder,
    /// Fails tickets that were shown as reserved.
    FailsReserved,
    /// Moves people back in the line.
    PositionGrows,
    /// Takes purchases before the opening.
    OpensEarly,
    /// Answers `refundDue` to the second report of a payment.
    ForgetsPayments,
}

struct Held {
    buyer: String,
    item: String,
    since: Instant,
    shown_reserved: bool,
    paid: bool,
    closed: Option<&'static str>,
    looks: u64,
}

#[derive(Default)]
pub struct Truth {
    free: BTreeMap<String, i64>,
    tickets: HashMap<String, Held>,
    by_key: HashMap<String, String>,
    by_buyer: HashMap<String, String>,
    pub purchases: u64,
    pub refused_early: u64,
    pub callbacks: u64,
    pub forged: u64,
    pub busy_left: u64,
    pub looks_at_sale: u64,
    pub polls: u64,
}

pub struct Shop {
    pub truth: Mutex<Truth>,
    pub fault: Fault,
    pub opens_at_ms: u64,
    /// Time in the line, and again from reserved to ordered.
    pub step: Duration,
    pub pay_within: Duration,
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Shop {
    pub fn new(fault: Fault, stock: &[(&str, i64)]) -> Self {
        let free = stock.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
        Self {
            truth: Mutex::new(Truth {
                free,
                ..Truth::default()
            }),
            fault,
            opens_at_ms: 0,
            step: Duration::from_millis(20),
            pay_within: Duration::from_secs(600),
        }
    }

    /// The server has died before what it had only queued was durable.
    pub fn forget_queued(&self) {
        let mut truth = self.truth.lock().unwrap();
        let Truth {
            free,
            tickets,
            by_key,
            by_buyer,
            ..
        } = &mut *truth;
        tickets.retain(|_, held| {
            let stays = held.shown_reserved || held.paid || held.closed.is_some();
            if !stays {
                *free.get_mut(&held.item).unwrap() += 1;
            }
            stays
        });
        by_key.retain(|_, name| tickets.contains_key(name));
        by_buyer.retain(|_, name| tickets.contains_key(name));
    }

    /// (units free, tickets alive, tickets paid)
    pub fn figures(&self) -> (i64, usize, usize) {
        let truth = self.truth.lock().unwrap();
        let alive = truth.tickets.values().filter(|t| t.closed.is_none()).count();
        (
            truth.free.values().sum(),
            alive,
            truth.tickets.values().filter(|t| t.paid).count(),
        )
    }

    fn view(&self, truth: &mut Truth, name: &str) -> Value {
        let Truth { tickets, free, .. } = truth;
        let held = tickets.get_mut(name).unwrap();
        held.looks += 1;
        let age = held.since.elapsed();
        if held.closed.is_none() && !held.paid && age > self.step * 2 + self.pay_within {
            held.closed = Some("unpaid");
            *free.get_mut(&held.item).unwrap() += 1;
        }
        let mut state = match age {
            _ if held.closed.is_some() => "closed",
            _ if held.paid => "paid",
            age if age < self.step => "queued",
            age if age < self.step * 2 => "reserved",
            _ => "ordered",
        };
        let mut reason = held.closed;
        let fails = self.fault == Fault::FailsReserved && held.shown_reserved;
        if fails {
            (state, reason) = ("failed", Some("lost"));
        }
        held.shown_reserved |= matches!(state, "reserved" | "ordered");
        let position = if self.fault == Fault::PositionGrows {
            held.looks
        } else {
            1
        };
        let waiting = matches!(state, "queued" | "reserved");
        let pay_by = now_ms() + (self.step * 2 + self.pay_within).saturating_sub(age).as_millis() as u64;
        let order = (state == "ordered" || state == "paid").then(|| format!("order-{name}"));
        json!({"ticket": name, "sale": "s", "item": held.item, "quantity": 1, "state": state, "reason": reason,
            "position": waiting.then_some(position), "ahead": waiting.then_some(position - 1),
            "waitSeconds": waiting.then_some(0.02), "orderId": order, "amount": "9.00", "currency": "EUR",
            "payByMs": (state == "ordered").then_some(pay_by)})
    }
}

fn problem(status: u16, name: &str, more: &Value) -> Response {
    let mut body = json!({"type": format!("https://flashsale.dev/problems/{name}"), "status": status});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    let mut response = (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response();
    if status == 503 || status == 425 {
        response.headers_mut().insert("retry-after", "0".parse().unwrap());
    }
    response
}

fn buyer_of(headers: &HeaderMap) -> String {
    headers["x-buyer-id"].to_str().unwrap().to_owned()
}

async fn purchase(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let item = request["item"].as_str().unwrap().to_owned();
    let (buyer, key) = (
        buyer_of(&headers),
        headers["idempotency-key"].to_str().unwrap().to_owned(),
    );
    let mut truth = shop.truth.lock().unwrap();
    truth.purchases += 1;
    if now_ms() < shop.opens_at_ms && shop.fault != Fault::OpensEarly {
        truth.refused_early += 1;
        return problem(425, "not-open", &json!({"waitMs": shop.opens_at_ms - now_ms()}));
    }
    if truth.busy_left > 0 {
        truth.busy_left -= 1;
        return problem(503, "busy", &Value::Null);
    }
    let known = truth
        .by_key
        .get(&key)
        .or_else(|| truth.by_buyer.get(&buyer))
        .cloned();
    let known = known.filter(|name| truth.by_key.contains_key(&key) || truth.tickets[name].closed.is_none());
    if let Some(name) = known.filter(|_| shop.fault != Fault::AnotherTicket) {
        if shop.fault == Fault::SoldOutToHolder {
            return problem(410, "sold-out", &Value::Null);
        }
        let view = shop.view(&mut truth, &name);
        return (StatusCode::OK, axum::Json(view)).into_response();
    }
    let free = truth.free.get_mut(&item).unwrap();
    if *free <= 0 && shop.fault != Fault::Oversells {
        return problem(410, "sold-out", &Value::Null);
    }
    *free -= 1;
    let name = format!("t{}", truth.purchases);
    let held = Held {
        buyer: buyer.clone(),
        item,
        since: Instant::now(),
        shown_reserved: false,
        paid: false,
        closed: None,
        looks: 0,
    };
    truth.tickets.insert(name.clone(), held);
    truth.by_key.insert(key, name.clone());
    truth.by_buyer.insert(buyer, name.clone());
    let view = shop.view(&mut truth, &name);
    (StatusCode::ACCEPTED, axum::Json(view)).into_response()
}

async fn look(State(shop): State<Arc<Shop>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut truth = shop.truth.lock().unwrap();
    truth.polls += 1;
    let unknown = truth
        .tickets
        .get(&name)
        .is_none_or(|t| t.buyer != buyer_of(&headers) || (shop.fault == Fault::Forgets && t.shown_reserved));
    if unknown {
        return problem(404, "unknown-ticket", &Value::Null);
    }
    axum::Json(shop.view(&mut truth, &name)).into_response()
}

async fn cancel(State(shop): State<Arc<Shop>>, Path(name): Path<String>) -> Response {
    let mut truth = shop.truth.lock().unwrap();
    let held = truth.tickets.get_mut(&name).unwrap();
    if held.paid {
        return problem(409, "not-cancellable", &Value::Null);
    }
    if held.closed.is_none() {
        held.closed = Some("cancelled");
        let item = held.item.clone();
        *truth.free.get_mut(&item).unwrap() += 1;
    }
    axum::Json(shop.view(&mut truth, &name)).into_response()
}

async fn callback(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> Response {
    use hmac::Mac as _;
    let mut truth = shop.truth.lock().unwrap();
    truth.callbacks += 1;
    let signature = headers["flashsale-signature"].to_str().unwrap();
    let (t, v1) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{t}.").as_bytes());
    mac.update(&body);
    let expected: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    if expected != v1 || now_ms().abs_diff(t.parse::<u64>().unwrap() * 1000) > 300_000 {
        truth.forged += 1;
        return problem(401, "forged-signature", &Value::Null);
    }
    let payment: Value = serde_json::from_slice(&body).unwrap();
    let order = payment["orderId"].as_str().unwrap();
    let name = order.strip_prefix("order-").unwrap();
    shop.view(&mut truth, name); // Closes it if it is late.
    let held = truth.tickets.get_mut(name).unwrap();
    let again = std::mem::replace(&mut held.paid, held.closed.is_none());
    let paid = held.paid && !(again && shop.fault == Fault::ForgetsPayments);
    let result = if paid { "paid" } else { "refundDue" };
    axum::Json(json!({"paymentId": payment["paymentId"], "orderId": order, "result": result})).into_response()
}

async fn sale(State(shop): State<Arc<Shop>>) -> Response {
    let mut truth = shop.truth.lock().unwrap();
    truth.looks_at_sale += 1;
    let names: Vec<String> = truth.tickets.keys().cloned().collect();
    for name in names {
        shop.view(&mut truth, &name); // Gives back what was not paid.
    }
    let item = |(id, free): (&String, &i64)| json!({"id": id, "availability": if *free > 0 { "Few" } else { "None" }});
    let all_paid = truth.tickets.values().all(|t| t.paid || t.closed.is_some());
    let phase = if all_paid && truth.free.values().all(|n| *n <= 0) {
        "Settled"
    } else {
        "Open"
    };
    let items: Vec<Value> = truth.free.iter().map(item).collect();
    axum::Json(json!({"name": "s", "phase": phase, "items": items})).into_response()
}

/// A running server; dropping it kills it with all its connections.
pub struct Server {
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub fn start(shop: &Arc<Shop>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let app = Router::new()
            .route("/v1/sales/s/purchases", post(purchase))
            .route("/v1/sales/s", get(sale))
            .route("/v1/tickets/{ticket}", get(look).delete(cancel))
            .route("/v1/payments/callback", post(callback))
            .with_state(Arc::clone(shop));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
