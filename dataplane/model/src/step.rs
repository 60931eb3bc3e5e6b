//! The steps of a model: each is atomic, and each drives the real code.

mod bypass;
mod log;
mod orders;
mod sale;
mod transfer;

use crate::config::Config;
use crate::log::Sent;
use crate::seen::Seen;
use crate::world::{Node, World, reads_at_once, tickets};
use flashsale_core::event::{Change, Event, Record};
use flashsale_core::owner::{Effect, Owner, Phase};
use std::rc::Rc;

pub(crate) use sale::{ITEM, attempt, buyer_of, by_key};

/// What kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody claims the shard. `arg`: the epoch that it has read (variants only).
    Claim,
    /// A message lands in the partition; `arg` counts through all that may.
    Land,
    /// An owner reads the next record.
    Read,
    /// A worker, however late, applies a record of the partition; `arg` is its place there.
    Apply,
    /// Buyer `arg / tries` makes attempt `arg % tries` at an owner.
    Buy,
    /// Load `arg` is tried at an owner.
    Load,
    /// An owner stops promising by read-back, to enter bypass.
    BeginEnter,
    /// It applies the next promised event itself.
    CatchUp,
    /// It enters bypass by compare-and-set.
    Enter,
    /// An answer of the database arrives.
    Reply,
    /// An owner in bypass commits its next event.
    Commit,
    /// An owner in bypass publishes its barrier, to leave.
    Leave,
    /// It leaves bypass by compare-and-set.
    Left,
    /// An owner decides to send one unit to the other shard.
    TransferOut,
    /// Transfer `arg` arrives at an owner.
    Arrive,
    /// Acknowledgement `arg` arrives at an owner.
    Acked,
    /// Payment `arg % 4` for order `arg / 4` comes in.
    Pay,
    /// Order `arg / 2` is closed: unpaid if even, cancelled if odd.
    Close,
    /// The release message of order `arg` reaches an owner.
    Release,
    /// Variants only: the owner takes a receipt for a promise.
    Receipt,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// What kind.
    pub kind: Kind,
    /// In which shard.
    pub shard: usize,
    /// By which of its owners.
    pub node: usize,
    /// See [`Kind`].
    pub arg: usize,
}

/// All steps that may be possible.
pub fn actions(config: &Config, world: &World, actions: &mut Vec<Action>) {
    for shard in 0..world.shards.len() {
        log::actions(config, world, shard, actions);
        for node in 0..world.shards[shard].nodes.len() {
            let mut put = |kind, arg| {
                actions.push(Action {
                    kind,
                    shard,
                    node,
                    arg,
                });
            };
            sale::actions(config, world, shard, node, &mut put);
            bypass::actions(config, world, shard, node, &mut put);
            transfer::actions(world, shard, node, &mut put);
        }
        if config.orders {
            orders::actions(config, world, shard, actions);
        }
    }
}

/// The world behind a step; `None` if it isn't possible.
#[must_use]
pub fn step(config: &Config, world: &World, action: Action) -> Option<World> {
    let mut after = world.clone();
    (after.seen, after.same) = (Seen::default(), false);
    let Action {
        kind,
        shard,
        node,
        arg,
    } = action;
    let mut turn = Turn {
        config,
        world: &mut after,
        shard,
    };
    let done = match kind {
        Kind::Claim => turn.claim(arg),
        Kind::Land => turn.land(arg),
        Kind::Read => turn.read_one(node),
        Kind::Apply => turn.apply(arg),
        Kind::Buy => turn.buy(node, arg),
        Kind::Load => turn.load(node, arg),
        Kind::BeginEnter => turn.begin_enter(node),
        Kind::CatchUp => turn.catch_up(node),
        Kind::Enter => turn.enter(node),
        Kind::Reply => turn.reply(node),
        Kind::Commit => turn.commit(node),
        Kind::Leave => turn.leave(node),
        Kind::Left => turn.left(node),
        Kind::TransferOut => turn.transfer_out(node),
        Kind::Arrive => turn.arrive(node, arg),
        Kind::Acked => turn.acked(node, arg),
        Kind::Pay => turn.pay(arg / 4, arg % 4),
        Kind::Close => turn.close(arg / 2, arg % 2 == 1),
        Kind::Release => turn.release(node, arg),
        Kind::Receipt => turn.receipt(node),
    };
    done?;
    if !after.same || after.problem.is_some() {
        settle(config, &mut after);
    }
    Some(after)
}

/// One step of one shard.
pub(crate) struct Turn<'a> {
    pub(crate) config: &'a Config,
    pub(crate) world: &'a mut World,
    pub(crate) shard: usize,
}

