//! A server is killed without a warning in the middle of a sale, and started again. The process that serves goes on by
//! itself, and what a buyer was shown as reserved is there at the end.
//!
//! `FLASHSALE_KILL_ROUNDS` rounds more are played from seed `FLASHSALE_KILL_SEED` on, each killing a server that the
//! seed chooses, at a moment that it chooses; of every three of them one has all its buyers on one home shard.

use crate::common::served::{self, Served};
use crate::common::{PATIENCE, Place, Stock, adds_up, audit_on, yaml};
use crate::sales::units;
use crate::servers::{REDIS, options, servers};
use flashsale_servers::RealParts;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use std::time::Duration;

const ITEMS: [Stock<'static>; 2] = [("phone", 1_200), ("case", 800)];
const STOCK: u64 = 2_000;
const BUYERS: &str = "6000";
/// How long a sale with a fault in it may take on a busy machine.
const PLAYED_WITHIN: Duration = Duration::from_secs(180);

/// Who is killed, and what is left of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Redis { which: usize, left: Left },
    Pulsar,
    Postgres,
}

/// What a Redis that was killed comes back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Everything,
    Nothing,
    /// What a replica had got that lagged behind.
    Lagging,
}

/// For so long the replica has got nothing when it takes its primary's place.
const LAG: Duration = Duration::from_millis(400);

/// One kill.
#[derive(Debug, Clone, Copy)]
struct Blow {
    victim: Victim,
    /// Once so many units are reserved, or as soon after that as a look at the live page shows it.
    at: u64,
    /// For so long it is gone.
    gone: Duration,
    /// All buyers are at home on shard 0, and get the units of the other shards by transfers.
    one_shard: bool,
    /// Of the crowd.
    seed: u64,
}

impl Blow {
    fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let which = random.random_range(0..REDIS);
        let victim = match random.random_range(0..4) {
            0 => Victim::Pulsar,
            1 => Victim::Postgres,
            2 => Victim::Redis {
                which,
                left: Left::Nothing,
            },
            _ => Victim::Redis {
                which,
                left: if seed.is_multiple_of(2) {
                    Left::Lagging
                } else {
                    Left::Everything
                },
            },
        };
        Self {
            victim,
            at: random.random_range(0..STOCK * 3 / 4),
            gone: Duration::from_millis(random.random_range(0..1_500)),
            one_shard: seed.is_multiple_of(3),
            seed,
        }
    }

    async fn strike(self, parts: &mut RealParts) {
        match self.victim {
            Victim::Redis { which, left } => {
                let redis = &mut parts.redis[which];
                if left == Left::Lagging {
                    let replica = redis.replica().await.unwrap();
                    replica.freeze();
                    tokio::time::sleep(LAG).await;
                    redis.fail_over_to(replica).await.unwrap();
                    return;
                }
                redis.kill();
                tokio::time::sleep(self.gone).await;
                let back = match left {
                    Left::Nothing => redis.restart_wiped().await,
                    Left::Everything | Left::Lagging => redis.restart().await,
                };
                back.unwrap();
            }
            Victim::Pulsar => {
                parts.pulsar.kill();
                tokio::time::sleep(self.gone).await;
                parts.pulsar.restart().await.unwrap();
            }
            Victim::Postgres => {
                parts.postgres.kill().unwrap();
                tokio::time::sleep(self.gone).await;
                parts.postgres.restart().await.unwrap();
            }
        }
    }
}

fn start(place: &Place, options: &[String], blow: Blow) -> Served {
    // Where everything must be sold, who pays has the time to do so in spite of the kill.
    let (skew, timeout) = if blow.one_shard {
        ("one-shard", "20s")
    } else {
        ("zipf", "5s")
    };
    let mut up = place.up();
    up.args(["--opens-in", "3s", "--payment-timeout", timeout]);
    up.args(["--spread", "4s", "--once", "--shards", "8", "--skew", skew]);
    up.args(["--buyers", BUYERS, "--seed", &blow.seed.to_string()]);
    up.args(options).arg("--report").arg(place.path("report.json"));
    up.arg("--history").arg(place.path("history.jsonl"));
    Served::start(up, &place.path("ready.json"))
}

