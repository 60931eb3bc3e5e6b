//! The state of a model: the environment's part written out, the owners' part the real [`Owner`]s.

use crate::config::Config;
use crate::log::{Log, Meaning, Sent};
use crate::seen::Seen;
use flashsale_core::engine::{Outgoing, Rules};
use flashsale_core::event::{Change, Event, ReleaseReason, TicketNo};
use flashsale_core::ids::{Epoch, OwnerId, Seq, ShardId};
use flashsale_core::order::State;
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::Row;
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

/// An answer of the database that an owner hasn't got yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Bypass is entered.
    Entered(Epoch, Seq),
    /// Committed up to here.
    Committed(Seq),
    /// Bypass is left.
    Left,
    /// Another owner has claimed the shard.
    Refused,
}

/// One claimant of a shard, from its claim until it is fenced. It may die at any time: one that does
/// nothing any more is dead, so death needs no step of its own.
#[derive(Debug, Clone)]
pub struct Node {
    /// The real thing.
    pub owner: Owner,
    /// Its unique id.
    pub me: OwnerId,
    /// The events that its engine is the fold of.
    pub list: Vec<Event>,
    /// How many records of the partition it has read.
    pub read: usize,
    /// In bypass: the floor that it knows.
    pub floor: Seq,
    /// Promised events to apply on the way into bypass.
    pub todo: Vec<Event>,
    /// It has seen that the log holds all that is applied.
    pub copied: bool,
    /// What the database has answered.
    pub reply: Option<Reply>,
    /// Which transfers it knows to have arrived: (recipient, number).
    pub acked: Vec<(ShardId, Seq)>,
    /// It has been in bypass.
    pub bypassed: bool,
    /// It took the shard over in bypass.
    pub heir: bool,
}

/// An order of the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// Its reservation.
    pub ticket: TicketNo,
    /// Its units.
    pub unit: u32,
    /// Where it stands.
    pub state: State,
    /// The payments that are recorded, as bits.
    pub payments: u8,
    /// Of these: accepted.
    pub accepted: u8,
    /// Of these: to give back.
    pub refunds: u8,
    /// The release message, until `Released` is applied.
    pub release: Option<ReleaseReason>,
}

/// One shard.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its partition.
    pub log: Rc<Log>,
    /// What may still land there.
    pub sent: Rc<Vec<Sent>>,
    /// Its row in the database.
    pub row: Row,
    /// The applied events.
    pub db: Rc<Vec<Event>>,
    /// The orders.
    pub orders: Rc<Vec<Order>>,
    /// Every event that was ever promised: the longest list that anybody was told.
    pub promised: Rc<Vec<Event>>,
    /// The claimants that aren't fenced.
    pub nodes: Vec<Rc<Node>>,
    /// Tickets that were given out by owners fenced since.
    pub lost: Rc<Vec<TicketNo>>,
}

/// A transfer that was sent and may arrive, any number of times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The donor.
    pub from: ShardId,
    /// The recipient.
    pub to: ShardId,
    /// What.
    pub transfer: Outgoing,
    /// How many takeovers the donor had seen when it was first sent: for reachability only.
    pub claims: u32,
}

/// The whole state.
#[derive(Debug, Clone)]
pub struct World {
    /// The shards.
    pub shards: Vec<Shard>,
    /// Which buyers have ever got a ticket, promised or not: buyers are interchangeable, so of those of one
    /// shard the next one begins only when the one before has.
    pub used: Vec<bool>,
    /// Takeovers left.
    pub takeovers: u8,
    /// Bypasses left.
    pub bypasses: u8,
    /// Transfers left.
    pub transfers: u8,
    /// Transfers that may arrive.
    pub sends: Rc<Vec<Transfer>>,
    /// Acknowledgements that may arrive: (recipient, donor, number).
    pub acks: Rc<Vec<(ShardId, ShardId, Seq)>>,
    /// This step changed nothing but what was seen.
    pub same: bool,
    /// What broke in this step.
    pub problem: Option<String>,
    /// What happened in this step.
    pub seen: Seen,
}

