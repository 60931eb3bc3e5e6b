//! Rounds in which something is killed, and what a seed decides about each.

use crate::rest::AtRest;
use crate::stage::{PAYMENT_KEY, Script, Stage};
use crate::{REDIS, number};
use flashsale_buyers::{
    Crowd, CrowdConfig, CrowdError, Item, Outcome, PaymentSecret, Popularity, Shards, Shares, Skew,
    TicketState,
};
use flashsale_core::ids::Keyring;
use flashsale_dataplane::clock::now_ms;
use flashsale_servers::RealParts;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Before the opening there is time for all processes to start.
const OPENS_AFTER: Duration = Duration::from_millis(4_000);
/// How long the sale may take to settle once nothing is killed any more.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);
/// After the settlement, buyers may look at their tickets for so long.
const LAST_LOOKS: Duration = Duration::from_millis(700);

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Redis(usize),
    /// And all it wrote is gone.
    RedisWiped(usize),
    Sidecar(usize),
    Worker,
    Gateway(usize),
    Payments,
    Postgres,
    Pulsar,
}

/// A kill: so long after the opening (or before), and back so long after it.
#[derive(Debug, Clone, Copy)]
struct Kill {
    victim: Victim,
    at_ms: i64,
    down: Duration,
}

/// A round.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    shards: u16,
    sidecars: u16,
    stock: Vec<u32>,
    buyers: u32,
    window: Duration,
    payment_timeout: Duration,
    spread: Duration,
    /// All buyers are at home on shard 0, and get the units of the other shards by transfers.
    one_shard: bool,
    kills: Vec<Kill>,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let ms = |random: &mut StdRng, range| Duration::from_millis(random.random_range::<u64, _>(range));
        let items = random.random_range(1..=3);
        let stock = (0..items)
            .map(|_| random.random_range(300..=500) / items)
            .collect();
        let (shards, sidecars) = [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2)][random.random_range(0..5)];
        let window = ms(&mut random, 2_000..3_500);
        let last = window.as_millis() as i64 + 1_500;
        let mut kills: Vec<Kill> = (0..random.random_range(1..=3))
            .map(|_| Kill {
                victim: victim(&mut random, usize::from(sidecars)),
                at_ms: random.random_range(-300..last),
                down: ms(&mut random, 0..600),
            })
            .collect();
        kills.sort_by_key(|kill| kill.at_ms);
        Self {
            seed,
            shards,
            sidecars,
            stock,
            buyers: 1_200,
            window,
            payment_timeout: ms(&mut random, 400..1_200),
            spread: ms(&mut random, 300..1_500),
            one_shard: shards > 1 && seed.is_multiple_of(3),
            kills,
        }
    }
}

fn victim(random: &mut StdRng, sidecars: usize) -> Victim {
    match random.random_range(0..16) {
        0..=2 => Victim::Redis(random.random_range(0..REDIS)),
        3..=4 => Victim::RedisWiped(random.random_range(0..REDIS)),
        5..=7 => Victim::Sidecar(random.random_range(0..sidecars)),
        8..=10 => Victim::Worker,
        11..=12 => Victim::Gateway(random.random_range(0..2)),
        13 => Victim::Payments,
        14 => Victim::Postgres,
        _ => Victim::Pulsar,
    }
}

/// What a round showed.
#[derive(Debug, Default)]
struct Seen {
    problems: Vec<String>,
    promised: usize,
    paid: usize,
    retries: u64,
}

/// Plays the rounds that the environment asks for, one after the other on the same servers.
pub(crate) async fn play_all(servers: &mut RealParts) {
    let (rounds, first) = (
        number("FLASHSALE_KILL_ROUNDS", 3),
        number("FLASHSALE_KILL_SEED", 1),
    );
    let (mut failed, mut promised, mut paid) = (Vec::new(), 0, 0);
    let mut killed: BTreeMap<Victim, usize> = BTreeMap::new();
    for seed in first..first + rounds {
        let plan = Plan::of(seed);
        let started = Instant::now();
        let seen = play(servers, &plan).await;
        let verdict = if seen.problems.is_empty() { "ok" } else { "FAILED" };
        let kills: Vec<_> = plan.kills.iter().map(|kill| (kill.victim, kill.at_ms)).collect();
        println!(
            "seed {seed}: {verdict} in {:.1} s; {} shards{}, killed {kills:?}; {} promised, {} paid, {} retries",
            started.elapsed().as_secs_f64(),
            plan.shards,
            if plan.one_shard { ", all buyers on one" } else { "" },
            seen.promised,
            seen.paid,
            seen.retries
        );
        for problem in seen.problems.iter().take(20) {
            println!("  {problem}");
        }
        if !seen.problems.is_empty() {
            failed.push(seed);
        }
        plan.kills
            .iter()
            .for_each(|kill| *killed.entry(kill.victim).or_default() += 1);
        promised += seen.promised;
        paid += seen.paid;
    }
    println!(
        "{rounds} rounds, {} failed {failed:?}; killed {killed:?}; {promised} tickets shown as reserved, {paid} as paid",
        failed.len()
    );
    assert!(
        failed.is_empty(),
        "replay with FLASHSALE_KILL_ROUNDS=1 FLASHSALE_KILL_SEED={}",
        failed[0]
    );
    assert!(promised > 0, "no ticket was ever promised: nothing was tested");
}

