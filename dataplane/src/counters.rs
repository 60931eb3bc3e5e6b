//! What has happened so far: the funnel, and how long answers took.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the process started. Each purchase request ends in exactly one of `won`,
        /// `sold_out`, `duplicate`, `limited`, `not_open`, `too_fast`, `busy` and `failed`.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// From a purchase request's arrival to its answer.
            pub latency: Latency,
        }

        impl Counters {
            /// All counts with their names, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.load(Ordering::Relaxed))),*].into_iter()
            }
        }
    };
}

counters! {
    /// HTTP requests answered.
    requests,
    /// Purchase requests that are well-formed and identified.
    attempts,
    /// Tickets given out.
    won,
    /// Told "sold out".
    sold_out,
    /// Told the ticket that they have.
    duplicate,
    /// More than the limit, another body under the same key, or not entitled.
    limited,
    /// Before the opening or behind the closing time.
    not_open,
    /// Too many requests of one buyer or address.
    too_fast,
    /// Told to come back later.
    busy,
    /// Malformed or not identified.
    failed,
    /// Batches sent to shards.
    core_calls,
    /// Attempts in them.
    core_attempts,
    /// Reservations promised.
    reserved,
    /// Orders made.
    ordered,
    /// Orders paid.
    paid,
    /// Orders closed.
    closed,
    /// Payments to give back.
    refund_due,
    /// Events that the database refused.
    dead_events,
    /// Messages delivered to the shop.
    delivered,
    /// Messages given up.
    dead_letters,
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

const SUB: u32 = 3;
const BUCKETS: usize = 32 << SUB;

/// A histogram of microseconds, with eight buckets to each doubling (within 9 %).
#[derive(Debug)]
pub struct Latency {
    buckets: Vec<AtomicU64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Latency {
    /// Records one duration.
    pub fn record(&self, micros: u64) {
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// The values below which the fractions `quantiles` of all recorded lie, in microseconds.
    #[must_use]
    pub fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> [u64; N] {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        quantiles.map(|q| {
            let rank = (total as f64 * q).ceil() as u64;
            let mut seen = 0;
            let at = counts.iter().position(|c| {
                seen += c;
                seen >= rank && seen > 0
            });
            at.map_or(0, upper)
        })
    }
}

fn bucket(micros: u64) -> usize {
    let value = micros.max(1 << SUB);
    let exponent = value.ilog2();
    let sub = (value >> (exponent - SUB)) & ((1 << SUB) - 1);
    ((((exponent - SUB) << SUB) as usize) + sub as usize).min(BUCKETS - 1)
}

fn upper(bucket: usize) -> u64 {
    let (exponent, sub) = ((bucket >> SUB) as u32, (bucket & ((1 << SUB) - 1)) as u64);
    ((sub + (1 << SUB) + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let latency = Latency::default();
        (1..=10_000).for_each(|micros| latency.record(micros));
        let [p50, p99] = latency.quantiles([0.5, 0.99]);
        assert!((5_000..5_700).contains(&p50), "{p50}");
        assert!((9_900..11_300).contains(&p99), "{p99}");
        assert_eq!(Latency::default().quantiles([0.5]), [0]);
    }
}
