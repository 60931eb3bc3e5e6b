//! In which order reservations become orders, and how long that takes.
//!
//! Each item has a lane, a queue in order of place. The set rate is shared among the lanes that have
//! somebody waiting: one half evenly, so that no item starves behind a hot one, the other half by
//! length, so that a long queue moves. Within a lane the oldest comes first.

/// A lane's situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// How many wait.
    pub waiting: u32,
    /// Since when the first one waits, in milliseconds; decides who gets what can't be divided.
    pub oldest: u64,
}

/// Who gets how many, turn after turn.
///
/// Orders are whole and shares aren't: what a lane is owed beyond whole orders it gets in a later turn, so that over
/// some turns each lane moves as fast as its [`Forecast`] says, however small a turn's budget is.
#[derive(Debug, Clone, Default)]
pub struct Sharing {
    /// Per lane: what it should have had more (or less, if negative) until now.
    owed: Vec<f64>,
}

impl Sharing {
    /// How many of `budget` orders each lane gets now: all of them together, and no lane more than wait in it.
    #[must_use]
    pub fn share(&mut self, budget: u32, lanes: &[Lane]) -> Vec<u32> {
        let waiting = || lanes.iter().map(|l| l.waiting);
        self.owed.resize(lanes.len(), 0.0);
        if u64::from(budget) >= waiting().map(u64::from).sum() {
            self.owed.fill(0.0);
            return waiting().collect();
        }
        let mut left: Vec<f64> = waiting().map(f64::from).collect();
        serve(&mut left, f64::from(budget));
        let quotas = waiting()
            .zip(&left)
            .map(|(waiting, left)| f64::from(waiting) - left);
        let due: Vec<f64> = quotas.zip(&self.owed).map(|(quota, owed)| quota + owed).collect();
        let shares = whole(budget, lanes, &due);
        for (ix, owed) in self.owed.iter_mut().enumerate() {
            // A lane that is empty is owed nothing, and nobody more than one turn could make up for.
            let emptied = shares[ix] == lanes[ix].waiting;
            *owed = if emptied {
                0.0
            } else {
                (due[ix] - f64::from(shares[ix])).clamp(-1.0, 1.0)
            };
        }
        shares
    }
}

/// Whole shares of `budget`: what is due rounded down, the rest to those to whom most is missing, the oldest first
/// among equals.
fn whole(budget: u32, lanes: &[Lane], due: &[f64]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..lanes.len()).filter(|&ix| lanes[ix].waiting > 0).collect();
    order.sort_by(|&a, &b| {
        let missing = |ix: usize| due[ix] - due[ix].floor();
        missing(b)
            .total_cmp(&missing(a))
            .then(lanes[a].oldest.cmp(&lanes[b].oldest))
    });
    let (mut shares, mut left) = (vec![0; lanes.len()], budget);
    for &ix in &order {
        shares[ix] = (due[ix].max(0.0) as u32).min(lanes[ix].waiting).min(left);
        left -= shares[ix];
    }
    while left > 0 {
        for &ix in &order {
            let more = 1.min(lanes[ix].waiting - shares[ix]).min(left);
            shares[ix] += more;
            left -= more;
        }
    }
    shares
}

/// Points of a forecast.
const STEPS: usize = 64;

/// When each lane's n-th waiting reservation becomes an order, if nobody else comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    rate: f64,
    step_seconds: f64,
    /// Per lane: how many are served after each step.
    served: Vec<[f64; STEPS + 1]>,
}

impl Forecast {
    /// The forecast for lanes of these lengths, served at `rate` orders per second in total.
    #[must_use]
    pub fn new(waiting: &[u32], rate: f64) -> Self {
        let mut left: Vec<f64> = waiting.iter().map(|&w| f64::from(w)).collect();
        let total: f64 = left.iter().sum();
        let budget = total / STEPS as f64;
        let mut served = vec![[0.0; STEPS + 1]; waiting.len()];
        for step in 1..=STEPS {
            serve(&mut left, budget);
            for (lane, served) in served.iter_mut().enumerate() {
                served[step] = f64::from(waiting[lane]) - left[lane];
            }
        }
        let rate = rate.max(f64::MIN_POSITIVE);
        Self {
            rate,
            step_seconds: budget / rate,
            served,
        }
    }

    /// What it was made from, so that it can be made again elsewhere.
    #[must_use]
    pub fn inputs(&self) -> (Vec<u32>, f64) {
        let lanes = self.served.iter().map(|served| served[STEPS].round() as u32);
        (lanes.collect(), self.rate)
    }

    /// Seconds until the reservation at `position` (from 1) of `lane` becomes an order.
    #[must_use]
    pub fn seconds(&self, lane: usize, position: u32) -> f64 {
        let Some(served) = self.served.get(lane) else {
            return 0.0;
        };
        let position = f64::from(position);
        if position > served[STEPS] {
            return self.beyond(served, position);
        }
        let step = served.partition_point(|&s| s < position);
        let Some(before) = step.checked_sub(1) else {
            return 0.0;
        };
        let within = (position - served[before]) / (served[step] - served[before]);
        (before as f64 + within) * self.step_seconds
    }