async fn play(servers: &mut RealParts, plan: &Plan) -> Seen {
    let opens = now_ms() + OPENS_AFTER.as_millis() as u64;
    let script = Script {
        name: "killed",
        stock: plan.stock.clone(),
        shards: plan.shards,
        sidecars: plan.sidecars,
        opens,
        closes: opens + plan.window.as_millis() as u64,
        payment_timeout: plan.payment_timeout,
    };
    let mut stage = Stage::set(servers, &script);
    let mut seen = Seen::default();
    let (go_home, told) = oneshot::channel::<()>();
    let crowd = crowd(plan, &script, &stage).unwrap().run(async move {
        // Told, or the round has ended: either way the crowd goes home.
        let _ = told.await;
    });
    let crowd = tokio::spawn(crowd);
    let tormented = async {
        torment(servers, &mut stage, plan, opens).await?;
        stage.settled(SETTLES_WITHIN).await?;
        tokio::time::sleep(LAST_LOOKS).await;
        stage.end().await
    };
    if let Err(problem) = tormented.await {
        seen.problems.push(problem);
    }
    drop(go_home);
    match crowd.await.unwrap() {
        Ok(outcome) if seen.problems.is_empty() => check(&stage, &outcome, &mut seen).await,
        Ok(_) => {}
        Err(error) => seen.problems.push(error.to_string()),
    }
    if !seen.problems.is_empty() {
        let said = stage.errors();
        seen.problems.push(format!("what the processes said:\n{said}"));
    }
    seen
}

/// Kills and starts again as planned.
async fn torment(servers: &mut RealParts, stage: &mut Stage, plan: &Plan, opens: u64) -> Result<(), String> {
    for kill in &plan.kills {
        let at = opens.saturating_add_signed(kill.at_ms);
        tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms()))).await;
        let failed = |e: flashsale_servers::StartError| format!("{:?} doesn't come back: {e}", kill.victim);
        let process = match kill.victim {
            Victim::Redis(n) => {
                servers.redis[n].kill();
                tokio::time::sleep(kill.down).await;
                servers.redis[n].restart().await.map_err(failed)?;
                continue;
            }
            Victim::RedisWiped(n) => {
                servers.redis[n].kill();
                tokio::time::sleep(kill.down).await;
                servers.redis[n].restart_wiped().await.map_err(failed)?;
                continue;
            }
            Victim::Postgres => {
                servers.postgres.kill().map_err(failed)?;
                tokio::time::sleep(kill.down).await;
                servers.postgres.restart().await.map_err(failed)?;
                continue;
            }
            Victim::Pulsar => {
                servers.pulsar.kill();
                tokio::time::sleep(kill.down).await;
                servers.pulsar.restart().await.map_err(failed)?;
                continue;
            }
            Victim::Sidecar(n) => &mut stage.sidecars[n],
            Victim::Gateway(n) => &mut stage.gateways[n],
            Victim::Worker => &mut stage.worker,
            Victim::Payments => &mut stage.payments,
        };
        if let Some(status) = process.gone() {
            return Err(format!("{} ended by itself: {status}", process.name));
        }
        process.kill().await;
        tokio::time::sleep(kill.down).await;
        process.restart();
    }
    Ok(())
}

fn crowd(plan: &Plan, script: &Script, stage: &Stage) -> Result<Crowd, CrowdError> {
    let stock = plan.stock.iter().enumerate();
    let items = stock.map(|(ix, stock)| Item::new(format!("item-{ix}"), u64::from(*stock)));
    let mut config = CrowdConfig::new(stage.door(), script.name, items.collect(), plan.buyers);
    config.seed = plan.seed;
    config.popularity = Popularity::Zipf(1.0);
    let (keys, shards) = (Keyring::new(stage.uid), plan.shards);
    config.shards = Some(Shards {
        count: shards,
        home: Arc::new(move |id| keys.buyer(id).home(shards).0),
    });
    if plan.one_shard {
        config.skew = Skew::OneShard;
    }
    config.spread = plan.spread;
    config.opens_at_ms = script.opens;
    config.payment_secret = Some(PaymentSecret::new(PAYMENT_KEY));
    config.connections = 32;
    config.request_timeout = Duration::from_secs(4);
    config.attempts_max = 150;
    config.patience = Duration::from_secs(2);
    config.give_up_after = SETTLES_WITHIN * 2;
    config.shares = Shares {
        duplicates: 0.05,
        replays: 0.05,
        other_keys: 0.03,
        lost_answers: 0.02,
        early: 0.05,
        patient: 0.1,
        pay_twice: 0.1,
        cancels: 0.08,
        non_payers: 0.06,
        late_payers: 0.04,
    };
    Crowd::new(config)
}

async fn check(stage: &Stage, outcome: &Outcome, seen: &mut Seen) {
    seen.problems
        .extend(outcome.violations.iter().map(|v| format!("{v:?}")));
    let mut rest = AtRest::read(stage).await;
    let audit = rest.audit(outcome);
    let wrong = audit.checks.iter().filter(|(_, check)| !check.ok);
    seen.problems
        .extend(wrong.map(|(name, check)| format!("audit: {name}: {check:?}")));
    seen.problems.extend(rest.unkept(outcome));
    let shown = |state| outcome.tickets.iter().filter(|t| t.was_shown(state)).count();
    seen.promised = shown(TicketState::Reserved).max(shown(TicketState::Ordered));
    seen.paid = shown(TicketState::Paid);
    seen.retries = outcome.totals.retries;
}
