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
    /// The highest of each, in the same order, since the start: a quiet line must not look like a rush.
    pub(crate) peaks: [u64; 3],
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
        let pasts = [&mut self.requests, &mut self.won, &mut self.orders];
        let now = [
            rates.requests_per_second,
            rates.won_per_second,
            rates.orders_per_second,
        ];
        for ((past, peak), rate) in pasts.into_iter().zip(&mut self.peaks).zip(now) {
            let rate = rate.max(0.0) as u64;
            *peak = (*peak).max(rate);
            if past.len() == SAMPLES_MAX {
                past.pop_front();
            }
            past.push_back(rate);
        }
    }
}
