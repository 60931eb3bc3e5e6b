//! A gateway to measure: real sockets, host and journal, and a stand-in for the worker. `purchase_rate.sh` drives it.
//!
//! `cargo run --release -p flashsale-dataplane --example purchase_rate -- STOCK [THREADS] [DIR]` prints the address and
//! serves until its standard input ends; `LISTEN` says where. Limits are those of production, but for one buyer's.

#[path = "../tests/gateway/stand.rs"]
#[allow(unreachable_pub, reason = "shared with the tests")]
mod stand;

use stand::{Setup, Stand};
use std::path::PathBuf;
use tokio::io::AsyncReadExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(default, |n| n.parse().expect("a number"));
    let (stock, threads) = (number(1_000_000), number(1));
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut setup = Setup::default();
    setup.sale.items[0].stock = stock;
    setup.threads = threads as usize;
    // A load generator may be quicker with one buyer than any person.
    setup.options.limits.per_buyer = None;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let stand = Stand::start_in(setup, &parent).await;
        println!("{}", stand.base);
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        for (name, count) in stand.shared.counters.each().filter(|(_, count)| *count > 0) {
            println!("{name} {count}");
        }
        let [p50, p99, p999] = stand.shared.counters.latency.quantiles([0.5, 0.99, 0.999]);
        println!("from request to answer: p50 {p50} us, p99 {p99} us, p99.9 {p999} us");
    });
}
