//! The queues between reservations and orders: one lane per item, in order of place.

use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::lanes::{self, Forecast, Lane};
use flashsale_orders::Waiting;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// In order of place; the rest only decides between equals.
#[derive(Debug, Clone, Copy)]
struct Queued(Waiting);

impl Queued {
    fn rank(&self) -> (u32, Millis, ShardId, TicketNo) {
        (self.0.place, self.0.at, self.0.shard, self.0.ticket)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// All lanes, and how much may be taken from them now.
#[derive(Debug)]
pub struct Queues {
    lanes: Vec<BinaryHeap<Reverse<Queued>>>,
    served: Vec<u32>,
    per_second: f64,
    allowance: f64,
}

/// What the rate has not used for longer than this is forfeited, so that a pause isn't followed by a burst.
const BURST_SECONDS_MAX: f64 = 0.5;

impl Queues {
    /// Empty lanes for `items` items, served at `per_minute` orders a minute in total.
    #[must_use]
    pub fn new(items: usize, per_minute: u32) -> Self {
        Self {
            lanes: (0..items).map(|_| BinaryHeap::new()).collect(),
            served: vec![0; items],
            per_second: f64::from(per_minute) / 60.0,
            allowance: 0.0,
        }
    }

    /// A reservation joins its item's lane.
    pub fn push(&mut self, waiting: Waiting) {
        self.lanes[waiting.item.ix()].push(Reverse(Queued(waiting)));
    }

    /// Takes those whose turn it is, `seconds` after the last time.
    pub fn take(&mut self, seconds: f64) -> Vec<Waiting> {
        let most = (self.per_second * BURST_SECONDS_MAX).max(1.0);
        self.allowance = (self.allowance + self.per_second * seconds).min(most);
        let shares = lanes::shares(self.allowance as u32, &self.situation());
        let mut taken = Vec::new();
        for ((lane, share), served) in self.lanes.iter_mut().zip(shares).zip(&mut self.served) {
            for _ in 0..share {
                let Some(Reverse(Queued(waiting))) = lane.pop() else { break };
                *served = (*served).max(waiting.place);
                taken.push(waiting);
            }
        }
        self.allowance -= taken.len() as f64;
        taken
    }

    fn situation(&self) -> Vec<Lane> {
        let lane = |lane: &BinaryHeap<Reverse<Queued>>| Lane {
            waiting: lane.len() as u32,
            oldest: lane.peek().map_or(0, |Reverse(first)| first.0.at),
        };
        self.lanes.iter().map(lane).collect()
    }

    /// How many wait, by item.
    #[must_use]
    pub fn waiting(&self) -> Vec<u32> {
        self.lanes.iter().map(|lane| lane.len() as u32).collect()
    }

    /// The highest place that was served, by item.
    #[must_use]
    pub fn served(&self) -> &[u32] {
        &self.served
    }

    /// After a restart: every place up to `place` was served before.
    pub fn set_served(&mut self, item: ItemIx, place: u32) {
        let served = &mut self.served[item.ix()];
        *served = (*served).max(place);
    }

    /// The reservation time of the one that has waited longest.
    #[must_use]
    pub fn oldest(&self) -> Option<Millis> {
        self.lanes.iter().filter_map(|lane| lane.peek()).map(|Reverse(first)| first.0.at).min()
    }

    /// When those who wait become orders.
    #[must_use]
    pub fn forecast(&self) -> Forecast {
        Forecast::new(&self.waiting(), self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_core::ids::Epoch;

    fn waiting(place: u32) -> Waiting {
        let ticket = TicketNo { made: Epoch(1), n: u64::from(place) };
        Waiting { shard: ShardId(0), ticket, item: ItemIx(0), quantity: 1, place, at: u64::from(place) }
    }

    #[test]
    fn the_set_rate_is_held_whatever_the_ticks() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        let ticks = [0.013, 0.07, 0.002, 0.1, 0.05];
        let taken: usize = ticks.iter().cycle().take(500).map(|t| queues.take(*t).len()).sum();
        let seconds: f64 = ticks.iter().sum::<f64>() * 100.0;
        assert!((taken as f64 - seconds * 100.0).abs() <= 1.0, "{taken} in {seconds} s");
    }

    #[test]
    fn places_are_served_in_order_whatever_the_order_of_arrival() {
        let mut queues = Queues::new(1, 60_000);
        [3, 1, 2].into_iter().for_each(|place| queues.push(waiting(place)));
        let places: Vec<u32> = queues.take(1.0).iter().map(|w| w.place).collect();
        assert_eq!(places, [1, 2, 3]);
        assert_eq!(queues.served(), [3]);
    }

    #[test]
    fn a_pause_is_not_followed_by_a_burst() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        assert!(queues.take(60.0).len() <= 50);
    }
}
