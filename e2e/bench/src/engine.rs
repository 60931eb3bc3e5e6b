//! The engine alone: how many attempts one core decides a second, in batches, each by another buyer.

use crate::Bench;
use crate::machine::thread_cpu_seconds;
use crate::report::{Figure, Section};
use anyhow::ensure;
use flashsale_core::attempt::{Answer, Attempt, Verdict};
use flashsale_core::engine::{Engine, Rules};
use flashsale_core::event::Event;
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Keyring, RequestKey, SaleUid};
use flashsale_core::units::UnitRange;

/// Units on sale, and buyers that get one.
const STOCK: u32 = 400_000;
/// Buyers that come too late.
const LATE: usize = 400_000;
/// Attempts decided in one go.
const BATCH: usize = 256;

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let winners = attempts(0, STOCK as usize);
    let late = attempts(STOCK as usize, LATE);
    let (mut accepted, mut sold_out, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench.progress.round(round, bench.rounds, "attempts on one core");
        let mut engine = stocked();
        accepted.push(rate(&mut engine, &winners, |v| {
            matches!(v, Verdict::Answer(Answer::Taken(_)))
        })?);
        sold_out.push(rate(&mut engine, &late, |v| matches!(v, Verdict::Empty))?);
        duplicates.push(rate(&mut engine, &winners, |v| {
            matches!(v, Verdict::Answer(Answer::Existing(_)))
        })?);
    }
    Ok(Section {
        name: "engine",
        method: format!(
            "One engine, one thread, batches of {BATCH} attempts, each by another buyer with an idempotency key, {STOCK} \
             units: first all are sold, then {LATE} others come, then all winners come again. By CPU time of the \
             thread; no journal, no HTTP."
        ),
        figures: vec![
            Figure::new("accepted", "attempts/s of CPU", accepted),
            Figure::new("refused: sold out", "attempts/s of CPU", sold_out),
            Figure::new("known: the same buyer again", "attempts/s of CPU", duplicates),
        ],
        notes: Vec::new(),
    })
}

fn stocked() -> Engine {
    let mut engine = Engine::new(Rules {
        opens: 0,
        closes: u64::MAX,
        limits: vec![1],
        registered_only: false,
        registrations_max: 0,
    });
    let units = UnitRange { first: 0, len: STOCK };
    engine.load(Epoch(1), 1, ItemIx(0), units, &mut Vec::new());
    engine
}

fn attempts(first: usize, count: usize) -> Vec<Attempt> {
    let keys = Keyring::new(SaleUid(7));
    let attempt = |n: usize| {
        let buyer_id: Box<str> = format!("buyer-{n:08}").into();
        let buyer: BuyerKey = keys.buyer(&buyer_id);
        let key: RequestKey = keys.request(buyer, b"0f8fad5b-d9cb-469f-a165-70867728950e");
        Attempt {
            token: n as u64,
            buyer,
            buyer_id,
            item: ItemIx(0),
            quantity: 1,
            key: Some(key),
        }
    };
    (first..first + count).map(attempt).collect()
}

/// Decides all attempts; how many a second of the thread's CPU time.
fn rate(
    engine: &mut Engine,
    attempts: &[Attempt],
    expected: impl Fn(&Verdict) -> bool,
) -> anyhow::Result<f64> {
    let mut as_expected = 0;
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(BATCH);
    let start = thread_cpu_seconds();
    for batch in attempts.chunks(BATCH) {
        let mut events: Vec<Event> = Vec::new();
        verdicts.clear();
        for attempt in batch {
            verdicts.push(engine.purchase(Epoch(1), 1, 0, attempt, &mut events));
        }
        as_expected += verdicts.iter().filter(|v| expected(v)).count();
        drop(std::hint::black_box(events));
    }
    let seconds = thread_cpu_seconds() - start;
    ensure!(
        as_expected == attempts.len(),
        "{as_expected} of {} attempts ended as expected",
        attempts.len()
    );
    Ok(attempts.len() as f64 / seconds)
}