impl Shard {
    fn new() -> Self {
        Self {
            log: Rc::default(),
            sent: Rc::default(),
            row: Row::default(),
            db: Rc::default(),
            orders: Rc::default(),
            promised: Rc::default(),
            nodes: Vec::new(),
            lost: Rc::default(),
        }
    }

    /// The newest claimant, unless it is fenced.
    #[must_use]
    pub fn newest(&self) -> Option<usize> {
        self.nodes
            .iter()
            .position(|n| (n.owner.epoch(), n.me) == (self.row.claimed, self.row.owner))
    }
}

impl World {
    /// Nothing has happened.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            shards: config.loads.iter().map(|_| Shard::new()).collect(),
            used: vec![false; config.homes.len()],
            takeovers: config.takeovers,
            bypasses: config.bypasses,
            transfers: config.transfers,
            sends: Rc::default(),
            acks: Rc::default(),
            same: false,
            problem: None,
            seen: Seen::default(),
        }
    }

    /// Something broke.
    pub fn broke(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// Equal for states from which the same can happen. See `docs/model.md` for what is left out and why.
    #[must_use]
    pub fn fingerprint(&self, config: &Config) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        (self.takeovers, self.bypasses, self.transfers).hash(&mut hasher);
        self.used.hash(&mut hasher);
        for send in self.sends.iter() {
            (send.from, send.to, &send.transfer).hash(&mut hasher);
        }
        self.acks.hash(&mut hasher);
        self.problem.is_some().hash(&mut hasher);
        for shard in &self.shards {
            shard.hash_into(config, &mut hasher);
        }
        hasher.finish()
    }
}

impl Shard {
    fn hash_into(&self, config: &Config, hasher: &mut impl Hasher) {
        self.log.fold.hash(hasher);
        self.log.list.hash(hasher);
        self.sent.hash(hasher);
        self.row.hash(hasher);
        self.db.hash(hasher);
        self.orders.hash(hasher);
        self.promised.hash(hasher);
        self.lost.hash(hasher);
        if config.worker {
            self.appliable(config, hasher);
        }
        // Of what everybody has read only the fold matters; what somebody has yet to read comes whole.
        let all = self.log.records.len();
        let lagging = self.nodes.iter().map(|n| n.read).min().unwrap_or(all);
        self.log.records[lagging..].hash(hasher);
        for node in &self.nodes {
            (all - node.read).hash(hasher);
            node.hash(hasher);
        }
    }

    /// What a worker, however late, could still apply.
    fn appliable(&self, config: &Config, hasher: &mut impl Hasher) {
        let loose = config.broken.is_some();
        for landed in &self.log.records {
            let may = match landed.meaning {
                Meaning::Opened { epoch, .. } => epoch > self.row.applied_epoch,
                Meaning::Counted { epoch } => epoch >= self.row.applied_epoch,
                Meaning::Fenced => false,
                Meaning::Stale => true,
            };
            if may || loose {
                landed.hash(hasher);
            }
        }
    }
}

impl Hash for Node {
    /// The engine is the fold of `list`, the fold and the history follow from what was read, and what was
    /// published is renewed after every step: so this is all that tells two owners apart.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let progress = self.owner.progress();
        (
            self.owner.phase(),
            self.me,
            self.owner.base(),
            self.owner.outbox_len(),
        )
            .hash(hasher);
        progress.hash(hasher);
        self.list.hash(hasher);
        (self.floor, self.copied, self.reply, self.bypassed, self.heir).hash(hasher);
        self.todo.hash(hasher);
        self.acked.hash(hasher);
    }
}

/// The tickets of the reservations in a list.
pub fn tickets(list: &[Event]) -> impl Iterator<Item = TicketNo> {
    let reservations = list.iter().filter(|e| matches!(e.change, Change::Reserved(_)));
    reservations.map(Event::ticket)
}

/// The rules of every sale here. Time is not part of the model.
#[must_use]
pub fn rules(config: &Config) -> Rules {
    Rules {
        opens: 0,
        closes: 100,
        limits: vec![config.limit],
        registered_only: false,
        registrations_max: 0,
    }
}

/// Whether an owner reads its partition at once. See `docs/model.md` for why that loses nothing.
#[must_use]
pub fn reads_at_once(config: &Config, node: &Node) -> bool {
    !config.lag || node.owner.phase() != Phase::Open
}
