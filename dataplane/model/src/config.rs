//! The bounds of a model: who buys what, how often things go wrong.

use crate::broken::Broken;
use flashsale_core::units::UnitRange;

/// One kind of attempt that every buyer may make, at any time and again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// Which of the buyer's idempotency keys.
    pub key: u8,
    /// How many units.
    pub quantity: u32,
}

/// What a model explores.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the table calls it.
    pub name: &'static str,
    /// Each buyer's home shard.
    pub homes: Vec<u8>,
    /// The attempts of each buyer.
    pub tries: Vec<Try>,
    /// How many units a buyer may hold.
    pub limit: u32,
    /// Per shard: the stock that is loaded, by load id from 1.
    pub loads: Vec<Vec<UnitRange>>,
    /// Whether the stock is there (promised and applied) at the start, or loading is part of the model.
    pub loaded: bool,
    /// How many reservations an owner's list has at most.
    pub reservations_max: usize,
    /// How many claims follow the first one, over all shards.
    pub takeovers: u8,
    /// How often bypass is entered, over all shards.
    pub bypasses: u8,
    /// How many transfers of one unit are decided, over all shards.
    pub transfers: u8,
    /// Whether workers apply events to the database.
    pub worker: bool,
    /// Whether a worker applies at once whatever counts; otherwise it, or any number of them, may be as
    /// late as they like.
    pub prompt: bool,
    /// Whether applied reservations become orders, which are paid, closed and released.
    pub orders: bool,
    /// How many payments each order may get.
    pub payments: u8,
    /// Whether money for orders that are paid or closed comes in as a step of its own. Nothing depends on
    /// it, so without that every state's check tries what such money would do.
    pub late_money: bool,
    /// Whether buyers cancel, too: a second reason to close.
    pub cancels: bool,
    /// Whether an open owner may lag behind its partition, and act meanwhile.
    pub lag: bool,
    /// Whether the database's answers to an owner may be late or lost.
    pub late_replies: bool,
    /// Whether owners that can't have an effect any more go on selling.
    pub doomed_sell: bool,
    /// Whether fenced owners' lost tickets are watched for ever.
    pub watch_lost: bool,
    /// In which share of the states it is checked that the shard can recover: 1 is every state, n every nth.
    pub recover_every: u64,
    /// A rule that is left out.
    pub broken: Option<Broken>,
}

impl Config {
    /// One shard, `buyers` buyers of one unit each, `units` units, `takeovers` takeovers; log only.
    #[must_use]
    pub fn new(name: &'static str, buyers: usize, units: u32, takeovers: u8) -> Self {
        Self {
            name,
            homes: vec![0; buyers],
            tries: vec![Try { key: 0, quantity: 1 }],
            limit: 1,
            loads: vec![vec![UnitRange { first: 0, len: units }]],
            loaded: true,
            reservations_max: usize::MAX,
            takeovers,
            bypasses: 0,
            transfers: 0,
            worker: true,
            prompt: false,
            orders: false,
            payments: 0,
            late_money: false,
            cancels: false,
            lag: false,
            late_replies: false,
            doomed_sell: false,
            watch_lost: false,
            recover_every: 16,
            broken: None,
        }
    }

    /// The units of all loads of all shards.
    #[must_use]
    pub fn stock(&self) -> u32 {
        self.loads.iter().flatten().map(|range| range.len).sum()
    }

    /// The bounds in words: buyers × units × takeovers, and what else is bounded or let loose.
    #[must_use]
    pub fn bounds(&self) -> String {
        let mut bounds = format!(
            "{}: {} × {} × {}",
            self.name,
            self.homes.len(),
            self.stock(),
            self.takeovers
        );
        let mut put = |says: bool, words: String| {
            if says {
                bounds.push_str(&words);
            }
        };
        put(self.bypasses > 0, format!(", bypasses: {}", self.bypasses));
        put(
            self.transfers > 0,
            format!(", 2 shards, transfers: {}", self.transfers),
        );
        put(
            self.tries.len() > 1,
            format!(", {} ways to try", self.tries.len()),
        );
        put(self.orders, format!(", payments per order: {}", self.payments));
        put(self.late_money, ", late money".into());
        put(self.cancels, ", cancels".into());
        put(self.prompt, ", prompt worker".into());
        put(
            self.reservations_max < usize::MAX,
            format!(", ≤ {} reservations", self.reservations_max),
        );
        put(self.lag, ", lag".into());
        put(self.late_replies && self.bypasses > 0, ", late answers".into());
        put(self.doomed_sell, ", doomed sell".into());
        put(self.watch_lost, ", lost watched".into());
        bounds
    }

    /// Whether records of fenced owners stay in the partition: only those see them who lack a rule.
    #[must_use]
    pub fn keeps_stale(&self) -> bool {
        self.lacks(Broken::BarrierIgnored) || self.lacks(Broken::PromiseOnReceipt)
    }

    /// Whether the rule `broken` is the one that is left out.
    #[must_use]
    pub fn lacks(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }
}
