//! What the contract says of every call.

use crate::calls::Answer;
use crate::stand::{Setup, Stand};
use reqwest::Method;

#[tokio::test]
async fn the_sale_is_told_as_the_contract_says() {
    let stand = Stand::start(Setup::default()).await;
    let sale = stand.get("/v1/sales/phone-launch", "").await;
    assert_eq!(
        (sale.status, sale.header("cache-control")),
        (200, "public, max-age=1")
    );
    for (field, value) in [
        ("name", "phone-launch"),
        ("namespace", "shop"),
        ("phase", "Open"),
        ("currency", "EUR"),
    ] {
        assert_eq!(sale.body[field], value);
    }
    assert_eq!(sale.body["buyers"]["source"], "TrustedHeader");
    assert_eq!(sale.body["buyers"]["header"], "X-Buyer-Id");
    assert_eq!(sale.body["items"][0]["price"], "699.00");
    assert_eq!(sale.body["items"][0]["limitPerBuyer"], 1);
    assert!(sale.body["openTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        stand.get("/v1/sales/other", "").await.problem(),
        (404, "unknown-sale")
    );
    let purchase = stand.post_body("/v1/sales/other/purchases", "alice", "{}").await;
    assert_eq!(purchase.problem(), (404, "unknown-sale"));
}

#[tokio::test]
async fn the_time_is_the_servers_and_never_cached() {
    let stand = Stand::start(Setup::default()).await;
    let time = stand.get("/v1/time", "").await;
    let now = flashsale_dataplane::clock::now_ms();
    assert!(now.abs_diff(time.body["nowMs"].as_u64().unwrap()) < 10_000);
    assert_eq!(time.header("cache-control"), "no-store");
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_there_are() {
    let stand = Stand::start(Setup::default()).await;
    for (method, path, allow) in [
        (Method::GET, "/v1/sales/phone-launch/purchases", "POST"),
        (Method::HEAD, "/v1/payments/callback", "POST"),
        (Method::POST, "/v1/time", "GET, HEAD"),
        (Method::OPTIONS, "/v1/sales/phone-launch", "GET, HEAD"),
        (Method::PUT, "/v1/tickets/abc", "GET, HEAD, DELETE"),
        (Method::DELETE, "/v1/tickets/abc/events", "GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/", "GET, HEAD"),
    ] {
        let answer = Answer::of(stand.call(method.clone(), path, "alice")).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, allow),
            "{method} {path}"
        );
    }
    for path in [
        "/nothing",
        "/v1",
        "/v1/sales/",
        "/v1/sales/phone-launch/x",
        "/live",
        "/metrics",
    ] {
        assert_eq!(stand.get(path, "").await.problem(), (404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let stand = Stand::start(Setup::default()).await;
    for path in ["/", "/ticket", "/openapi.json", "/v1/sales/phone-launch"] {
        let (get, head) = (
            stand.call(Method::GET, path, ""),
            stand.call(Method::HEAD, path, ""),
        );
        let (get, head) = (get.send().await.unwrap(), head.send().await.unwrap());
        assert_eq!(
            (get.status(), head.status()),
            (reqwest::StatusCode::OK, reqwest::StatusCode::OK)
        );
        assert_eq!(get.headers()["content-type"], head.headers()["content-type"]);
        assert!(!get.bytes().await.unwrap().is_empty() && head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn pages_run_nothing_but_their_own_script() {
    let stand = Stand::start(Setup::default()).await;
    for path in ["/", "/ticket"] {
        let page = stand.call(Method::GET, path, "").send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        assert!(page.text().await.unwrap().contains("\"phone-launch\""));
    }
}

#[tokio::test]
async fn the_description_of_the_api_names_every_call() {
    let stand = Stand::start(Setup::default()).await;
    let api = stand.get("/openapi.json", "").await;
    assert_eq!(api.body["openapi"], "3.1.0");
    for path in [
        "/v1/time",
        "/v1/sales/{sale}",
        "/v1/sales/{sale}/purchases",
        "/v1/sales/{sale}/registrations",
        "/v1/tickets/{ticket}",
        "/v1/tickets/{ticket}/events",
        "/v1/payments/callback",
        "/dev/pay/{ticket}",
        "/openapi.json",
        "/",
        "/ticket",
    ] {
        assert!(api.body["paths"][path].is_object(), "{path}");
    }
}
