//! What it takes to know 10,000 winners again: 8 shards on one Redis, 10,000 coupons, 5,000,000 distinct buyers.

use super::shard::{EPOCH, Open};
use crate::Bench;
use crate::report::{Figure, Goal, Section};
use flashsale_core::attempt::{Answer, Attempt, Verdict};
use flashsale_core::ids::{ItemIx, Keyring, SaleUid, ShardId};
use flashsale_core::units;
use flashsale_redis::{ATTEMPTS_MAX, Memory, Options, ShardName};
use flashsale_servers::{RedisOptions, RedisServer};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Instant;

const SHARDS: u16 = 8;
const COUPONS: u32 = 10_000;
const BUYERS: u64 = 5_000_000;
/// What is kept per buyer (index, records) may take so much.
const KILOBYTES_MAX: f64 = 600.0;
/// Memory hardly differs between rounds.
const ROUNDS_MAX: usize = 2;
const SEED: u64 = 2026;

/// The kinds of buyer ids.
const IDS: [&str; 2] = ["numeric ids", "UUID ids"];

/// What one sale took.
struct Took {
    sold: f64,
    memory: Memory,
    per_second: f64,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let runtime = super::runtime()?;
    let rounds = bench.rounds.min(ROUNDS_MAX);
    let mut took: [Vec<Took>; IDS.len()] = Default::default();
    for round in 0..rounds {
        for (kind, what) in IDS.iter().enumerate() {
            bench.progress.round(round, rounds, what);
            let uid = SaleUid((round * IDS.len() + kind + 1) as u128);
            let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED + round as u64);
            let sold = runtime.block_on(sale(uid, |n| match kind {
                0 => (4_000_000_000 + n).to_string(),
                _ => uuid(&mut random),
            }))?;
            took[kind].push(sold);
        }
    }
    let all = IDS.iter().zip(&took);
    Ok(Section {
        name: "coupons",
        method: format!(
            "{COUPONS} coupons on {SHARDS} shards in one Redis, wanted by {BUYERS} distinct buyers in batches of \
             {ATTEMPTS_MAX}, one call at a time; then the sum of `MEMORY USAGE` over all keys, and of those by which a \
             buyer is known again (index and records)."
        ),
        figures: all.flat_map(|(ids, took)| figures(ids, took)).collect(),
        notes: Vec::new(),
    })
}

fn figures(ids: &str, took: &[Took]) -> [Figure; 5] {
    let of = |what: fn(&Took) -> f64| took.iter().map(what).collect::<Vec<_>>();
    [
        Figure::new(format!("{ids}: sold"), "coupons", of(|t| t.sold))
            .goal(Goal::Exactly(f64::from(COUPONS))),
        Figure::new(
            format!("{ids}: memory to know the winners again"),
            "kB",
            of(|t| t.memory.dedupe as f64 / 1e3),
        )
        .goal(Goal::AtMost(KILOBYTES_MAX)),
        Figure::new(
            format!("{ids}: the same"),
            "bytes/winner",
            of(|t| t.memory.dedupe as f64 / t.sold),
        ),
        Figure::new(
            format!("{ids}: all keys of the sale"),
            "kB",
            of(|t| t.memory.all as f64 / 1e3),
        ),
        Figure::new(
            format!("{ids}: buyers answered, hashing included"),
            "buyers/s",
            of(|t| t.per_second),
        ),
    ]
}

/// A random version 4 UUID.
fn uuid(random: &mut impl Rng) -> String {
    let bits = (random.random::<u128>() & !(0xf << 76) & !(0b11 << 62)) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Offers the coupons to all buyers.
async fn sale(uid: SaleUid, mut id: impl FnMut(u64) -> String) -> anyhow::Result<Took> {
    let server = RedisServer::start(RedisOptions::default()).await?;
    let (options, ring) = (Options::new(server.url()), Keyring::new(uid));
    let mut shards = Vec::new();
    for shard in 0..SHARDS {
        let name = ShardName::new(uid, ShardId(shard));
        shards.push(Open::new(&options, name, units::share(COUPONS, shard, SHARDS)).await?);
    }
    let started = Instant::now();
    let mut batches: Vec<Vec<Attempt>> = vec![Vec::new(); usize::from(SHARDS)];
    let mut sold = 0u64;
    for n in 0..BUYERS {
        let buyer_id = id(n);
        let buyer = ring.buyer(&buyer_id);
        let home = buyer.home(SHARDS).ix();
        batches[home].push(Attempt {
            token: n,
            buyer,
            buyer_id: buyer_id.into(),
            item: ItemIx(0),
            quantity: 1,
            key: None,
        });
        if batches[home].len() == ATTEMPTS_MAX {
            sold += offer(&shards[home], &mut batches[home]).await?;
        }
    }
    for (shard, batch) in shards.iter().zip(&mut batches) {
        sold += offer(shard, batch).await?;
    }
    let per_second = BUYERS as f64 / started.elapsed().as_secs_f64();
    let mut memory = Memory::default();
    for shard in &shards {
        let one = shard.sidecar.memory().await?;
        memory.dedupe += one.dedupe;
        memory.outbox += one.outbox;
        memory.all += one.all;
    }
    Ok(Took {
        sold: sold as f64,
        memory,
        per_second,
    })
}

/// Offers a coupon to each of a batch, which is empty then; how many got one.
async fn offer(shard: &Open, batch: &mut Vec<Attempt>) -> anyhow::Result<u64> {
    if batch.is_empty() {
        return Ok(0);
    }
    let verdicts = shard.gateway.purchase(EPOCH, &[0], batch).await?;
    batch.clear();
    let taken = |verdict: &&Verdict| matches!(verdict, Verdict::Answer(Answer::Taken(_)));
    Ok(verdicts.iter().filter(taken).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_looks_like_one() {
        let one = uuid(&mut Xoshiro256PlusPlus::seed_from_u64(1));
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4', "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
    }
}
