//! What is no valid request is refused, and nothing after it is looked at.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;

use common::{Fixture, start};
use flashsale_http::Limits;

/// Sends `request` and, in the same bytes, one that must never be answered.
fn refused(server: &Fixture, request: &str, status: &str) {
    let answer = server.exchange(format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
    let shown = &request[..request.len().min(120)];
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{shown:?} was answered with {answer:?}"
    );
    assert!(
        answer.contains("content-type: application/problem+json\r\n"),
        "{answer:?}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    assert!(
        answer.contains(&format!("\"status\":{}", &status[..3])),
        "{answer:?}"
    );
    assert_eq!(
        answer.matches("content-length:").count(),
        1,
        "{shown:?} was answered twice: {answer:?}"
    );
}

#[test]
fn ambiguous_and_malformed_requests_are_refused_and_the_connection_closed() {
    let server = start(Limits::default());
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    let table = [
        // Two ways to tell where the body ends.
        format!("{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
        format!("{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        format!("{post}Content-Length: 4\r\ncontent-length: 4\r\n\r\nabcd"),
        format!("{post}Content-Length: 4, 4\r\n\r\nabcd"),
        format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: identity\r\n\r\n"),
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        // Lengths that are no numbers.
        format!("{post}Content-Length: +4\r\n\r\nabcd"),
        format!("{post}Content-Length: -4\r\n\r\nabcd"),
        format!("{post}Content-Length: 0x4\r\n\r\nabcd"),
        format!("{post}Content-Length: 4 4\r\n\r\nabcd"),
        format!("{post}Content-Length:\r\n\r\nabcd"),
        // Names and lines.
        format!("{post}Content-Length : 4\r\n\r\nabcd"),
        format!("{post} Content-Length: 4\r\n\r\nabcd"),
        format!("{post}X: a\r\n folded\r\n\r\n"),
        format!("{post}X: a\r\n\tfolded\r\n\r\n"),
        format!("{post}: nameless\r\n\r\n"),
        format!("{post}No colon\r\n\r\n"),
        format!("{post}X: a\n\r\n"),
        format!("{post}X: a\r\n\n"),
        format!("{post}X: a\rY: b\r\n\r\n"),
        format!("{post}X: a\0b\r\n\r\n"),
        format!("{post}X\0: b\r\n\r\n"),
        format!("{post}X: a\x7fb\r\n\r\n"),
        "GET / HTTP/1.1\nHost: a\n\n".into(),
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        // The request line.
        "GET /\r\n\r\n".into(),
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(),
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(),
        "GET / http/1.1\r\nHost: a\r\n\r\n".into(),
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET / a HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        // Hosts.
        "GET / HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".into(),
    ];
    for request in &table {
        refused(&server, request, "400 Bad Request");
    }
    assert_eq!(server.stats().malformed, table.len() as u64);
    assert_eq!(server.stats().requests_h1, 0, "the service saw one of them");
}

#[test]
fn bad_chunks_are_refused_and_the_connection_closed() {
    let server = start(Limits::default());
    for chunks in [
        "g\r\n",
        "\r\n",
        "1\r\nab\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        "1\na\r\n0\r\n\r\n",
        "123456789\r\n",
        "1;\0\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        refused(&server, &request, "400 Bad Request");
    }
}

#[test]
fn heads_over_eight_kib_or_thirty_two_lines_are_refused_with_431() {
    let server = start(Limits::default());
    let lines = "X: y\r\n".repeat(32);
    refused(
        &server,
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"),
        "431 ",
    );
    let long = "y".repeat(8 * 1024);
    refused(
        &server,
        &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        "431 ",
    );
    refused(
        &server,
        &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "431 ",
    );
    // One that doesn't even end.
    refused(&server, &format!("GET /{long}{long}"), "431 ");
    assert_eq!(server.stats().head_too_large, 4);

    let lines = "X: y\r\n".repeat(30);
    let fits = server.exchange(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n"
    ));
    assert!(fits.starts_with("HTTP/1.1 200 OK"), "{fits:?}");
}

#[test]
fn bodies_over_four_kib_are_refused_with_413_before_they_are_sent() {
    let server = start(Limits::default());
    let long = "y".repeat(4097);
    refused(
        &server,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n",
        "413 ",
    );
    refused(
        &server,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "413 ",
    );
    refused(
        &server,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4097\r\n\r\n",
        "413 ",
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(&server, &format!("{chunked}1001\r\n"), "413 ");
    refused(
        &server,
        &format!("{chunked}1000\r\n{}\r\n1\r\n", &long[1..]),
        "413 ",
    );
    refused(
        &server,
        &format!("{chunked}{}", "1\r\ny\r\n".repeat(4000)),
        "413 ",
    );
    assert_eq!(server.stats().body_too_large, 6);

    let fits = server.exchange(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4096\r\n\r\n{}",
        &long[1..]
    ));
    assert!(fits.starts_with("HTTP/1.1 200 OK"), "{fits:?}");
}

#[test]
fn a_client_that_sends_on_after_a_refusal_still_gets_to_read_it() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
        .unwrap();
    stream.write_all(&[b'x'; 50_000]).unwrap();
    let answer = common::read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    assert!(
        answer.contains("https://flashsale.dev/problems/body-too-large"),
        "{answer:?}"
    );
}
