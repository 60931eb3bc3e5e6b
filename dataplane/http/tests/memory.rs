//! What an idle connection costs. Alone in its process, so that nothing else changes the figure.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;

use common::{read_until, start};
use flashsale_http::Limits;

/// The memory of this process in bytes, that of the kernel's sockets not included.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

const CONNECTIONS: usize = 400;

/// The bytes each of many idle connections costs, after `request` was answered with something ending in `end`.
fn cost(request: &[u8], end: &str) -> usize {
    let server = start(Limits::default());
    let open = || {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        read_until(&mut stream, end);
        stream
    };
    let warm: Vec<_> = (0..20).map(|_| open()).collect();
    let before = resident();
    let streams: Vec<_> = (0..CONNECTIONS).map(|_| open()).collect();
    let each = resident().saturating_sub(before) / CONNECTIONS;
    println!(
        "{each} bytes for each of {} connections",
        streams.len() + warm.len()
    );
    each
}

/// One test, as two at a time would count each other's memory.
#[test]
fn an_idle_connection_costs_less_than_two_kib_and_an_event_stream_less_than_five() {
    let idle = cost(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", "None None ");
    assert!(idle < 2 * 1024, "{idle} bytes each");
    // More than half of this is the test's own: a channel and a task for each stream.
    let events = cost(
        b"GET /events HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        "hello\n\n\r\n",
    );
    assert!(events < 5 * 1024, "{events} bytes each");
}