impl Turn<'_> {
    fn here(&mut self) -> &mut crate::world::Shard {
        &mut self.world.shards[self.shard]
    }

    /// Drives the real owner, and does what it wants done.
    fn drive<T>(&mut self, node: usize, drive: impl FnOnce(&mut Owner, &mut Vec<Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let result = drive(&mut self.node(node).owner, &mut effects);
        self.effects(node, effects);
        self.flush(node);
        result
    }

    pub(crate) fn node(&mut self, node: usize) -> &mut Node {
        Rc::make_mut(&mut self.here().nodes[node])
    }

    /// Publishes all that isn't read back: what is published may land at any later time or never, so
    /// publishing at once leaves nothing out.
    fn flush(&mut self, node: usize) {
        let mut effects = Vec::new();
        let owner = &mut self.node(node).owner;
        owner.republish(&mut effects);
        let mut fresh = Vec::new();
        while let Some(record) = owner.publish(1) {
            effects.push(Effect::Publish(record));
        }
        fresh.extend(owner.uncommitted(usize::MAX));
        for effect in &effects {
            if let Effect::Publish(Record::Batch { events, .. }) = effect {
                fresh.extend_from_slice(events);
            }
        }
        self.effects(node, effects);
        let node = self.node(node);
        let known = node.list.len() as u64;
        node.list.extend(fresh.into_iter().filter(|e| e.n > known));
        if node.owner.engine().len() != node.list.len() as u64 {
            self.world
                .broke("an owner's engine isn't the fold of its events".into());
        }
    }

    fn effects(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(record) => self.publish(node, record),
                Effect::Promised { upto } => self.promised(node, upto),
                Effect::Send { to, transfer } => self.send(to, transfer),
                Effect::Ack { to, number } => self.ack(to, number),
                Effect::BypassCopied => self.node(node).copied = true,
                Effect::Broken(problem) => self.world.broke(format!("an owner can't rebuild: {problem}")),
                Effect::Opened | Effect::Fenced => {}
            }
        }
    }

    /// An owner has promised everything up to `upto`: nobody may ever have been told otherwise.
    fn promised(&mut self, node: usize, upto: u64) {
        let node = self.here().nodes[node].clone();
        let epoch = node.owner.epoch();
        for event in &node.list[..(upto as usize).min(node.list.len())] {
            self.promise(event);
        }
        if upto as usize > node.list.len() {
            self.world.broke(format!(
                "owner of epoch {} promises event {upto}, which it doesn't know",
                epoch.0
            ));
        }
        self.saw_promise(&node);
    }

    fn promise(&mut self, event: &Event) {
        let shard = self.shard;
        let promised = Rc::make_mut(&mut self.here().promised);
        match promised.get(event.n as usize - 1) {
            Some(before) if before == event => {}
            None if event.n == promised.len() as u64 + 1 => promised.push(event.clone()),
            _ => self.world.broke(format!(
                "shard {shard}: two different events {} were promised",
                event.n
            )),
        }
    }

    fn saw_promise(&mut self, node: &Node) {
        let shard = &self.world.shards[self.shard];
        let (stock, epoch) = (self.config.stock() as usize, node.owner.epoch());
        let log = node.owner.phase() == Phase::Open;
        let made = |e: &Event| e.made == epoch;
        let last = shard
            .promised
            .last()
            .filter(|e| tickets(std::slice::from_ref(e)).count() == 1);
        let mut seen = Seen::default();
        if last.is_some_and(made) && node.bypassed && log {
            seen.put(Seen::PROMISED_AFTER);
        }
        if tickets(&shard.promised).count() >= stock {
            seen.put(Seen::SOLD_OUT);
        }
        let before = &shard.promised[..shard.promised.len().saturating_sub(1)];
        let released = before.iter().any(|e| matches!(e.change, Change::Released { .. }));
        if last.is_some() && released && tickets(&shard.promised).count() > stock {
            seen.put(Seen::RESOLD);
        }
        if tickets(&shard.promised).any(|t| t.made < epoch) {
            seen.put(Seen::SURVIVED);
        }
        self.world.seen.put(seen);
    }
}

/// Everything that follows at once: reading where reading may be at once, notices, and forgetting what
/// can't matter any more.
pub(crate) fn settle(config: &Config, world: &mut World) {
    for shard in 0..world.shards.len() {
        let mut turn = Turn { config, world, shard };
        for node in 0..turn.here().nodes.len() {
            loop {
                let shard = turn.here();
                let reader = &shard.nodes[node];
                if !reads_at_once(config, reader) || reader.read >= shard.log.records.len() {
                    break;
                }
                turn.read(node);
            }
        }
        if config.worker && config.prompt {
            // In order, once: a record that may not be applied now may never be, with the log as medium.
            (0..turn.here().log.records.len()).for_each(|record| {
                turn.apply(record);
            });
        }
        turn.notice();
        turn.retire();
        let shard = turn.here();
        if !config.keeps_stale() {
            let fold = shard.log.fold.clone();
            Sent::prune(Rc::make_mut(&mut shard.sent), &fold);
        }
    }
}

impl Turn<'_> {
    /// The owners hear at once what is applied: they then forget as much as they ever may.
    fn notice(&mut self) {
        let applied = self.here().row.applied;
        for node in 0..self.here().nodes.len() {
            if self.here().nodes[node].owner.progress().applied < applied {
                self.node(node).owner.applied(applied);
            }
        }
    }

    /// A fenced owner does nothing any more; its tickets are watched if the model is to.
    fn retire(&mut self) {
        let watch = self.config.watch_lost;
        let fenced = |n: &Rc<Node>| n.owner.phase() == Phase::Fenced;
        if !self.here().nodes.iter().any(fenced) {
            return;
        }
        let shard = self.here();
        let mut lost = Vec::new();
        for node in shard.nodes.iter().filter(|n| fenced(n)) {
            lost.extend(tickets(&node.list).filter(|t| !shard.log.fold.holds(*t)));
        }
        shard.nodes.retain(|n| !fenced(n));
        if !lost.is_empty() {
            self.world.seen.put(Seen::FENCED);
        }
        if watch {
            let all = Rc::make_mut(&mut self.here().lost);
            all.extend(lost);
            all.sort_unstable();
            all.dedup();
        }
    }
}
