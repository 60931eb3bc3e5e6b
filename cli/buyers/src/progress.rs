//! Figures that can be read while the crowd runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::outcome::Latency;

/// Latencies are kept in microseconds up to this, with three significant digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Counters of a running crowd; cheap to write, read with [`Progress::snapshot`].
#[derive(Debug)]
pub struct Progress {
    pub(crate) total: u64,
    pub(crate) arrived: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) repeats: AtomicU64,
    /// Signed: a ticket that turns out to have failed takes its buyer out again.
    pub(crate) won: AtomicI64,
    pub(crate) duplicate: AtomicI64,
    pub(crate) sold_out: AtomicU64,
    pub(crate) limited: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) waiting: AtomicI64,
    pub(crate) patient: AtomicI64,
    pub(crate) paid: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) violations: AtomicU64,
    latency_us: Mutex<Histogram<u64>>,
}

/// [`Progress`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Buyers of the whole crowd.
    pub total: u64,
    /// Buyers whose time to come has passed.
    pub arrived: u64,
    /// Requests sent, of any kind.
    pub sent: u64,
    /// Answers received, of any kind.
    pub answered: u64,
    /// Requests sent again after a lost connection, a 503, a 429 or a 425.
    pub retries: u64,
    /// Purchases answered with a ticket the buyer already had.
    pub repeats: u64,
    /// Buyers with a ticket.
    pub won: u64,
    /// Buyers who hold only a ticket from before this run.
    pub duplicate: u64,
    /// Buyers who left with nothing because it was sold out.
    pub sold_out: u64,
    /// Buyers refused by a limit.
    pub limited: u64,
    /// Buyers who failed for another reason.
    pub failed: u64,
    /// Tickets last shown as queued or reserved.
    pub waiting: u64,
    /// Patient buyers watching for stock.
    pub patient: u64,
    /// Tickets paid.
    pub paid: u64,
    /// Tickets cancelled by their buyer.
    pub cancelled: u64,
    /// Broken promises seen so far.
    pub violations: u64,
    /// Latency so far, from the intended arrival to the first definite answer.
    pub latency_ms: Latency,
}

impl Progress {
    pub(crate) fn new(total: u64) -> Self {
        #[expect(clippy::expect_used, reason = "the bounds are constants")]
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .expect("1 ≤ low, 2 × low ≤ high and at most 5 digits, as the histogram asks");
        Self {
            total,
            arrived: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            won: AtomicI64::new(0),
            duplicate: AtomicI64::new(0),
            sold_out: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
            patient: AtomicI64::new(0),
            paid: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            latency_us: Mutex::new(histogram),
        }
    }

    /// The figures now. Each is exact; together they may be a few microseconds apart.
    pub fn snapshot(&self) -> Snapshot {
        let signed = |value: &AtomicI64| value.load(Relaxed).max(0) as u64;
        Snapshot {
            total: self.total,
            arrived: self.arrived.load(Relaxed),
            sent: self.sent.load(Relaxed),
            answered: self.answered.load(Relaxed),
            retries: self.retries.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            won: signed(&self.won),
            duplicate: signed(&self.duplicate),
            sold_out: self.sold_out.load(Relaxed),
            limited: self.limited.load(Relaxed),
            failed: self.failed.load(Relaxed),
            waiting: signed(&self.waiting),
            patient: signed(&self.patient),
            paid: self.paid.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            violations: self.violations.load(Relaxed),
            latency_ms: self.latency(),
        }
    }

    /// Quantiles of the latencies so far, in milliseconds.
    pub(crate) fn latency(&self) -> Latency {
        let Ok(histogram) = self.latency_us.lock() else {
            return Latency::default();
        };
        let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            p50: ms(0.5),
            p99: ms(0.99),
            p999: ms(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }

    /// Takes a batch of latencies in microseconds and leaves it empty.
    pub(crate) fn record(&self, batch: &mut Vec<u64>) {
        if let Ok(mut histogram) = self.latency_us.lock() {
            for us in batch.drain(..) {
                histogram.saturating_record(us.max(1));
            }
        }
    }
}
