//! The recent past of a few rates, for sparklines.

use std::collections::VecDeque;

use crate::live::Live;

/// Samples kept; at four a second this is a minute and a half.
const SAMPLES_MAX: usize = 360;

/// Rates over time, the newest last.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    pub(crate) requests: VecDeque<u64>,
    pub(crate) won: VecDeque<u64>,
    pub(crate) orders: VecDeque<u64>,
    last_ms: u64,
}

impl Trend {
    /// Remembers the rates of a look; the same look twice counts once.
    pub fn add(&mut self, live: &Live) {
        if live.now_ms == self.last_ms {
            return;
        }
        self.last_ms = live.now_ms;
        let rates = &live.rates;
        for (past, rate) in [
            (&mut self.requests, rates.requests_per_second),
            (&mut self.won, rates.won_per_second),
            (&mut self.orders, rates.orders_per_second),
        ] {
            if past.len() == SAMPLES_MAX {
                past.pop_front();
            }
            past.push_back(rate.max(0.0) as u64);
        }
    }
}
