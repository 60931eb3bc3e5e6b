//! One thread that answers every purchase with "sold out", for comparing with other servers:
//! `cargo run --release -p flashsale-http --example hello -- 127.0.0.1:8080`

use std::time::Duration;

use flashsale_http::{Limits, Method, Prepared, Reply, Request, Response, Server, StatusCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let limits = Limits {
        connections_per_peer: u32::MAX,
        ..Limits::default()
    };
    let server = Server::bind(&[address.parse()?], limits, 1)?;
    println!("{}", server.local_addrs()[0]);
    let mut running = server.serve(|_thread| {
        let prepared = |status, body: &'static str| -> &'static Prepared {
            Box::leak(Box::new(Prepared::new(Response::problem(status, body))))
        };
        let sold_out = prepared(StatusCode::GONE, r#"{"type":"sold-out","detail":"all gone!"}"#);
        let unauthenticated = prepared(StatusCode::UNAUTHORIZED, r#"{"type":"unauthenticated"}"#);
        move |request: &Request<'_>| -> Reply {
            let buyer = request.headers.get("x-buyer-id");
            let key = request.headers.get("idempotency-key");
            if request.method == Method::Post && buyer.is_some() && key.is_some_and(|key| key.len() <= 64) {
                sold_out.into()
            } else {
                unauthenticated.into()
            }
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            () = running.failed() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        running.shutdown(Duration::from_secs(5)).await
    })?;
    Ok(())
}
