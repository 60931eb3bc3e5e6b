//! The queues between reservations and orders: one lane per item, in order of place.

use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::lanes::{Forecast, Lane, Sharing};
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
    sharing: Sharing,
    per_second: f64,
    allowance: f64,
    /// Reservations still in a lane whose orders will never be made: cancelled, or closed as backlog.
    gone: u32,
    arrivals: Arrivals,
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
            sharing: Sharing::default(),
            per_second: f64::from(per_minute) / 60.0,
            allowance: 0.0,
            gone: 0,
            arrivals: Arrivals::new(items),
        }
    }

    /// From now on so many orders a minute are made; 0 is none.
    pub fn set_rate(&mut self, per_minute: u32) {
        self.per_second = f64::from(per_minute) / 60.0;
    }

    /// A reservation joins its item's lane.
    pub fn push(&mut self, waiting: Waiting) {
        self.arrivals.fresh[waiting.item.ix()] += 1;
        self.lanes[waiting.item.ix()].push(Reverse(Queued(waiting)));
    }

    /// Takes those whose turn it is, `seconds` after the last time.
    pub fn take(&mut self, seconds: f64) -> Vec<Waiting> {
        self.arrivals.turn(seconds, self.per_second);
        if self.per_second == 0.0 {
            self.allowance = 0.0;
            return Vec::new();
        }
        let most = (self.per_second * BURST_SECONDS_MAX).max(1.0);
        self.allowance = (self.allowance + self.per_second * seconds).min(most);
        let situation = self.situation();
        let shares = self.sharing.share(self.allowance as u32, &situation);
        let mut taken = Vec::new();
        for (lane, share) in self.lanes.iter_mut().zip(shares) {
            for _ in 0..share {
                let Some(Reverse(Queued(waiting))) = lane.pop() else {
                    break;
                };
                taken.push(waiting);
            }
        }
        self.allowance -= taken.len() as f64;
        taken
    }

    /// `n` of those that wait will not become orders.
    pub fn leave(&mut self, n: u32) {
        self.gone += n;
    }

    /// `n` of those taken didn't become orders: they had left, and others may go in their stead.
    pub fn not_made(&mut self, n: u32) {
        self.gone = self.gone.saturating_sub(n);
        self.allowance += f64::from(n);
    }

    /// These were taken and couldn't be served now: they wait on.
    pub fn put_back(&mut self, taken: Vec<Waiting>) {
        self.allowance += taken.len() as f64;
        for waiting in taken {
            self.lanes[waiting.item.ix()].push(Reverse(Queued(waiting)));
        }
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

    /// The highest place of which an order was made, by item.
    #[must_use]
    pub fn served(&self) -> &[u32] {
        &self.served
    }

    /// The order of who had `place` is in the database, made now or before a restart. Not before: what is shown as
    /// served must be found again there, or after a restart those behind would see the line grow.
    pub fn made(&mut self, item: ItemIx, place: u32) {
        let served = &mut self.served[item.ix()];
        *served = (*served).max(place);
    }

    /// The reservation time of the one that has waited longest.
    #[must_use]
    pub fn oldest(&self) -> Option<Millis> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.peek())
            .map(|Reverse(first)| first.0.at)
            .min()
    }

    /// When those who wait become orders. `free(item)` is how many units may still be bought: while buyers stream
    /// in, those expected to follow are part of the forecast, but they can't be more than that.
    #[must_use]
    pub fn forecast(&self, free: impl Fn(ItemIx) -> u32) -> Forecast {
        let waiting = self.waiting();
        let all: u32 = waiting.iter().sum();
        // Positions count those who have left, too, and they take no time.
        let staying = f64::from(all.saturating_sub(self.gone).max(1)) / f64::from(all.max(1));
        let lanes: Vec<u32> = (0..)
            .zip(&waiting)
            .map(|(item, waiting)| waiting + self.arrivals.expected(usize::from(item), free(ItemIx(item))))
            .collect();
        Forecast::new(&lanes, self.per_second / staying)
    }
}

/// How fast buyers stream in.
///
/// At an opening they come faster than orders are made, and each who comes to another lane slows the others down.
/// How long that goes on nobody knows: about as long as it has gone on is the best guess.
#[derive(Debug)]
struct Arrivals {
    /// Since the last turn, by item.
    fresh: Vec<u32>,
    /// Per second, by item, smoothed.
    per_second: Vec<f64>,
    /// How long more have come than were served.
    streaming_seconds: f64,
    /// The part of those coming that isn't served at once.
    excess: f64,
}

/// Rates are smoothed over about this time.
const SMOOTH_SECONDS: f64 = 0.5;
/// A stream of buyers is expected to go on for this time at least.
const STREAM_SECONDS_MIN: f64 = 1.0;
/// Nobody is expected for longer than this.
const STREAM_SECONDS_MAX: f64 = 30.0;

impl Arrivals {
    fn new(items: usize) -> Self {
        Self {
            fresh: vec![0; items],
            per_second: vec![0.0; items],
            streaming_seconds: 0.0,
            excess: 0.0,
        }
    }

