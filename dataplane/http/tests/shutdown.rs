//! Stopping finishes what is in flight, and only that.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Fixture, echoed, read_all, read_until, start, start_on};
use flashsale_http::Limits;

const LONG: Duration = Duration::from_secs(15);

fn served(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_until(stream, "Get / None None "), echoed("Get / None None "));
}

#[test]
fn shutting_down_closes_idle_connections_and_finishes_what_is_in_flight() {
    let server = start_on(Limits::default(), 2);
    let mut idle = server.connect();
    served(&mut idle);
    let mut held = server.connect();
    held.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /unread")
        .unwrap();
    server.until_held();
    let mut events = server.connect();
    events
        .write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    read_until(&mut events, "event: hello\n\n\r\n");

    let Fixture {
        running,
        gate,
        address,
        ..
    } = server;
    let stats = running.stats();
    let stopping = std::thread::spawn(move || running.shutdown_blocking(LONG));
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    drop(idle);
    assert_eq!(read_all(&mut events), "0\r\n\r\n");
    drop(events);
    // Each thread closes its own listener; the test would never end if one did not.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    while stats.total().connections_open > 1 {
        std::thread::yield_now();
    }
    gate.permits.add_permits(1);
    assert_eq!(
        read_until(&mut held, "/hold None None "),
        echoed("Get /hold None None ")
    );
    drop(held);
    stopping.join().unwrap().unwrap();
    assert_eq!(stats.total().connections_open, 0);
}

#[test]
fn shutting_down_waits_no_longer_than_the_grace_period() {
    let server = start(Limits::default());
    let mut held = server.connect();
    held.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    server.until_held();
    let begin = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(server.running.shutdown(Duration::from_millis(200)))
        .unwrap();
    assert!(
        begin.elapsed() >= Duration::from_millis(200) && begin.elapsed() < LONG,
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(held.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn a_request_answered_while_shutting_down_is_the_last_of_its_connection() {
    let server = start(Limits::default());
    let mut half = server.connect();
    half.write_all(b"GET / HTTP/1.1\r\nHost").unwrap();
    server.until(|stats| stats.bytes_in == 20);
    let Fixture { running, address, .. } = server;
    let stopping = std::thread::spawn(move || running.shutdown_blocking(LONG));
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    half.write_all(b": a\r\n\r\n").unwrap();
    let answer = read_all(&mut half);
    assert!(
        answer.contains("connection: close\r\n") && answer.ends_with("Get / None None "),
        "{answer:?}"
    );
    drop(half);
    stopping.join().unwrap().unwrap();
}

#[test]
fn a_thread_whose_service_cannot_be_made_is_reported() {
    let server =
        flashsale_http::Server::bind(&["127.0.0.1:0".parse().unwrap()], Limits::default(), 1).unwrap();
    let mut running = server
        .serve(|_| -> fn(&flashsale_http::Request<'_>) -> flashsale_http::Reply {
            panic!("no service, as the test wants")
        })
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(running.failed());
    let error = runtime.block_on(running.shutdown(LONG)).unwrap_err();
    assert!(
        matches!(error, flashsale_http::ServeError::Panicked(0)),
        "{error}"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let error = flashsale_http::Server::bind(&[address], Limits::default(), 1).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    let server = start(Limits::default());
    flashsale_http::Server::bind(&[server.address], Limits::default(), 1).expect_err("shared by two servers");
}