fn reserved(live: &Value) -> u64 {
    live["funnel"]["reserved"].as_u64().unwrap_or_default()
}

/// Plays a sale with a blow; its directory is kept if anything is wrong.
async fn survives(parts: &mut RealParts, blow: Blow) {
    let place = Place::new(&yaml("killed", &ITEMS));
    let options = options(parts, 2);
    let mut server = start(&place, &options, blow);
    let ready = server.ready(PATIENCE).await.unwrap();
    let enough = |live: &Value| live["phase"] == "Open" && reserved(live) >= blow.at;
    let before = served::until(ready.admin, PATIENCE, enough).await.unwrap();
    blow.strike(parts).await;
    let status = server.ended_within(PLAYED_WITHIN).await;
    let wrong = wrong(&place, &options, blow, &before).await;
    if !status.success() || wrong.is_some() {
        let errors = server.errors();
        panic!(
            "{blow:?}: {status}, {wrong:?}; all is kept in {}\n{errors}",
            place.keep().display()
        );
    }
    println!("{blow:?}: {} were reserved then", reserved(&before));
}

/// What the sale's own audit, its crowd, or the audit of `flashsale audit` found.
async fn wrong(place: &Place, options: &[String], blow: Blow, before: &Value) -> Option<String> {
    let report = std::fs::read(place.path("report.json")).ok();
    let report: Value = serde_json::from_slice(&report?).ok()?;
    let promises = &report["audit"]["checks"]["buyersSawNoBrokenPromise"];
    let followed = promises["detail"].as_str().unwrap_or_default();
    if report["audit"]["ok"] != true || promises["ok"] != true || followed.starts_with("0 ") {
        return Some(format!("{report:#}"));
    }
    let sold: u64 = units(&report).iter().map(|(sold, ..)| sold).sum();
    // How many are paid in time depends on how long the server was gone; that none was lost, the audits say.
    if sold == 0 || sold > STOCK || (blow.one_shard && sold != STOCK) {
        return Some(format!("{sold} were sold, after {before:#}"));
    }
    let (ended, again) = audit_on(&place.data(), options).await;
    let same = adds_up(&ended, &again) && again["items"] == report["items"];
    (!same).then(|| format!("flashsale audit: {ended:?}"))
}

async fn redis_killed(which: usize, left: Left, one_shard: bool) {
    let servers = servers().await;
    let mut parts = servers.parts.write().await;
    let blow = Blow {
        victim: Victim::Redis { which, left },
        at: STOCK / 5,
        gone: Duration::from_millis(500),
        one_shard,
        seed: 1,
    };
    survives(&mut parts, blow).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_with_its_data_loses_no_promise() {
    redis_killed(0, Left::Everything, false).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_loses_no_promise() {
    redis_killed(0, Left::Nothing, false).await;
}

#[tokio::test]
async fn a_replica_that_lags_behind_and_takes_its_primarys_place_loses_no_promise() {
    redis_killed(0, Left::Lagging, false).await;
}

#[tokio::test]
async fn buyers_of_one_shard_get_all_units_though_the_redis_of_that_shard_comes_back_empty() {
    redis_killed(0, Left::Nothing, true).await;
}

#[tokio::test]
async fn buyers_of_one_shard_get_all_units_though_the_redis_of_a_giving_shard_comes_back_empty() {
    redis_killed(1, Left::Nothing, true).await;
}

/// What the environment says, or else `default`.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| {
        text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}"))
    })
}

#[tokio::test]
async fn a_server_that_is_killed_at_any_moment_loses_no_promise() {
    let (rounds, first) = (
        number("FLASHSALE_KILL_ROUNDS", 1),
        number("FLASHSALE_KILL_SEED", 1),
    );
    let servers = servers().await;
    let mut parts = servers.parts.write().await;
    for seed in first..first + rounds {
        survives(&mut parts, Blow::of(seed)).await;
    }
}
