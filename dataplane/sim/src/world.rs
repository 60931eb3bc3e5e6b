//! The simulated world: processes, logs, databases, the network between them, and the loop of steps.

use crate::breaks::Break;
use crate::buyers::{Buyer, Payment, Request};
use crate::check::Checker;
use crate::database::Database;
use crate::dice::Dice;
use crate::faults::Heal;
use crate::ledger::Ledger;
use crate::partition::Partition;
use crate::scenario::Scenario;
use crate::stats::{Fault, Stat, Stats};
use flashsale_core::attempt::Refusal;
use flashsale_core::engine::Outgoing;
use flashsale_core::event::Event;
use flashsale_core::fold::Fold;
use flashsale_core::ids::{Millis, OwnerId, Seq, ShardId};
use flashsale_core::owner::Phase;
use flashsale_core::room::Room;

/// A process: it forgets everything when it crashes.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) room: Room,
    pub(crate) up: bool,
    pub(crate) stalled: bool,
    /// How far its clock is off, in milliseconds.
    pub(crate) skew: i64,
    /// Per shard: the id it claimed with, and how far it has read the partition.
    pub(crate) ids: Vec<OwnerId>,
    pub(crate) read: Vec<usize>,
    /// Per shard: the log holds all that the database has; bypass may be left.
    pub(crate) copied: Vec<bool>,
    /// Per shard: what must be applied before bypass is entered.
    pub(crate) tails: Vec<Vec<Event>>,
}

/// A reader of one partition that applies it to the database.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shard: ShardId,
    pub(crate) fold: Fold,
    pub(crate) read: usize,
}

/// A message between two shards' owners.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Transfer {
        from: ShardId,
        to: ShardId,
        transfer: Outgoing,
    },
    Ack {
        from: ShardId,
        to: ShardId,
        number: Seq,
    },
}

/// Where a load of stock stands, in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    Unseeded,
    Seeding,
    Seeded,
}

/// What became of a transaction, as its caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Committed, and the caller knows.
    Known,
    /// Committed, but the answer is lost.
    Unknown,
    /// Not committed, and the caller doesn't know that either.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) sc: Scenario,
    pub(crate) bug: Option<Break>,
    pub(crate) trace: bool,
    pub(crate) now: Millis,
    pub(crate) step: u32,
    pub(crate) faulty: bool,
    pub(crate) quiescing: bool,
    pub(crate) logs: Vec<Partition>,
    pub(crate) dbs: Vec<Database>,
    pub(crate) procs: Vec<Process>,
    /// Per shard: which process the operator and the gateways believe to own it.
    pub(crate) assigned: Vec<usize>,
    /// Since which step a shard's owner hasn't taken purchases.
    pub(crate) since: Vec<u32>,
    pub(crate) primary: usize,
    pub(crate) workers: Vec<Worker>,
    pub(crate) net: Vec<Message>,
    pub(crate) mail: Vec<(u64, ShardId)>,
    pub(crate) requests: Vec<Request>,
    pub(crate) buyers: Vec<Buyer>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) payment_ids: u32,
    /// The declared stock, and what is added to the live sale.
    pub(crate) loads: [Load; 2],
    pub(crate) reseeds: u32,
    pub(crate) owners: u64,
    pub(crate) heals: Vec<(u32, Heal)>,
    pub(crate) ledger: Ledger,
    pub(crate) stats: Stats,
}

