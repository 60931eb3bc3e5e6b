//! The models: what is explored, within which bounds, and what must have happened on the way.

use crate::check::check;
use crate::config::{Config, Try};
use crate::recover::recovers;
use crate::search::{Model, Report, explore};
use crate::seen::Seen;
use crate::step::{self, Action, Kind};
use crate::world::World;
use flashsale_core::units::UnitRange;

impl Model for Config {
    type State = World;
    type Action = Action;

    fn start(&self) -> World {
        let mut world = World::new(self);
        for shard in 0..world.shards.len() {
            step::Turn {
                config: self,
                world: &mut world,
                shard,
            }
            .claim_unbounded(0);
        }
        step::settle(self, &mut world);
        if self.loaded {
            // Everything goes well until the stock is there.
            for shard in 0..world.shards.len() {
                let loads = (0..self.loads[shard].len()).map(|arg| Action {
                    kind: Kind::Load,
                    shard,
                    node: 0,
                    arg,
                });
                let mut wanted: Vec<Action> = loads.collect();
                calm(self, &mut world);
                for load in wanted.drain(..) {
                    world = step::step(self, &world, load).unwrap_or(world);
                }
                calm(self, &mut world);
            }
        }
        world.seen = Seen::default();
        world
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        step::actions(self, world, actions);
    }

    fn step(&self, world: &World, action: Action) -> Option<World> {
        step::step(self, world, action)
    }

    fn same(&self, world: &World) -> bool {
        world.same && world.problem.is_none()
    }

    fn fingerprint(&self, world: &World) -> u64 {
        world.fingerprint(self)
    }

    fn check(&self, world: &World, fingerprint: u64) -> Result<(), String> {
        check(self, world)?;
        if fingerprint.is_multiple_of(self.recover_every) {
            recovers(self, world)?;
        }
        Ok(())
    }

    fn seen(&self, world: &World) -> u64 {
        world.seen.0
    }

    fn describe(&self, world: &World, action: Action) -> String {
        let Action {
            kind,
            shard,
            node,
            arg,
        } = action;
        let epoch = world.shards[shard]
            .nodes
            .get(node)
            .map_or(0, |n| n.owner.epoch().0);
        match kind {
            Kind::Land => {
                let messages = world.shards[shard]
                    .sent
                    .iter()
                    .flat_map(crate::log::Sent::messages);
                format!("shard {shard}: lands {:?}", messages.collect::<Vec<_>>().get(arg))
            }
            Kind::Apply => {
                format!(
                    "shard {shard}: a worker applies {:?}",
                    world.shards[shard].log.records.get(arg)
                )
            }
            Kind::Claim => format!("shard {shard}: a claim (of epoch {})", arg + 1),
            _ => format!("shard {shard}: {kind:?} {arg} at the owner of epoch {epoch}"),
        }
    }
}

/// Lands, reads and applies until nothing is left.
fn calm(config: &Config, world: &mut World) {
    let mut actions = Vec::new();
    loop {
        actions.clear();
        step::actions(config, world, &mut actions);
        let quiet = |a: &&Action| matches!(a.kind, Kind::Land | Kind::Read | Kind::Apply);
        let before = world.fingerprint(config);
        let changed = |a: &Action| step::step(config, world, *a).filter(|w| w.fingerprint(config) != before);
        let Some(after) = actions.iter().filter(quiet).find_map(changed) else {
            return;
        };
        *world = after;
    }
}

/// A model and what must have happened in it.
#[derive(Debug, Clone)]
pub struct Task {
    /// What is explored.
    pub config: Config,
    /// What must have happened at least once.
    pub expected: Vec<Seen>,
    /// Whether it runs with every test run; the others run with `explore full`.
    pub quick: bool,
}

impl Task {
    /// Explores it.
    #[must_use]
    pub fn explore(&self, states_max: usize) -> Report {
        explore(&self.config, states_max)
    }
}

fn units(first: u32, len: u32) -> UnitRange {
    UnitRange { first, len }
}

/// Takeovers with the log as medium.
#[must_use]
pub fn takeover(buyers: usize, stock: u32, takeovers: u8) -> Config {
    Config::new("takeover", buyers, stock, takeovers)
}

/// Takeovers while the stock is loaded, in two loads.
#[must_use]
pub fn loading(buyers: usize, takeovers: u8) -> Config {
    let mut config = Config::new("loading", buyers, 3, takeovers);
    config.loads = vec![vec![units(0, 2), units(2, 1)]];
    config.loaded = false;
    config
}

/// Bypass: entering, committing, takeovers in it, leaving, late landings.
#[must_use]
pub fn bypass(buyers: usize, stock: u32, takeovers: u8, bypasses: u8) -> Config {
    let mut config = Config::new("bypass", buyers, stock, takeovers);
    config.bypasses = bypasses;
    config.lag = true;
    config
}

/// Transfers between two shards, 2 units in one and 1 in the other.
#[must_use]
pub fn transfer(homes: &[u8], takeovers: u8, transfers: u8) -> Config {
    let mut config = Config::new("transfer", homes.len(), 3, takeovers);
    config.homes = homes.to_vec();
    config.loads = vec![vec![units(0, 2)], vec![units(2, 1)]];
    config.transfers = transfers;
    config.worker = false;
    config
}

/// Orders: paying against closing, releases until they are applied. One key per buyer.
#[must_use]
pub fn orders(buyers: usize, stock: u32, takeovers: u8, payments: u8) -> Config {
    let mut config = Config::new("orders", buyers, stock, takeovers);
    config.orders = true;
    config.payments = payments;
    config
}

