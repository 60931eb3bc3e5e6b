//! Server-sent events over HTTP/1.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;

use common::{read_all, read_until, start};
use flashsale_http::Limits;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
                    x-accel-buffering: no\r\n";

#[test]
fn events_come_as_they_happen_and_the_connection_goes_on_after_them() {
    let server = start(Limits::default());
    for path in ["/events", "/events-soon"] {
        let mut stream = server.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        .unwrap();
        let first = read_until(&mut stream, "hello\n\n\r\n");
        assert_eq!(
            first,
            format!("{HEAD}transfer-encoding: chunked\r\n\r\ne\r\nevent: hello\n\n\r\n")
        );
        server.events.send("data: 1\n\n".into()).unwrap();
        assert_eq!(read_until(&mut stream, "\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
        // More than one batch, with a length of more than one digit.
        server.events.send(vec![b'x'; 0x12345].into()).unwrap();
        let long = read_until(&mut stream, "x\r\n");
        assert!(
            long.starts_with("12345\r\nxxx") && long.len() == 0x12345 + 9,
            "{}",
            long.len()
        );
        stream
            .write_all(b"GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        server.events.send("".into()).unwrap();
        let rest = read_all(&mut stream);
        assert!(rest.starts_with("0\r\n\r\nHTTP/1.1 200 OK"), "{rest:?}");
        assert!(
            rest.contains("Get /after") && rest.ends_with("Get /later None None "),
            "{rest:?}"
        );
    }
}

#[test]
fn over_http_1_0_the_end_of_the_events_is_the_end_of_the_connection() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").unwrap();
    let first = read_until(&mut stream, "hello\n\n");
    assert_eq!(first, format!("{HEAD}connection: close\r\n\r\nevent: hello\n\n"));
    server.events.send("data: 1\n\n".into()).unwrap();
    server.events.send("".into()).unwrap();
    assert_eq!(read_all(&mut stream), "data: 1\n\n");
}

#[test]
fn a_client_that_goes_away_ends_its_stream() {
    let server = start(Limits::default());
    let mut stream = server.connect();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    read_until(&mut stream, "hello\n\n\r\n");
    drop(stream);
    server.until(|stats| stats.connections_open == 0);
}
