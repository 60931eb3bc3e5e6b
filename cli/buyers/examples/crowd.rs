//! Sends a crowd against a server, or against a bare responder inside this process to see what the crowd costs:
//!
//! ```text
//! cargo run --release -p flashsale-buyers --example crowd -- BUYERS STOCK [ADDRESS|- [SALE ITEM SECRET SPREAD_MS THREADS SEED]]
//! ```
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use flashsale_buyers::{Crowd, CrowdConfig, Item, PaymentSecret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| args.get(i).map_or(Ok(default), |a| a.parse());
    let (buyers, stock) = (number(0, 500_000)?, number(1, 10_000)?);
    let text = |i: usize, default: &str| args.get(i).map_or_else(|| default.to_owned(), Clone::clone);
    let address = match args.get(2).filter(|a| *a != "-") {
        Some(address) => address.parse()?,
        None => bare_responder(stock),
    };
    let mut config = CrowdConfig::new(
        address,
        text(3, "s"),
        vec![Item::new(text(4, "a"), stock)],
        buyers as u32,
    );
    config.payment_secret = Some(PaymentSecret::new(text(5, "secret")));
    config.shares.patient = 0.0;
    config.spread = Duration::from_millis(number(6, 5_000)?);
    config.threads = number(7, 1)? as usize;
    config.seed = number(8, 1)?;
    let crowd = Crowd::new(config)?;
    let outcome = crowd.run(std::future::pending()).await?;
    let t = &outcome.totals;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:?}\n{:?}\n{:?}",
        outcome.buyers, outcome.latency_ms, outcome.unexpected
    )?;
    writeln!(
        out,
        "80 % {:?} s, sold out {:?} s",
        outcome.seconds_to80_percent, outcome.seconds_to_sold_out
    )?;
    writeln!(
        out,
        "{} violations {:?}",
        outcome.violations_total,
        outcome.violations.first()
    )?;
    let cpu = outcome.client_cpu_seconds.unwrap_or_default();
    writeln!(
        out,
        "{} requests in {:.2} s = {:.0}/s, {:.2} µs of client CPU each",
        t.sent,
        outcome.duration_seconds,
        t.sent as f64 / outcome.duration_seconds,
        cpu * 1e6 / t.sent as f64
    )?;
    Ok(())
}

/// Answers as fast as it can: tickets until the stock is gone, then `sold-out`; tickets are ordered at once and
/// always look unpaid. It keeps no state and no promise.
fn bare_responder(stock: u64) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let sold = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let sold = std::sync::Arc::clone(&sold);
                tokio::spawn(async move { respond(stream, stock, &sold).await });
            }
        });
    });
    address
}

async fn respond(mut stream: tokio::net::TcpStream, stock: u64, sold: &std::sync::atomic::AtomicU64) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let sold_out = r#"{"type":"https://flashsale.dev/problems/sold-out","title":"Sold out","status":410}"#;
    while stream.read_buf(&mut input).await.is_ok_and(|n| n > 0) {
        let mut at = 0;
        while let Some(head) = input[at..].windows(4).position(|w| w == b"\r\n\r\n") {
            let body_from = at + head + 4;
            let length = input[at..body_from]
                .windows(16)
                .position(|w| w == b"Content-Length: ")
                .map_or(0, |p| {
                    let digits = input[at + p + 16..].iter().take_while(|b| b.is_ascii_digit());
                    digits.fold(0, |n, b| n * 10 + usize::from(b - b'0'))
                });
            if input.len() < body_from + length {
                break;
            }
            let (status, body) = match &input[at..at + 9] {
                b"POST /v1/" if input[at + 9] == b's' => {
                    let n = sold.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    match n < stock {
                        true => (
                            "202 Accepted",
                            format!(
                                r#"{{"ticket":"t{n}","state":"queued","position":{n},"waitSeconds":0.5}}"#
                            ),
                        ),
                        false => ("410 Gone", sold_out.to_owned()),
                    }
                }
                b"POST /v1/" => (
                    "200 OK",
                    r#"{"paymentId":"p","orderId":"o","result":"paid"}"#.to_owned(),
                ),
                _ => {
                    let end = input[at..].windows(5).position(|w| w == b" HTTP").unwrap();
                    let ticket = String::from_utf8_lossy(&input[at..at + end])
                        .rsplit('/')
                        .next()
                        .unwrap()
                        .to_owned();
                    ("200 OK", format!(r#"{{"ticket":"{ticket}","state":"paid"}}"#))
                }
            };
            let _ = write!(
                output,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            at = body_from + length;
        }
        input.drain(..at);
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}