/// Orders of buyers who come back with a second key once their first reservation is released.
#[must_use]
pub fn rebuy(buyers: usize, stock: u32, takeovers: u8, payments: u8) -> Config {
    let mut config = orders(buyers, stock, takeovers, payments);
    config.name = "rebuy";
    config.tries.push(Try { key: 1, quantity: 1 });
    config
}

/// Limits and idempotency keys: two keys per buyer, quantities that exceed the limit or conflict.
#[must_use]
pub fn limits(buyers: usize, stock: u32, takeovers: u8) -> Config {
    let mut config = Config::new("limits", buyers, stock, takeovers);
    let (one, two) = (Try { key: 1, quantity: 1 }, Try { key: 1, quantity: 2 });
    config.tries.extend([one, two]);
    config.limit = 2;
    config.worker = false;
    config
}

/// The same with nothing left out: owners lag, doomed owners sell, lost tickets are watched, the
/// database's answers are late.
#[must_use]
pub fn plain(mut config: Config) -> Config {
    config.lag = true;
    config.late_replies = true;
    config.doomed_sell = true;
    config.watch_lost = true;
    config
}

/// All models, as they are explored.
#[must_use]
pub fn all() -> Vec<Task> {
    let mut tasks = of_log();
    tasks.extend(of_bypass());
    tasks.extend(of_transfers());
    tasks.extend(of_orders());
    tasks
}

fn task(quick: bool, recover_every: u64, mut config: Config, expected: &[Seen]) -> Task {
    config.recover_every = recover_every;
    Task {
        config,
        expected: expected.to_vec(),
        quick,
    }
}

fn of_log() -> Vec<Task> {
    let log = [
        Seen::EXISTING,
        Seen::FENCED,
        Seen::SURVIVED,
        Seen::SOLD_OUT,
        Seen::LATE_LANDING,
        Seen::WORKER_BEHIND,
    ];
    let scarce = [Seen::EMPTY, Seen::SOLD_OUT, Seen::FENCED];
    let limited = [Seen::EXISTING, Seen::REFUSED, Seen::FENCED, Seen::SURVIVED];
    vec![
        task(true, 16, plain(takeover(3, 3, 2)), &log),
        task(true, 4, plain(takeover(3, 2, 2)), &scarce),
        task(true, 1, takeover(3, 3, 3), &log),
        task(true, 16, loading(3, 2), &[Seen::LOADED_AGAIN, Seen::LATE_LANDING]),
        task(true, 1, limits(3, 3, 2), &limited),
    ]
}

fn of_bypass() -> Vec<Task> {
    let bypassed = [
        Seen::ENTERED,
        Seen::CAUGHT_UP,
        Seen::COMMITTED,
        Seen::TAKEN_OVER_IN_BYPASS,
        Seen::COMMIT_REFUSED,
        Seen::VOID_LANDING,
        Seen::CUT,
        Seen::LEFT,
        Seen::LEFT_AFTER_TAKEOVER,
        Seen::PROMISED_AFTER,
    ];
    let twice = [Seen::LEFT, Seen::TAKEN_OVER_IN_BYPASS, Seen::CUT];
    let mut late = bypass(3, 3, 2, 1);
    late.late_replies = true;
    late.watch_lost = true;
    vec![
        task(true, 64, bypass(3, 3, 2, 1), &bypassed),
        task(true, 16, plain(bypass(2, 2, 2, 1)), &bypassed),
        task(true, 16, plain(bypass(2, 1, 2, 2)), &twice),
        task(false, 256, late, &bypassed),
        task(false, 256, bypass(3, 2, 2, 2), &bypassed),
    ]
}

fn of_transfers() -> Vec<Task> {
    let moved = [
        Seen::SENT,
        Seen::ARRIVED,
        Seen::REPEATED,
        Seen::DONOR_DIED,
        Seen::RECIPIENT_DIED,
    ];
    vec![
        task(true, 64, transfer(&[0, 0, 1], 2, 2), &moved),
        task(false, 256, transfer(&[0, 0, 1], 2, 3), &moved),
    ]
}

fn of_orders() -> Vec<Task> {
    let sold = [Seen::PAID, Seen::RELEASED, Seen::RELEASED_LATER];
    let paid = [Seen::PAID, Seen::REFUND, Seen::RELEASED, Seen::RESOLD];
    let again = [Seen::BOUGHT_AGAIN, Seen::RELEASED, Seen::RELEASED_LATER];
    let mut late = orders(3, 2, 2, 1);
    late.late_money = true;
    let mut all_reasons = orders(3, 3, 2, 1);
    (all_reasons.late_money, all_reasons.cancels) = (true, true);
    let mut twice = orders(2, 1, 1, 2);
    (twice.late_money, twice.cancels) = (true, true);
    let mut four = rebuy(3, 3, 1, 1);
    four.reservations_max = 4;
    let mut closing = rebuy(3, 3, 2, 0);
    (closing.reservations_max, closing.prompt) = (4, true);
    vec![
        task(true, 16, orders(3, 3, 2, 1), &sold),
        task(true, 64, late, &paid),
        task(true, 4, twice, &paid),
        task(true, 64, rebuy(2, 2, 2, 1), &again),
        task(
            false,
            256,
            all_reasons,
            &[Seen::PAID, Seen::REFUND, Seen::RELEASED],
        ),
        task(false, 256, four, &again),
        task(false, 1024, closing, &again),
    ]
}
