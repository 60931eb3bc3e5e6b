//! How many purchases a second the gateways of one process let in, while `entry.rateLimit` says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const MICROS_PER_SECOND: u64 = 1_000_000;
/// What wasn't used for longer than this is forfeited.
const BURST_MICROS: u64 = 100_000;

/// One bucket for all threads, kept as the one time at which it will be full again. Not looked at while there is no
/// limit.
#[derive(Debug)]
pub(super) struct Throttle {
    started: Instant,
    /// In nanoseconds from the start.
    full_at: AtomicU64,
}

impl Throttle {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            full_at: AtomicU64::new(0),
        }
    }

    /// Whether one more is let in at `now`, of `per_second`.
    pub(super) fn lets_in(&self, per_second: u32, now: Instant) -> bool {
        let Some(cost) = (MICROS_PER_SECOND * 1_000).checked_div(u64::from(per_second)) else {
            return false;
        };
        let now = now.saturating_duration_since(self.started).as_nanos() as u64;
        let burst = (BURST_MICROS * 1_000).max(cost);
        let taken = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let after = full_at.max(now) + cost;
                (after <= now + burst).then_some(after)
            });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_a_second_are_let_in_and_after_a_pause_no_burst() {
        let start = Instant::now();
        for per_second in [1, 3, 1_000, 250_000] {
            let throttle = Throttle::new(start);
            let asks = 1_000_000;
            let at = |ask: u32| start + Duration::from_secs(60) + Duration::from_secs(10) * ask / asks;
            let in_ten_seconds = (0..asks)
                .filter(|ask| throttle.lets_in(per_second, at(*ask)))
                .count();
            let most = f64::from(per_second).mul_add(10.1, 1.0);
            let least = (f64::from(per_second) * 10.0).min(f64::from(asks));
            let all = in_ten_seconds as f64;
            assert!(
                all <= most && (all >= least * 0.99 || per_second > 100_000),
                "{per_second}: {all}"
            );
        }
        assert!(!Throttle::new(start).lets_in(0, start + Duration::from_secs(60)));
    }
}
