//! Every wait ends, and every count has its limit.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{echoed, read_all, read_until, start, start_on};
use flashsale_http::Limits;

const SHORT: Duration = Duration::from_millis(300);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn served(stream: &mut TcpStream) {
    stream.write_all(GET).unwrap();
    assert_eq!(read_until(stream, "Get / None None "), echoed("Get / None None "));
}

#[test]
fn a_slow_head_is_refused_with_408_however_busily_it_drips() {
    let server = start(Limits {
        head_timeout: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    served(&mut stream);
    let begin = Instant::now();
    let mut drip = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let _ = drip.write_all(b"GET / HTTP/1.1\r\nX: ");
        // The pace of the attack itself; the server's answer ends it.
        while drip.write_all(b"x").is_ok() && begin.elapsed() < common::PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{answer:?}"
    );
    assert!(
        begin.elapsed() >= SHORT - Duration::from_millis(100),
        "after {:?}",
        begin.elapsed()
    );
    drop(stream);
    dripping.join().unwrap();
    assert_eq!(server.stats().too_slow, 1);
}

#[test]
fn a_slow_body_is_refused_with_408() {
    let server = start(Limits {
        body_timeout: SHORT,
        ..Limits::default()
    });
    let whole = server.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc");
    assert!(whole.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{whole:?}");
    let chunked =
        server.exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert!(
        chunked.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{chunked:?}"
    );
}

#[test]
fn a_busy_connection_never_runs_into_the_deadline_of_an_earlier_request() {
    let server = start(Limits {
        head_timeout: SHORT,
        body_timeout: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    let begin = Instant::now();
    // Each write ends one request and begins the next, so there is always an unfinished one.
    stream.write_all(&GET[..10]).unwrap();
    while begin.elapsed() < SHORT * 4 {
        stream.write_all(&[&GET[10..], &GET[..10]].concat()).unwrap();
        assert_eq!(
            read_until(&mut stream, "Get / None None "),
            echoed("Get / None None ")
        );
    }
}

#[test]
fn an_idle_connection_is_closed_and_one_never_used_too() {
    let server = start(Limits {
        idle_timeout: SHORT,
        ..Limits::default()
    });
    let mut used = server.connect();
    served(&mut used);
    assert_eq!(used.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.connect().read(&mut [0; 1]).unwrap(), 0);
    drop(used);
    server.until(|stats| stats.connections_open == 0);
    assert_eq!(server.stats().idle_closed, 2);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let server = start(Limits {
        write_timeout: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    server.until(|stats| stats.connections_open == 0 && stats.connections_total == 1);
    assert_eq!(server.stats().write_timeouts, 1);
}

#[test]
fn events_wait_for_a_client_that_does_not_read_and_then_drop_it() {
    let server = start(Limits {
        write_timeout: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    read_until(&mut stream, "event: hello\n\n\r\n");
    let event = bytes::Bytes::from(vec![b'e'; 64 * 1024]);
    // Sends until it is over; how much the kernel takes before it blocks is not for us to know.
    let begin = Instant::now();
    while server.stats().connections_open == 1 && begin.elapsed() < common::PATIENCE {
        let _ = server.events.send(event.clone());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(server.stats().write_timeouts, 1);
}

#[test]
fn a_promise_that_is_never_kept_ends_with_its_connection() {
    let server = start(Limits {
        reply_timeout: SHORT,
        ..Limits::default()
    });
    assert_eq!(server.exchange("GET /never HTTP/1.1\r\nHost: a\r\n\r\n"), "");
    assert_eq!(server.stats().reply_timeouts, 1);
}

#[test]
fn connections_over_the_limit_of_a_thread_get_503_until_one_is_closed() {
    let server = start(Limits {
        connections_per_thread: 2,
        ..Limits::default()
    });
    let mut first = server.connect();
    let mut second = server.connect();
    served(&mut first);
    served(&mut second);
    let refused = server.exchange(GET);
    assert!(
        refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{refused:?}"
    );
    assert!(
        refused.contains("retry-after: 1\r\n") && refused.contains("connection: close\r\n"),
        "{refused:?}"
    );
    assert_eq!(server.stats().refused_thread_full, 1);
    drop(first);
    server.until(|stats| stats.connections_open == 1);
    served(&mut server.connect());
}

#[test]
fn connections_over_the_limit_of_a_client_get_503_over_all_threads() {
    let server = start_on(
        Limits {
            connections_per_peer: 3,
            ..Limits::default()
        },
        2,
    );
    let mut open: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    open.iter_mut().for_each(served);
    let refused = read_all(&mut server.connect());
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused:?}");
    assert_eq!(server.stats().refused_peer_full, 1);
    assert_eq!(server.stats().connections_open, 3);
    open.pop();
    server.until(|stats| stats.connections_open == 2);
    served(&mut server.connect());
}
