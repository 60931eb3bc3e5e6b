//! One clock for the whole crowd: nanoseconds since its start, tied to the wall clock once.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the crowd's start; steps of the wall clock during the run change nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_wall_ms: u64,
    /// The opening on this clock; 0 if the sale was open already.
    pub(crate) opening_ns: u64,
}

impl Clock {
    pub(crate) fn start(opens_at_ms: u64) -> Self {
        let start_wall_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64);
        let opening_ns = opens_at_ms
            .saturating_sub(start_wall_ms)
            .saturating_mul(1_000_000);
        Self {
            start: Instant::now(),
            start_wall_ms,
            opening_ns,
        }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Milliseconds of the Unix epoch at a moment of this clock.
    pub(crate) fn wall_ms(&self, ns: u64) -> u64 {
        self.start_wall_ms + ns / 1_000_000
    }

    /// The moment of this clock for a wall time, 0 if it lies before the start.
    pub(crate) fn mono_ns(&self, wall_ms: u64) -> u64 {
        wall_ms
            .saturating_sub(self.start_wall_ms)
            .saturating_mul(1_000_000)
    }

    /// The tokio deadline of a moment of this clock.
    pub(crate) fn deadline(&self, ns: u64) -> tokio::time::Instant {
        (self.start + std::time::Duration::from_nanos(ns)).into()
    }
}