    fn turn(&mut self, seconds: f64, served_per_second: f64) {
        let weight = 1.0 - (-seconds / SMOOTH_SECONDS).exp();
        for (rate, fresh) in self.per_second.iter_mut().zip(&mut self.fresh) {
            let now = f64::from(std::mem::take(fresh)) / seconds.max(1e-3);
            *rate += (now - *rate) * weight;
        }
        let total: f64 = self.per_second.iter().sum();
        self.excess = (1.0 - served_per_second / total.max(1e-9)).max(0.0);
        self.streaming_seconds = if self.excess > 0.0 {
            (self.streaming_seconds + seconds).min(STREAM_SECONDS_MAX)
        } else {
            0.0
        };
    }

    /// How many more are expected for an item of which `free` units may still be bought.
    fn expected(&self, item: usize, free: u32) -> u32 {
        let seconds = self.streaming_seconds.max(STREAM_SECONDS_MIN);
        ((self.per_second[item] * self.excess * seconds) as u32).min(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_core::ids::Epoch;

    fn waiting(place: u32) -> Waiting {
        let ticket = TicketNo {
            made: Epoch(1),
            n: u64::from(place),
        };
        Waiting {
            shard: ShardId(0),
            ticket,
            item: ItemIx(0),
            quantity: 1,
            place,
            at: u64::from(place),
        }
    }

    #[test]
    fn the_set_rate_is_held_whatever_the_ticks() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        let ticks = [0.013, 0.07, 0.002, 0.1, 0.05];
        let taken: usize = ticks
            .iter()
            .cycle()
            .take(500)
            .map(|t| queues.take(*t).len())
            .sum();
        let seconds: f64 = ticks.iter().sum::<f64>() * 100.0;
        assert!(
            (taken as f64 - seconds * 100.0).abs() <= 1.0,
            "{taken} in {seconds} s"
        );
    }

    #[test]
    fn places_are_served_in_order_whatever_the_order_of_arrival() {
        let mut queues = Queues::new(1, 60_000);
        [3, 1, 2]
            .into_iter()
            .for_each(|place| queues.push(waiting(place)));
        let places: Vec<u32> = queues.take(1.0).iter().map(|w| w.place).collect();
        assert_eq!(places, [1, 2, 3]);
        assert_eq!(queues.served(), [0], "none is in the database yet");
        queues.made(ItemIx(0), 2);
        queues.made(ItemIx(0), 1);
        assert_eq!(queues.served(), [2]);
    }

    #[test]
    fn a_rate_that_is_changed_holds_at_once_and_none_is_none() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        queues.take(0.1);
        queues.set_rate(0);
        assert_eq!((0..100).map(|_| queues.take(0.1).len()).sum::<usize>(), 0);
        assert!(
            queues.forecast(|_| 0).seconds(0, 9_000) >= 1e9,
            "nobody knows when"
        );
        queues.set_rate(60_000);
        let taken: usize = (0..20).map(|_| queues.take(0.05).len()).sum();
        assert!((950..=1_000).contains(&taken), "{taken}");
    }

    #[test]
    fn a_pause_is_not_followed_by_a_burst() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        assert!(queues.take(60.0).len() <= 50);
    }

    #[test]
    fn while_buyers_stream_in_the_forecast_reckons_with_those_to_come_but_not_beyond_the_stock() {
        let mut queues = Queues::new(2, 60_000);
        let mut place = 0;
        for _ in 0..20 {
            for _ in 0..500 {
                place += 1;
                queues.push(waiting(place));
                queues.push(Waiting {
                    item: ItemIx(1),
                    ..waiting(place)
                });
            }
            queues.take(0.05);
        }
        let wait = |queues: &Queues, free| queues.forecast(|_| free).seconds(0, 5_000);
        let (sold_out, plenty) = (wait(&queues, 0), wait(&queues, u32::MAX));
        assert!(plenty >= sold_out, "{plenty} {sold_out}");
        assert!(queues.arrivals.expected(0, u32::MAX) > 5_000);
        assert_eq!(queues.arrivals.expected(0, 7), 7);
        (0..100).for_each(|_| drop(queues.take(0.05)));
        let later = queues.arrivals.expected(0, u32::MAX);
        assert_eq!(later, 0, "nobody has come for five seconds");
    }

    #[test]
    fn those_who_leave_make_the_others_faster_and_cost_no_rate() {
        let mut queues = Queues::new(1, 6_000);
        (1..=10_000).for_each(|place| queues.push(waiting(place)));
        queues.take(0.1);
        let before = queues.forecast(|_| 0).seconds(0, 9_000);
        queues.leave(4_995);
        let after = queues.forecast(|_| 0).seconds(0, 9_000);
        assert!((after / before - 0.5).abs() < 0.01, "{before} {after}");
        let taken = queues.take(0.1).len();
        queues.not_made(taken as u32);
        assert_eq!(queues.take(0.0).len(), taken);
    }
}
