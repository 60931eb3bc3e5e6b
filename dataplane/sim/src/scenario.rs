//! What kind of sale a seed plays: its size, its buyers' temper, which faults strike it and how often.

use crate::dice::Dice;
use crate::stats::Fault;
use flashsale_core::engine::Rules;
use flashsale_core::order::Backlog;

/// Where the buyers' home shards are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Homes {
    Uniform,
    /// Three in four on the first shard.
    Skewed,
    One,
}

/// One sale. Times are milliseconds of simulated time.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) shards: u16,
    pub(crate) procs: usize,
    /// Whether each shard is placed by itself; otherwise one process holds them all.
    pub(crate) split: bool,
    /// Whether transfers and acknowledgements travel by a network that loses, delays and repeats.
    pub(crate) network: bool,
    pub(crate) stock: Vec<u32>,
    pub(crate) rules: Rules,
    pub(crate) buyers: usize,
    pub(crate) homes: Homes,
    /// Stock added to the live sale: item and units.
    pub(crate) grant: Option<(u16, u32)>,
    pub(crate) pay_within: u64,
    pub(crate) backlog: Backlog,
    /// Whether the sale may go on without the log.
    pub(crate) bypass: bool,
    pub(crate) workers: usize,
    /// Whether the database is far behind the logs.
    pub(crate) lazy_workers: bool,
    pub(crate) waiting_max: usize,
    /// Whether the stock is loaded before any fault.
    pub(crate) warm_up: bool,
    pub(crate) steps: u32,
    pub(crate) faults_until: u32,
    pub(crate) step_ms: u64,
    faults: u32,
    /// Strikes (crash, outage …) per thousand steps.
    pub(crate) strikes: u32,
    /// How often out of a thousand a message is lost, doubled or late where that fault is on.
    pub(crate) noise: u32,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let shards = dice.pick(&[1, 2, 2, 3, 3, 4]);
        let procs = dice.pick(&[1, 2, 2, 3]);
        let items = dice.pick(&[1, 1, 2, 3]);
        let stock: Vec<u32> = (0..items)
            .map(|_| dice.between(3, 20) as u32 / items.min(2))
            .collect();
        let buyers = if dice.one_in(8) {
            dice.between(20, 40)
        } else {
            dice.between(5, 20)
        } as usize;
        let opens = 10_000;
        let closes = opens + dice.between(15_000, 60_000);
        let steps = dice.between(100, 300) as u32 + 40 * buyers as u32;
        let split = procs > 1 && dice.one_in(3);
        let quiet = dice.one_in(12);
        let faults = if quiet {
            0
        } else {
            dice.below(1 << Fault::COUNT) as u32
        };
        Self {
            shards,
            procs,
            split,
            network: split || dice.one_in(2),
            rules: Rules {
                opens,
                closes,
                limits: stock.iter().map(|_| dice.between(1, 3) as u32).collect(),
                registered_only: dice.one_in(6),
                registrations_max: 40,
            },
            grant: dice
                .one_in(5)
                .then(|| (dice.below(stock.len()) as u16, dice.between(1, 5) as u32)),
            stock,
            buyers,
            homes: dice.pick(&[Homes::Uniform, Homes::Uniform, Homes::Skewed, Homes::One]),
            pay_within: dice.between(2_000, 20_000),
            backlog: if dice.one_in(4) {
                Backlog::ReleaseAfter(dice.between(2_000, 10_000))
            } else {
                Backlog::Hold
            },
            bypass: !dice.one_in(3),
            lazy_workers: dice.one_in(5),
            workers: dice.pick(&[1, 1, 2]),
            waiting_max: dice.pick(&[2, 64, 64]),
            warm_up: !dice.one_in(5),
            steps,
            faults_until: steps * dice.between(40, 100) as u32 / 100,
            step_ms: (closes + 5_000) / u64::from(steps),
            faults,
            strikes: dice.pick(&[5, 15, 30, 60]),
            noise: dice.pick(&[20, 60, 150, 300]),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults & (1 << fault as u32) != 0
    }
}
