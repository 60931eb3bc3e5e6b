//! How bytes are cut into segments changes nothing, and no bytes make the server panic.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::{Fixture, read_all, start};
use flashsale_http::Limits;
use proptest::prelude::*;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// One server for all cases; panics on its thread are counted.
fn server() -> &'static Fixture {
    static SERVER: OnceLock<Fixture> = OnceLock::new();
    SERVER.get_or_init(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("http-"))
            {
                PANICS.fetch_add(1, SeqCst);
            }
            report(info);
        }));
        start(Limits::default())
    })
}

/// One of the valid requests there are.
fn request() -> impl Strategy<Value = String> {
    let body = prop::collection::vec("[a-z]{1,40}", 0..4);
    prop_oneof![
        Just("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Buyer-Id: b1\r\n\r\n".to_string()),
        Just("HEAD /sold-out HTTP/1.1\r\nhost: a\r\n\r\n".to_string()),
        Just("\r\nGET /soon HTTP/1.1\r\nhost: a\r\n\r\n".to_string()),
        "[a-z]{0,300}".prop_map(|body| format!(
            "POST /sold-out HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
        body.prop_map(|chunks| {
            let chunks: String = chunks
                .iter()
                .map(|c| format!("{:x};e\r\n{c}\r\n", c.len()))
                .collect();
            format!(
                "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nT: u\r\n\r\n"
            )
        }),
    ]
}

const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pipelined_stream_is_answered_the_same_however_it_is_split(
        requests in prop::collection::vec(request(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        // One by one, each on its own connection: what is right.
        let single: String = requests.iter().map(|request| {
            let mut stream = server().connect();
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            read_all(&mut stream)
        }).collect();
        let expected = single + &server().exchange(LAST);

        let whole = requests.concat() + LAST;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let mut stream = server().connect();
        let mut sent = server().stats().bytes_in;
        for piece in cuts.windows(2) {
            stream.write_all(&whole.as_bytes()[piece[0]..piece[1]]).unwrap();
            // Each piece is read before the next is sent, or they would be one to the server.
            sent += (piece[1] - piece[0]) as u64;
            server().until(|stats| stats.bytes_in >= sent);
        }
        prop_assert_eq!(read_all(&mut stream), expected);
    }

    #[test]
    fn no_bytes_make_the_server_panic_or_hang(
        start in prop_oneof![
            Just(""), Just("GET / HTTP/1.1\r\nHost: a\r\n"), Just("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Just("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Just("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"), Just("P"),
        ],
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "[ -~\r\n]{0,200}".prop_map(String::into_bytes),
            "(0|1|a|\r\n|:|;){0,80}".prop_map(String::into_bytes),
        ],
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = [start.as_bytes(), &bytes].concat();
        let mut stream = server().connect();
        let cut = if whole.is_empty() { 0 } else { cut.index(whole.len()) };
        // The server may have refused and closed after the first part.
        let _ = stream.write_all(&whole[..cut]).and_then(|()| stream.write_all(&whole[cut..]));
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            prop_assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        prop_assert_eq!(PANICS.load(SeqCst), 0);
    }
}
