//! The shard in Redis equals the core's engine: seeded sequences of everything that a shard does, on a real redis-server.
//!
//! `FLASHSALE_CONFORMANCE_SEEDS=5000` runs more sequences, `FLASHSALE_CONFORMANCE_FROM=77` begins with another seed.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "pair/mod.rs"]
mod pair;
#[path = "pair/sequence.rs"]
mod sequence;

use flashsale_redis::{Options, Persistence, source};
use flashsale_servers::{Aof, RedisOptions, RedisServer};

/// Sequences that a plain test run makes.
const SEEDS: u64 = 300;
/// Sequences within which a broken library must be noticed.
const SEEDS_TO_NOTICE: u64 = 60;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

async fn server() -> (RedisServer, Options) {
    let server = RedisServer::start(RedisOptions {
        aof: Aof::Off,
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let options = Options {
        persistence: Persistence::Any,
        ..Options::new(server.url())
    };
    (server, options)
}

#[tokio::test]
async fn redis_and_the_core_agree_on_every_answer_every_event_and_the_whole_state() {
    let (_server, options) = server().await;
    let source = source();
    let from = number("FLASHSALE_CONFORMANCE_FROM", 0);
    let count = number("FLASHSALE_CONFORMANCE_SEEDS", SEEDS);
    for seed in from..from + count {
        if let Err(differs) = sequence::run(&options, seed, &source).await {
            panic!(
                "seed {seed} (FLASHSALE_CONFORMANCE_FROM={seed} FLASHSALE_CONFORMANCE_SEEDS=1 repeats it): {differs}"
            );
        }
    }
}

/// The library with one piece of its source replaced is noticed.
async fn notices(what: &str, piece: &str, broken: &str) {
    let (_server, options) = server().await;
    let sound = source();
    assert!(
        sound.contains(piece),
        "the library has no {piece:?} any more: this test must be told"
    );
    let source = sound.replacen(piece, broken, 1);
    for seed in 0..SEEDS_TO_NOTICE {
        if let Err(differs) = sequence::run(&options, seed, &source).await {
            println!(
                "{what}: noticed with seed {seed}: {}",
                differs.lines().next().unwrap_or_default()
            );
            return;
        }
    }
    panic!("nobody noticed a library with {what}");
}

#[tokio::test]
async fn a_library_without_the_limit_is_noticed() {
    notices("no limit per buyer", "held + quantity > stock.limit", "false").await;
}

#[tokio::test]
async fn a_library_that_mistakes_buyers_is_noticed() {
    notices("buyers mistaken", "string.sub(bytes, 1, 16) == buyer", "true").await;
}

#[tokio::test]
async fn a_library_that_releases_another_epochs_ticket_is_noticed() {
    notices("a release across epochs", "live and made_then == made", "live").await;
}

#[tokio::test]
async fn a_library_that_sells_in_another_order_is_noticed() {
    notices(
        "ranges that never merge",
        "first + len == stack.firsts[stack.top]",
        "false",
    )
    .await;
}

#[tokio::test]
async fn a_library_that_takes_a_transfer_twice_is_noticed() {
    notices(
        "a transfer taken twice",
        "number <= struct.unpack('>I4', last)",
        "false",
    )
    .await;
}

#[tokio::test]
async fn a_library_that_forgets_keys_is_noticed() {
    notices("keys forgotten", "one.fingerprint == fingerprint", "false").await;
}

#[tokio::test]
async fn a_library_that_sells_behind_the_close_is_noticed() {
    notices("no closing time", "shard.now >= shard.closes", "false").await;
}

#[tokio::test]
async fn a_library_that_loses_buyers_when_its_index_grows_is_noticed() {
    notices("buyers lost in a growing index", "moved[field] = entries", "").await;
}
