//! Valid requests get the answers HTTP/1 says they get.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;

use common::{echoed, read_all, read_until, start};
use flashsale_http::Limits;

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let server = start(Limits::default());
    let answer = server.exchange(
        "GET /a?x=1 HTTP/1.1\r\nHost: a\r\nx-buyer-id:  b 1 \r\n\r\n\
         POST /sold-out HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\
         \r\n\
         POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nT: x\r\n\r\n\
         GET /c HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n\
         GET /unanswered HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let last = echoed("Get /c None None ").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    assert_eq!(
        answer,
        echoed("Get /a Some(\"x=1\") Some(\"b 1\") ")
            + "HTTP/1.1 410 Gone\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
               content-length: 14\r\n\r\n{\"status\":410}"
            + &echoed("Post /b None None abc")
            + &last
    );
    assert_eq!(server.stats().requests_h1, 4);
    assert_eq!(server.stats().connections_total, 1);
}

#[test]
fn an_answer_that_takes_longer_holds_back_those_after_it_but_not_their_work() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(
            b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /soon HTTP/1.1\r\nHost: a\r\n\r\n\
              GET /sold-out HTTP/1.1\r\nHost: a\r\n\r\nGET /hold?2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    server.until_held();
    // All four have reached the service before the first is answered; then an error is the last of them.
    let mut other = server.connect();
    other
        .write_all(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(
        read_until(&mut other, "/other None None "),
        echoed("Get /other None None ")
    );
    assert_eq!(server.stats().requests_h1, 5);
    server.release();
    server.release();
    let answer = read_all(&mut stream);
    let at = |text: &str| {
        answer
            .find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {answer:?}"))
    };
    assert!(at("Get /hold None") < at("Get /soon") && at("Get /soon") < at("410 Gone"));
    assert!(at("410 Gone") < at("Get /hold Some(\"2\")"));
}

#[test]
fn a_refusal_waits_for_the_answers_before_it() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        .unwrap();
    server.until_held();
    server.release();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    assert!(
        answer.contains("Get /hold None None HTTP/1.1 400 Bad Request\r\n"),
        "{answer:?}"
    );
}

#[test]
fn no_more_promises_are_taken_than_the_limit_and_all_are_kept() {
    let server = start(Limits {
        pipelined_replies: 4,
        ..Limits::default()
    });
    let mut stream = server.connect();
    for _ in 0..20 {
        stream
            .write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
    }
    for round in 0..20 {
        server.until_asked((4 + round).min(20));
        // Whatever else came by now has been left unread.
        assert!(server.stats().requests_h1 <= 4 + round);
        server.release();
        assert_eq!(
            read_until(&mut stream, "/hold None None "),
            echoed("Get /hold None None ")
        );
    }
}

#[test]
fn a_head_request_gets_the_head_of_the_answer_only() {
    let server = start(Limits::default());
    let answer = server.exchange(
        "HEAD /sold-out HTTP/1.1\r\nHost: a\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n\r\n\
         HEAD /events HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(
        answer,
        "HTTP/1.1 410 Gone\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         content-length: 14\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
         x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n\
         HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn an_http_1_0_connection_ends_with_its_answer() {
    let server = start(Limits::default());
    let answer = server.exchange("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
    assert_eq!(
        answer,
        echoed("Get /a None None ").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
    );
    let prepared = server.exchange("GET /sold-out HTTP/1.0\r\n\r\n");
    assert!(
        prepared.ends_with("content-length: 14\r\nconnection: close\r\n\r\n{\"status\":410}"),
        "{prepared:?}"
    );
}

#[test]
fn a_client_that_asks_before_sending_its_body_is_told_to_go_on_once() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    for byte in b"abc" {
        stream.write_all(&[*byte]).unwrap();
    }
    let answer = read_all(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Post /a None None abc"),
        "{answer:?}"
    );
}

#[test]
fn a_client_that_asks_before_its_turn_is_told_to_go_on_when_it_comes() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(
            b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n\
              POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        )
        .unwrap();
    server.until_held();
    server.release();
    let answers = read_until(&mut stream, "Continue\r\n\r\n");
    assert_eq!(
        answers,
        echoed("Get /hold None None ") + "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"abc").unwrap();
    assert_eq!(read_until(&mut stream, "abc"), echoed("Post /a None None abc"));
}

#[test]
fn an_absolute_target_is_read_as_its_path() {
    let server = start(Limits::default());
    for (target, seen) in [
        ("http://shop.example/a?b", "Get /a Some(\"b\") None "),
        ("HTTPS://shop.example", "Get / None None "),
        ("http://shop.example?b=/", "Get / Some(\"b=/\") None "),
        ("/a??b", "Get /a Some(\"?b\") None "),
        ("*", "Get * None None "),
    ] {
        let answer = server.exchange(format!("GET {target} HTTP/1.0\r\n\r\n"));
        assert!(
            answer.ends_with(&format!("\r\n\r\n{seen}")),
            "{target}: {answer:?}"
        );
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answers() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /half")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    server.until_held();
    server.release();
    assert_eq!(
        read_all(&mut stream),
        echoed("Get /hold None None ") + &echoed("Get /a None None ")
    );
}

#[test]
fn a_large_answer_arrives_whole_though_the_client_is_slow_to_start() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(
            b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let answer = read_all(&mut stream);
    assert_eq!(answer.matches('x').count(), 8 << 20);
    assert!(answer.ends_with("Get /a None None "));
}

#[test]
fn a_service_that_panics_costs_one_connection_and_leaves_nothing_behind() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    // Its earlier answer may be lost with it, but must never reach anybody else.
    let mut all = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut all);
    let answer = server.exchange("GET /b HTTP/1.0\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Get /b None None "),
        "{answer:?}"
    );
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer:?}");
}

#[test]
fn the_date_is_now() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream.write_all(b"GET /sold-out HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("date: "))
        .unwrap();
    let date = httpdate::parse_http_date(line).unwrap();
    let age = std::time::SystemTime::now().duration_since(date).unwrap();
    assert!(age.as_secs() < 5, "{line} is {age:?} ago");
}