/// The living engines are looked over every so many steps.
const ONLINE_EVERY: u32 = 16;

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Break>, trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let sc = Scenario::draw(&mut dice);
        let (shards, items) = (sc.shards, sc.stock.len());
        let procs = (0..sc.procs)
            .map(|_| Process {
                room: Room::new(shards, items, sc.waiting_max),
                up: true,
                stalled: false,
                skew: if sc.has(Fault::Clock) {
                    dice.between(0, 10_000) as i64 - 5_000
                } else {
                    0
                },
                ids: vec![OwnerId(0); usize::from(shards)],
                read: vec![0; usize::from(shards)],
                copied: vec![false; usize::from(shards)],
                tails: vec![Vec::new(); usize::from(shards)],
            })
            .collect();
        let workers = (0..shards)
            .flat_map(|s| (0..sc.workers).map(move |_| s))
            .map(|s| Worker {
                shard: ShardId(s),
                fold: Fold::default(),
                read: 0,
            })
            .collect();
        let buyers = (0..sc.buyers).map(|ix| Buyer::draw(ix, &sc, &mut dice)).collect();
        Self {
            faulty: true,
            quiescing: false,
            now: 0,
            step: 0,
            logs: (0..shards).map(|_| Partition::default()).collect(),
            dbs: (0..shards).map(|_| Database::default()).collect(),
            procs,
            assigned: (0..usize::from(shards))
                .map(|s| if sc.split { s % sc.procs } else { 0 })
                .collect(),
            since: vec![0; usize::from(shards)],
            primary: 0,
            workers,
            net: Vec::new(),
            mail: Vec::new(),
            requests: Vec::new(),
            buyers,
            payments: Vec::new(),
            payment_ids: 0,
            loads: [Load::Unseeded; 2],
            reseeds: 0,
            owners: 0,
            heals: Vec::new(),
            ledger: Ledger::new(shards, items),
            stats: Stats::default(),
            dice,
            sc,
            bug,
            trace,
        }
    }

    /// Plays the sale, its faults, its end; then checks everything.
    pub(crate) fn play(&mut self) {
        self.note(|w| format!("{:?}", w.sc));
        for s in 0..self.sc.shards {
            self.claim(self.assigned[usize::from(s)], ShardId(s));
        }
        if self.sc.warm_up {
            self.warm_up();
        }
        while self.step < self.sc.steps {
            self.step += 1;
            self.now += self.dice.between(0, 2 * self.sc.step_ms);
            if self.faulty && self.step >= self.sc.faults_until {
                self.faults_end();
            }
            self.heal(false);
            self.act();
        }
        self.faults_end();
        if self.quiesce() {
            self.audit();
        }
        self.stats.steps = u64::from(self.step);
        self.count_ends();
    }

    /// One step: something that can happen next does.
    fn act(&mut self) {
        let s = ShardId(self.dice.below(usize::from(self.sc.shards)) as u16);
        match self.dice.below(128) {
            0..28 => {
                let b = self.dice.below(self.buyers.len());
                self.buyer_acts(b);
            }
            28..46 => self.deliver_mail(),
            46..56 => {
                let p = self.assigned[s.ix()];
                self.publish(p);
            }
            56..66 => self.land(s),
            66..82 => {
                let p = self.some_process(s);
                let records = self.dice.between(1, 8) as usize;
                self.read(p, s, records);
            }
            82..84 => {
                let p = self.some_process(s);
                self.resend(p);
            }
            84..90 => self.deliver_message(),
            90..100 => {
                let mut w = self.dice.below(self.workers.len());
                if self.sc.workers > 1 && w % 2 == 1 && !self.dice.one_in(8) {
                    // The second one of a shard is slow.
                    w -= 1;
                }
                let records = self.dice.between(1, 8) as usize;
                if !self.sc.lazy_workers || self.dice.one_in(12) {
                    self.work(w, records);
                }
            }
            100..103 => self.tell_applied(s),
            103..108 => self.make_orders(),
            108..110 => self.sweep(s),
            110..114 => self.send_releases(s),
            114..118 => self.deliver_payment(),
            118..120 => self.supervise(s),
            120..122 => self.load_stock(),
            122..126 => self.bypass(s),
            _ => self.rebalance(s),
        }
        if self.loads[0] != Load::Seeded && self.dice.one_in(4) {
            self.load_stock();
        }
        // A shard that is being taken over reads more than it serves.
        let p = self.assigned[s.ix()];
        let busy = self.phase(p, s).is_some_and(|phase| phase != Phase::Open);
        if (busy || self.logs[s.ix()].down && self.sc.bypass) && self.dice.one_in(3) {
            self.land(s);
            self.read(p, s, 8);
            self.bypass(s);
        }
        if self.step.is_multiple_of(ONLINE_EVERY) {
            self.check_units_online();
        }
        if self.faulty && self.dice.permille(self.sc.strikes) {
            self.strike(s);
        }
    }

    /// The process that owns the shard, or now and then another one.
    fn some_process(&mut self, s: ShardId) -> usize {
        if self.dice.one_in(6) {
            self.dice.below(self.procs.len())
        } else {
            self.assigned[s.ix()]
        }
    }

    pub(crate) fn runs(&self, p: usize) -> bool {
        self.procs[p].up && !self.procs[p].stalled
    }

    /// A process' clock.
    pub(crate) fn clock(&self, p: usize) -> Millis {
        self.now.saturating_add_signed(self.procs[p].skew)
    }

    /// Whether a fault of this kind strikes this one message now.
    pub(crate) fn noise(&mut self, fault: Fault) -> bool {
        let strikes = self.faulty && self.sc.has(fault) && self.dice.permille(self.sc.noise);
        if strikes {
            self.stats.fault(fault);
        }
        strikes
    }

    /// What becomes of a transaction on a database that is up.
    pub(crate) fn commit(&mut self) -> Commit {
        if !self.noise(Fault::Commit) {
            Commit::Known
        } else if self.dice.one_in(2) {
            Commit::Unknown
        } else {
            Commit::Lost
        }
    }

    pub(crate) fn violation(&mut self, checker: Checker, what: String) {
        self.ledger.violation(self.step, checker, what);
    }

    pub(crate) fn note(&self, line: impl FnOnce(&Self) -> String) {
        if self.trace {
            println!("{:>5} {:>7} ms  {}", self.step, self.now, line(self));
        }
    }

    /// Whether process `p` is the shard's owner by the database.
    pub(crate) fn is_current(&self, p: usize, s: ShardId) -> bool {
        let (row, ids) = (&self.dbs[s.ix()].row, &self.procs[p].ids);
        let owner = self.procs[p].room.owner(s);
        row.owner == ids[s.ix()] && owner.is_some_and(|o| o.epoch() == row.claimed)
    }

    pub(crate) fn phase(&self, p: usize, s: ShardId) -> Option<Phase> {
        self.procs[p]
            .room
            .owner(s)
            .map(flashsale_core::owner::Owner::phase)
    }

    /// Somebody moves stock between shards.
    fn rebalance(&mut self, s: ShardId) {
        if self.sc.shards < 2 || !self.dice.one_in(2) || self.now >= self.sc.rules.closes {
            return;
        }
        let to = ShardId(self.dice.below(usize::from(self.sc.shards)) as u16);
        let item = flashsale_core::ids::ItemIx(self.dice.below(self.sc.stock.len()) as u16);
        let want = self.dice.between(1, 3) as u32;
        let p = self.assigned[s.ix()];
        if self.runs(p)
            && let Some(owner) = self.procs[p].room.owner_mut(s)
            && owner.transfer_out(to, item, want)
        {
            self.note(|_| format!("{s:?} sends {want} of {item:?} to {to:?}"));
            self.transfer_unpromised(p);
        }
    }

    /// Counts a refusal.
    pub(crate) fn count_refusal(&mut self, refusal: Refusal) {
        self.stats.count(match refusal {
            Refusal::SoldOut => Stat::SoldOut,
            Refusal::LimitExceeded { .. } => Stat::Limit,
            Refusal::KeyConflict => Stat::Conflict,
            Refusal::NotOpen { .. } => Stat::NotOpen,
            Refusal::Closed => Stat::Closed,
            Refusal::NotEntitled => Stat::NotEntitled,
            Refusal::Unavailable => Stat::Unavailable,
        });
    }
}
