//! The same service over HTTP/2, within bounds.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use common::{Fixture, PATIENCE, start};
use flashsale_http::Limits;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

type Client = SendRequest<Full<Bytes>>;

async fn connect(server: &Fixture) -> Client {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("http://shop.example{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .header("x-buyer-id", "b1")
        .body(Full::new(body.into()))
        .unwrap()
}

async fn whole(response: Response<Incoming>) -> (http::response::Parts, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, test).await })
        .unwrap();
}

#[test]
fn all_kinds_of_answers_arrive_over_one_connection() {
    let server = start(Limits::default());
    run(async {
        let mut client = connect(&server).await;
        let (head, body) = whole(
            client
                .send_request(request("POST", "/a?b=c", "xyz"))
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(
            (head.status, body.as_str()),
            (StatusCode::OK, "Post /a Some(\"b=c\") Some(\"b1\") xyz")
        );
        assert!(head.headers.contains_key("date"));
        let (head, body) = whole(
            client
                .send_request(request("POST", "/sold-out", "{}"))
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(
            (head.status, body.as_str()),
            (StatusCode::GONE, "{\"status\":410}")
        );
        assert_eq!(head.headers["content-type"], "application/problem+json");
        let (_, body) = whole(client.send_request(request("GET", "/soon", "")).await.unwrap()).await;
        assert!(body.starts_with("Get /soon"), "{body:?}");
        let (head, body) = whole(
            client
                .send_request(request("HEAD", "/sold-out", ""))
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(
            (head.headers["content-length"].as_bytes(), body.as_str()),
            (&b"14"[..], "")
        );
        let (head, _) = whole(client.send_request(request("GET", "/nothing", "")).await.unwrap()).await;
        assert_eq!(head.status, StatusCode::NO_CONTENT);
    });
    assert_eq!(
        (server.stats().requests_h2, server.stats().connections_h2),
        (5, 1)
    );
}

#[test]
fn a_slow_answer_does_not_hold_back_others() {
    let server = start(Limits::default());
    run(async {
        let mut client = connect(&server).await;
        let held = client.send_request(request("GET", "/hold", ""));
        let (_, body) = whole(
            client
                .clone()
                .send_request(request("GET", "/b", ""))
                .await
                .unwrap(),
        )
        .await;
        assert!(body.starts_with("Get /b"), "{body:?}");
        server.release();
        let (_, body) = whole(held.await.unwrap()).await;
        assert!(body.starts_with("Get /hold"), "{body:?}");
    });
}

#[test]
fn events_come_as_they_happen() {
    let server = start(Limits::default());
    run(async {
        let mut client = connect(&server).await;
        let response = client.send_request(request("GET", "/events", "")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "event: hello\n\n");
        server.events.send("data: 1\n\n".into()).unwrap();
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(second, "data: 1\n\n");
        server.events.send("".into()).unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "");
    });
}

#[test]
fn bodies_and_heads_over_their_bounds_are_refused() {
    let server = start(Limits::default());
    run(async {
        let mut client = connect(&server).await;
        let (head, body) = whole(
            client
                .send_request(request("POST", "/", vec![b'x'; 4097]))
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(body.contains("body-too-large"), "{body:?}");
        let mut many = request("GET", "/", "");
        (0..40).for_each(|_| {
            many.headers_mut().append("x", "y".parse().unwrap());
        });
        let (head, _) = whole(client.send_request(many).await.unwrap()).await;
        assert_eq!(head.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let mut long = request("GET", "/", "");
        long.headers_mut().append("x", "y".repeat(9_000).parse().unwrap());
        match client.send_request(long).await {
            Ok(response) => assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            // The client's side may already know the server's bound.
            Err(error) => assert!(!error.is_closed(), "{error}"),
        }
    });
    assert_eq!(
        (server.stats().body_too_large, server.stats().requests_h2),
        (1, 0)
    );
}

#[test]
fn shutting_down_finishes_the_streams_in_flight() {
    let server = start(Limits::default());
    run(async {
        let mut client = connect(&server).await;
        let held = client.send_request(request("GET", "/hold", ""));
        server.gate.asked.notified().await;
        let Fixture { running, gate, .. } = server;
        let stopping = tokio::spawn(running.shutdown(Duration::from_secs(15)));
        gate.permits.add_permits(1);
        let (_, body) = whole(held.await.unwrap()).await;
        assert!(body.starts_with("Get /hold"), "{body:?}");
        stopping.await.unwrap().unwrap();
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let server = start(Limits {
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    run(async {
        let mut client = connect(&server).await;
        whole(client.send_request(request("GET", "/", "")).await.unwrap()).await;
        while client.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    server.until(|stats| stats.connections_open == 0 && stats.idle_closed == 1);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn a_flood_of_reset_streams_ends_the_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let server = start(Limits::default());
    let mut stream = server.connect();
    let mut flood = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
    ]
    .concat();
    for id in (1..4000).step_by(2) {
        // GET / of http://a, whole; then cancelled.
        flood.extend(frame(HEADERS, 5, id, &[0x82, 0x84, 0x86, 0x41, 1, b'a']));
        flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all);
        all
    });
    let _ = stream.write_all(&flood);
    let mut answer = &reading.join().unwrap()[..];
    let mut goaway = None;
    while answer.len() >= 9 {
        let length = u32::from_be_bytes([0, answer[0], answer[1], answer[2]]) as usize;
        if answer[3] == GOAWAY {
            goaway = Some(answer[13..17].to_vec());
        }
        answer = &answer[(9 + length).min(answer.len())..];
    }
    assert_eq!(
        goaway,
        Some(vec![0, 0, 0, 0xb]),
        "no GOAWAY that says: enhance your calm"
    );
    server.until(|stats| stats.connections_open == 0);
    assert!(server.stats().requests_h2 < 200, "{:?}", server.stats());
}
