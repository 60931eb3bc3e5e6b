//! What each buyer is going to do, drawn ahead from the seed.

use std::io::Write as _;

use crate::config::{CrowdConfig, CrowdError, Popularity, Skew};
use crate::seed::{Draw, Seeded};

/// Names tried per shard before giving up on finding one that belongs there.
const NAME_TRIES_PER_SHARD_MAX: u32 = 1_000;
/// How long before opening the early birds start trying, at most.
const EARLY_NS_MAX: u64 = 3_000_000_000;

/// What a winner does with the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Pays as soon as there is an order.
    Pays,
    /// Pays after the deadline.
    PaysLate,
    /// Leaves once there is an order.
    NeverPays,
    /// Cancels as soon as the ticket is reserved.
    Cancels,
}

/// Everything drawn about one buyer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Nanoseconds after the opening; negative for early birds.
    pub(crate) arrival_ns: i64,
    pub(crate) item: u16,
    /// Part of the name; 0 is not written.
    pub(crate) salt: u32,
    pub(crate) manner: Manner,
    pub(crate) duplicates: bool,
    pub(crate) replays: bool,
    pub(crate) other_key: bool,
    pub(crate) loses_answer: bool,
    pub(crate) early: bool,
    pub(crate) patient: bool,
    pub(crate) pays_twice: bool,
}

/// Draws plans; one for the whole crowd.
pub(crate) struct Planner<'a> {
    config: &'a CrowdConfig,
    items: Draw,
    homes: Option<Draw>,
    ahead_ns: u64,
}

impl<'a> Planner<'a> {
    /// `ahead_ns` is how far away the opening still is.
    pub(crate) fn new(config: &'a CrowdConfig, ahead_ns: u64) -> Self {
        let count = config.shards.as_ref().map_or(0, |s| usize::from(s.count));
        let homes = match config.skew {
            Skew::Uniform => None,
            Skew::Zipf(exponent) => Some(Draw::new(count, Popularity::Zipf(exponent))),
            Skew::OneShard => Some(Draw::new(1, Popularity::Uniform)),
        };
        Self {
            config,
            items: Draw::new(config.items.len(), config.popularity),
            homes,
            ahead_ns,
        }
    }

    /// The plan of buyer `i`.
    ///
    /// # Errors
    /// [`CrowdError::NoSuchHome`] when no name is at home on the shard the skew asks for.
    pub(crate) fn plan(&self, i: u32) -> Result<Plan, CrowdError> {
        let shares = &self.config.shares;
        let mut random = Seeded::new(self.config.seed, u64::from(i));
        let item = self.items.pick(&mut random);
        // One draw decides the manner, so that the shares of a winner's ways add up exactly.
        let way = random.unit();
        let patient = random.chance(shares.patient);
        let manner = if patient {
            Manner::Pays
        } else if way < shares.cancels {
            Manner::Cancels
        } else if way < shares.cancels + shares.non_payers {
            Manner::NeverPays
        } else if way < shares.cancels + shares.non_payers + shares.late_payers {
            Manner::PaysLate
        } else {
            Manner::Pays
        };
        let early = random.chance(shares.early) && self.ahead_ns > 0;
        let arrival_ns = self.arrival(early, &mut random);
        let plan = Plan {
            arrival_ns,
            item: item as u16, // `CrowdConfig::check` keeps the number of items within u16.
            salt: 0,
            manner,
            duplicates: random.chance(shares.duplicates),
            replays: random.chance(shares.replays),
            other_key: random.chance(shares.other_keys),
            loses_answer: random.chance(shares.lost_answers),
            early,
            patient,
            pays_twice: random.chance(shares.pay_twice),
        };
        Ok(Plan {
            salt: self.salt(i, &mut random)?,
            ..plan
        })
    }

    /// An exponential tail: three mean times make 95 %; who would come after twice the spread is folded back.
    fn arrival(&self, early: bool, random: &mut Seeded) -> i64 {
        let x = random.unit();
        if early {
            let lead = EARLY_NS_MAX.min(self.ahead_ns) as f64;
            return -1 - (lead * (1.0 - x)) as i64;
        }
        let spread_ns = self.config.spread.as_nanos() as f64;
        let after = -(1.0 - x).ln() * spread_ns / 3.0;
        if spread_ns > 0.0 {
            (after % (2.0 * spread_ns)) as i64
        } else {
            0
        }
    }

