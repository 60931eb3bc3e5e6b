//! What was promised against what came true.

use crate::buyer::Buyer;
use crate::sale::{ITEMS, SHARDS};
use serde::Serialize;

/// Shorter waits don't count: a second more or less says nothing of them.
const WAIT_SECONDS_MIN: f64 = 5.0;

/// Errors of many promises, as shares of the real wait.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Errors {
    /// How many promises.
    pub(crate) promises: usize,
    /// Half are off by less.
    pub(crate) median: f64,
    /// Nine in ten are off by less.
    pub(crate) p90: f64,
    /// Half promise more than this above what came true; below nought they promised too little.
    pub(crate) bias: f64,
}

impl Errors {
    fn of(signed: impl Iterator<Item = f64>) -> Self {
        let mut signed: Vec<f64> = signed.collect();
        let mut absolute: Vec<f64> = signed.iter().map(|e| e.abs()).collect();
        signed.sort_by(f64::total_cmp);
        absolute.sort_by(f64::total_cmp);
        let at = |sorted: &[f64], q: f64| {
            let ix = (sorted.len() as f64 * q) as usize;
            sorted.get(ix).copied().unwrap_or_default()
        };
        Self {
            promises: signed.len(),
            median: at(&absolute, 0.5),
            p90: at(&absolute, 0.9),
            bias: at(&signed, 0.5),
        }
    }
}

/// How the promises of a run came true.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Promises {
    /// The first look of each buyer after the reservation was promised.
    pub(crate) first: Errors,
    /// The look half way between that and the order.
    pub(crate) half_time: Errors,
    /// The first looks by item, the most wanted first.
    pub(crate) by_item: Vec<Errors>,
    /// By shard.
    pub(crate) by_shard: Vec<Errors>,
    /// By place in the item's queue, a tenth of it at a time.
    pub(crate) by_decile: Vec<Errors>,
    /// The real wait in seconds of half of the buyers, and of all but one in a hundred.
    pub(crate) wait_seconds: [f64; 2],
}

struct Kept {
    item: usize,
    shard: usize,
    decile: usize,
    first: f64,
    half: Option<f64>,
}

impl Promises {
    /// Of all buyers.
    pub(crate) fn of(buyers: &[Buyer]) -> Self {
        let mut longest = [1; ITEMS];
        for buyer in buyers {
            let longest = &mut longest[usize::from(buyer.item)];
            *longest = buyer.place.max(*longest);
        }
        let kept: Vec<Kept> = buyers.iter().filter_map(|b| kept(b, &longest)).collect();
        let by = |which: fn(&Kept) -> usize, n: usize| {
            let one = |ix| Errors::of(kept.iter().filter(|k| which(k) == ix).map(|k| k.first));
            (0..n).map(one).collect()
        };
        let mut waits: Vec<f64> = buyers.iter().filter_map(waited).collect();
        waits.sort_by(f64::total_cmp);
        let wait = |q: f64| {
            waits
                .get((waits.len() as f64 * q) as usize)
                .copied()
                .unwrap_or(0.0)
        };
        Self {
            first: Errors::of(kept.iter().map(|k| k.first)),
            half_time: Errors::of(kept.iter().filter_map(|k| k.half)),
            by_item: by(|k| k.item, ITEMS),
            by_shard: by(|k| k.shard, usize::from(SHARDS)),
            by_decile: by(|k| k.decile, 10),
            wait_seconds: [wait(0.5), wait(0.99)],
        }
    }
}

fn waited(buyer: &Buyer) -> Option<f64> {
    let first = buyer.promises.first()?;
    Some(buyer.ordered_ms?.saturating_sub(first.at_ms) as f64 / 1e3)
}

fn kept(buyer: &Buyer, longest: &[u32; ITEMS]) -> Option<Kept> {
    let (ordered, first) = (buyer.ordered_ms?, buyer.promises.first()?);
    let error = |at_ms: u64, promised: f32| {
        let real = ordered.saturating_sub(at_ms) as f64 / 1e3;
        (real >= WAIT_SECONDS_MIN).then(|| (f64::from(promised) - real) / real)
    };
    let half = u64::midpoint(first.at_ms, ordered);
    let nearest = buyer.promises.iter().min_by_key(|p| p.at_ms.abs_diff(half))?;
    let item = usize::from(buyer.item);
    let tenths = u64::from(buyer.place.saturating_sub(1)) * 10 / u64::from(longest[item]);
    Some(Kept {
        item,
        shard: usize::from(buyer.shard),
        decile: tenths as usize,
        first: error(first.at_ms, first.seconds)?,
        half: (nearest.at_ms > first.at_ms)
            .then(|| error(nearest.at_ms, nearest.seconds))
            .flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buyer::Promise;

    fn buyer(promised: f32, real: u64) -> Buyer {
        Buyer {
            promises: vec![Promise {
                at_ms: 1_000,
                seconds: promised,
            }],
            ordered_ms: Some(1_000 + real * 1_000),
            place: 1,
            ..Buyer::default()
        }
    }

    #[test]
    fn an_error_is_a_share_of_the_real_wait_and_short_waits_do_not_count() {
        let promises = Promises::of(&[buyer(12.0, 10), buyer(100.0, 4)]);
        assert_eq!(promises.first.promises, 1);
        assert!((promises.first.median - 0.2).abs() < 1e-6);
        assert!((Promises::of(&[buyer(5.0, 10)]).first.bias + 0.5).abs() < 1e-6);
    }
}