    /// The same for a position further back than anybody this forecast knows of: as fast as the lane goes while
    /// somebody is in it, not as fast as it goes over the whole forecast, which may be far longer.
    fn beyond(&self, served: &[f64; STEPS + 1], position: f64) -> f64 {
        let known = served[STEPS];
        if known >= 1.0 {
            let emptied = served.partition_point(|&s| s < known);
            // In the step in which a lane runs empty it takes only a part of the time.
            let before = emptied.saturating_sub(1);
            if served[before] > 0.0 {
                return before as f64 * self.step_seconds * position / served[before];
            }
        }
        let others = self.served.iter().filter(|lane| lane[STEPS] > 0.0).count() - usize::from(known > 0.0);
        let total: f64 = self.served.iter().map(|lane| lane[STEPS]).sum::<f64>() - known + position;
        let share = 0.5 / (others as f64 + 1.0) + 0.5 * position / total;
        position / (self.rate * share)
    }
}

/// Serves `budget` from the lanes, in fractions: one half evenly, one half by length.
fn serve(left: &mut [f64], mut budget: f64) {
    for _ in 0..left.len() {
        let total: f64 = left.iter().sum();
        let busy = left.iter().filter(|&&l| l > 0.0).count();
        if busy == 0 || budget <= 0.0 {
            return;
        }
        let (even, by_length) = (budget / 2.0 / busy as f64, budget / 2.0 / total);
        let mut spent = 0.0;
        for lane in left.iter_mut().filter(|l| **l > 0.0) {
            let share = (even + by_length * *lane).min(*lane);
            *lane -= share;
            spent += share;
        }
        budget -= spent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lanes(waiting: &[u32]) -> Vec<Lane> {
        waiting
            .iter()
            .map(|&waiting| Lane { waiting, oldest: 0 })
            .collect()
    }

    #[test]
    fn a_forecast_can_be_made_again_from_its_inputs() {
        let forecast = Forecast::new(&[3, 0, 1_000_003], 16.6);
        let (lanes, rate) = forecast.inputs();
        assert_eq!(lanes, [3, 0, 1_000_003]);
        assert_eq!(Forecast::new(&lanes, rate), forecast);
    }

    #[test]
    fn a_short_lane_does_not_starve_behind_a_hot_one() {
        let shares = Sharing::default().share(100, &lanes(&[10, 100_000]));
        assert_eq!(shares[0], 10);
    }

    #[test]
    fn with_less_than_one_order_a_turn_for_each_lane_every_lane_still_moves() {
        let (mut sharing, mut left) = (Sharing::default(), vec![1_000; 40]);
        for _ in 0..400 {
            let shares = sharing.share(2, &lanes(&left));
            left.iter_mut().zip(&shares).for_each(|(l, s)| *l -= s);
        }
        assert!(left.iter().all(|l| (975..=985).contains(l)), "{left:?}");
    }

    #[test]
    fn one_more_than_the_lane_has_waits_hardly_longer_than_its_last() {
        let forecast = Forecast::new(&[100, 100_000, 5_000], 1_000.0);
        for (lane, last) in [(0, 100), (2, 5_000)] {
            let (known, beyond) = (forecast.seconds(lane, last), forecast.seconds(lane, last + 1));
            assert!((beyond - known).abs() <= 0.1 * known + 1.0, "{known} {beyond}");
        }
        let first = Forecast::new(&[0, 100_000], 1_000.0).seconds(0, 10);
        assert!(first > 0.0 && first < 0.1, "{first}");
        assert!((Forecast::new(&[0], 10.0).seconds(0, 20) - 2.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn shares_use_the_budget_and_exceed_no_lane(budget in 0u32..5000, waiting in prop::collection::vec(0u32..3000, 1..12)) {
            let shares = Sharing::default().share(budget, &lanes(&waiting));
            prop_assert!(shares.iter().zip(&waiting).all(|(s, w)| s <= w));
            let total: u32 = waiting.iter().sum();
            prop_assert_eq!(shares.iter().sum::<u32>(), budget.min(total));
        }

        #[test]
        fn the_forecast_is_what_the_shares_then_do(waiting in prop::collection::vec(0u32..4000, 1..8), lane in 0usize..8, at in 0.05f64..1.0) {
            let lane = lane % waiting.len();
            let position = ((f64::from(waiting[lane]) * at) as u32).max(1);
            prop_assume!(waiting[lane] >= 100);
            let forecast = Forecast::new(&waiting, 500.0).seconds(lane, position);
            let (mut sharing, mut left) = (Sharing::default(), waiting.clone());
            let (mut served, mut ticks) = (0, 0);
            while served < position {
                let shares = sharing.share(50, &lanes(&left));
                left.iter_mut().zip(&shares).for_each(|(l, s)| *l -= s);
                served += shares[lane];
                ticks += 1;
            }
            let actual = f64::from(ticks) / 10.0;
            prop_assert!((forecast - actual).abs() <= 0.2 * actual + 0.2, "forecast {} actual {}", forecast, actual);
        }
    }
}