    fn salt(&self, i: u32, random: &mut Seeded) -> Result<u32, CrowdError> {
        let (Some(homes), Some(shards)) = (&self.homes, &self.config.shards) else {
            return Ok(0);
        };
        let shard = homes.pick(random) as u16; // Below `shards.count`, which is a u16.
        let tries = u32::from(shards.count) * NAME_TRIES_PER_SHARD_MAX;
        let mut name = Vec::with_capacity(48);
        for salt in 0..tries {
            name.clear();
            write_name(&mut name, self.config.seed, i, salt);
            if (shards.home)(&String::from_utf8_lossy(&name)) == shard {
                return Ok(salt);
            }
        }
        Err(CrowdError::NoSuchHome {
            buyer: i,
            shard,
            tries,
        })
    }
}

/// Appends the buyer id: `b<seed>-<i>` or `b<seed>-<i>.<salt>`, at most 38 characters of the allowed alphabet.
pub(crate) fn write_name(to: &mut Vec<u8>, seed: u64, i: u32, salt: u32) {
    // Writing to a Vec cannot fail.
    let _ = write!(to, "b{seed:x}-{i}");
    if salt > 0 {
        let _ = write!(to, ".{salt}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Item, Shards, Shares};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    fn config(buyers: u32) -> CrowdConfig {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        CrowdConfig::new(nowhere, "s", vec![Item::new("a", 1), Item::new("b", 1)], buyers)
    }

    fn plans(config: &CrowdConfig, ahead_ns: u64) -> Vec<Plan> {
        let planner = Planner::new(config, ahead_ns);
        (0..config.buyers).map(|i| planner.plan(i).unwrap()).collect()
    }

    #[test]
    fn arrivals_are_a_spike_with_a_tail_and_95_percent_within_the_spread() {
        let mut config = config(20_000);
        config.spread = Duration::from_secs(3);
        config.shares.early = 0.0;
        let within = |seconds: f64| {
            let until = (seconds * 1e9) as i64;
            plans(&config, 5_000_000_000)
                .iter()
                .filter(|p| p.arrival_ns < until)
                .count() as f64
                / 20_000.0
        };
        assert_eq!(within(0.0), 0.0);
        assert!((within(1.0) - 0.632).abs() < 0.02);
        assert!((within(3.0) - 0.95).abs() < 0.01);
        assert_eq!(within(6.0), 1.0);
    }

    #[test]
    fn early_birds_come_before_opening_and_nobody_else_does() {
        let mut config = config(2_000);
        config.shares.early = 0.5;
        let plans = plans(&config, 1_000_000_000);
        assert!(
            plans
                .iter()
                .all(|p| p.early == (p.arrival_ns < 0) && p.arrival_ns > -1_000_000_002)
        );
        assert!((800..1200).contains(&plans.iter().filter(|p| p.early).count()));
    }

    #[test]
    fn one_shard_gives_names_of_shard_0_only_and_zipf_prefers_low_shards() {
        let home = |id: &str| (id.bytes().fold(7u64, |h, b| crate::seed::mix(h ^ u64::from(b))) % 8) as u16;
        let mut config = config(800);
        config.shards = Some(Shards {
            count: 8,
            home: Arc::new(home),
        });
        let count = |config: &CrowdConfig| {
            let mut counts = [0u32; 8];
            for (i, plan) in plans(config, 0).iter().enumerate() {
                let mut name = Vec::new();
                write_name(&mut name, config.seed, i as u32, plan.salt);
                counts[usize::from(home(std::str::from_utf8(&name).unwrap()))] += 1;
            }
            counts
        };
        config.skew = Skew::OneShard;
        assert_eq!(count(&config), [800, 0, 0, 0, 0, 0, 0, 0]);
        config.skew = Skew::Zipf(1.0);
        let zipf = count(&config);
        assert!(zipf[0] > 2 * zipf[3] && zipf[7] > 0, "{zipf:?}");
    }

    #[test]
    fn a_shard_nobody_lives_on_is_an_error_that_says_so() {
        let mut config = config(1);
        config.shards = Some(Shards {
            count: 2,
            home: Arc::new(|_| 1),
        });
        config.skew = Skew::OneShard;
        let error = Planner::new(&config, 0).plan(0).unwrap_err().to_string();
        assert!(error.contains("shard 0"), "{error}");
    }

    #[test]
    fn patient_buyers_always_pay_and_plain_shares_have_no_oddities() {
        let mut config = config(3_000);
        config.shares = Shares {
            patient: 0.5,
            cancels: 1.0,
            ..Shares::plain()
        };
        assert!(
            plans(&config, 0)
                .iter()
                .all(|p| p.patient == (p.manner == Manner::Pays))
        );
        config.shares = Shares::plain();
        assert!(
            plans(&config, 0)
                .iter()
                .all(|p| p.manner == Manner::Pays && !p.duplicates && !p.loses_answer)
        );
    }
}
