//! Claims, messages that land, owners that read, workers that apply.

use super::{Action, Kind, Turn};
use crate::broken::Broken;
use crate::config::Config;
use crate::log::{Landed, Log, Meaning, Sent};
use crate::seen::Seen;
use crate::world::{Node, World, reads_at_once, rules};
use flashsale_core::event::{Event, Record};
use flashsale_core::ids::{Epoch, OwnerId, ShardId};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::{Apply, Medium};
use std::rc::Rc;

pub(super) fn actions(config: &Config, world: &World, shard: usize, actions: &mut Vec<Action>) {
    let here = &world.shards[shard];
    let mut put = |kind, node, arg| {
        actions.push(Action {
            kind,
            shard,
            node,
            arg,
        });
    };
    if world.takeovers > 0 {
        let now = here.row.claimed.0;
        let first = if config.lacks(Broken::ClaimWithoutCompare) {
            1
        } else {
            now
        };
        (first..=now).for_each(|expect| put(Kind::Claim, 0, expect as usize));
    }
    let messages: usize = here.sent.iter().map(|s| s.messages().len()).sum();
    (0..messages).for_each(|message| put(Kind::Land, 0, message));
    for (node, reader) in here.nodes.iter().enumerate() {
        if !reads_at_once(config, reader) && reader.read < here.log.records.len() {
            put(Kind::Read, node, 0);
        }
        if config.lacks(Broken::PromiseOnReceipt) && reader.owner.phase() == Phase::Open {
            put(Kind::Receipt, node, 0);
        }
    }
    if config.worker && !config.prompt {
        (0..here.log.records.len()).for_each(|record| put(Kind::Apply, 0, record));
    }
}

impl Turn<'_> {
    /// Somebody claims the shard, and reads what the medium has.
    pub(super) fn claim(&mut self, expect: usize) -> Option<()> {
        self.world.takeovers = self.world.takeovers.checked_sub(1)?;
        self.claim_unbounded(expect);
        Some(())
    }

    pub(crate) fn claim_unbounded(&mut self, expect: usize) {
        let (config, shard) = (self.config, ShardId(self.shard as u16));
        let newest = self.here().nodes.iter().map(|n| n.me.0).max().unwrap_or(0);
        let mut me = OwnerId(newest.max(self.here().row.owner.0) + 1);
        let row = &mut self.here().row;
        let mut medium = row.medium;
        if config.lacks(Broken::SameEpochAgain) && row.claimed > Epoch(0) {
            me = row.owner;
        } else if config.lacks(Broken::ClaimWithoutCompare) {
            (row.claimed, row.owner) = (Epoch(expect as u32).next(), me);
        } else if row.claim(row.claimed, me).is_err() {
            return;
        }
        if config.lacks(Broken::MediumReadBefore) {
            // What it read was the row before bypass was entered.
            medium = Medium::Log;
        }
        let (epoch, floor, db) = (
            self.here().row.claimed,
            self.here().row.floor,
            self.here().db.clone(),
        );
        let mut effects = Vec::new();
        let bypass = medium == Medium::Bypass;
        let owner = if bypass {
            self.world.seen.put(Seen::TAKEN_OVER_IN_BYPASS);
            Owner::claimed_in_bypass(shard, me, epoch, rules(config), &db, floor, &mut effects)
        } else {
            Owner::claimed(shard, me, epoch, rules(config), &mut effects)
        };
        let node = Node {
            owner,
            me,
            list: if bypass { db.to_vec() } else { Vec::new() },
            read: 0,
            floor,
            todo: Vec::new(),
            copied: false,
            reply: None,
            acked: Vec::new(),
            bypassed: bypass,
            heir: bypass,
        };
        self.here().nodes.push(Rc::new(node));
        let node = self.here().nodes.len() - 1;
        self.effects(node, effects);
    }

    /// A message lands.
    pub(super) fn land(&mut self, message: usize) -> Option<()> {
        let keep_stale = self.config.keeps_stale();
        let all: Vec<Record> = self.here().sent.iter().flat_map(Sent::messages).collect();
        let record = all.get(message)?.clone();
        let before = self.here().log.fold.len();
        let mut log: Log = (*self.here().log).clone();
        if !log.land(record.clone(), keep_stale) {
            return None;
        }
        self.saw_landing(&record, before, log.fold.len());
        self.here().log = Rc::new(log);
        if let (Record::Batch { events, .. }, true) = (record, keep_stale) {
            for sent in Rc::make_mut(&mut self.here().sent) {
                sent.events.retain(|e| !events.contains(e));
            }
        }
        Some(())
    }

    fn saw_landing(&mut self, record: &Record, before: u64, after: u64) {
        let here = &self.world.shards[self.shard];
        let mut seen = Seen::default();
        match record {
            Record::Batch { epoch, events, .. } => {
                if *epoch < here.row.claimed {
                    seen.put(Seen::LATE_LANDING);
                }
                let other = |e: &Event| here.db.get(e.n as usize - 1).is_some_and(|d| d != e);
                if here.row.medium == Medium::Bypass && events.iter().any(other) {
                    seen.put(Seen::VOID_LANDING);
                }
            }
            Record::Opened { .. } if after < before => seen.put(Seen::CUT),
            Record::Opened { .. } | Record::Barrier { .. } => {}
        }
        self.world.seen.put(seen);
    }

    /// Whatever an owner publishes is on its way from then on.
    pub(super) fn publish(&mut self, node: usize, mut record: Record) {
        let leaving = self.here().nodes[node].owner.phase() == Phase::LeavingBypass;
        if let (Record::Opened { base, .. }, true) = (&mut record, leaving) {
            let (len, applied) = (self.here().log.fold.len(), self.here().row.applied);
            match self.config.broken {
                Some(Broken::BaseIsApplied) => *base = len.min(applied),
                Some(Broken::BaseIsFold) => *base = len,
                _ => {}
            }
        }
        Sent::put(Rc::make_mut(&mut self.here().sent), record);
    }

    pub(super) fn read_one(&mut self, node: usize) -> Option<()> {
        if self.here().nodes[node].read >= self.here().log.records.len() {
            return None;
        }
        self.read(node);
        Some(())
    }

    /// An owner reads the next record of its partition.
    pub(super) fn read(&mut self, node: usize) {
        let at = self.here().nodes[node].read;
        let landed = self.here().log.records[at].clone();
        self.node(node).read += 1;
        let before = self.here().nodes[node].owner.phase();
        if self.config.lacks(Broken::BarrierIgnored) && self.misses(node, &landed.record) {
            return;
        }
        let own = self.here().nodes[node].owner.epoch();
        let mut effects = Vec::new();
        self.node(node).owner.read(&landed.record, &mut effects);
        if before == Phase::Fencing && self.here().nodes[node].owner.phase() == Phase::Opening {
            let list = self.here().log.list_at(at + 1);
            self.node(node).list = list;
        }
        self.effects(node, effects);
        let counted = landed.meaning == (Meaning::Counted { epoch: own });
        if self.config.lacks(Broken::PromiseWhileEntering) && before == Phase::EnteringBypass && counted {
            let upto = self.here().log.list_at(at + 1).len() as u64;
            self.promised(node, upto);
        }
        self.flush(node);
    }

    /// Variant: an open owner doesn't notice a higher barrier.
    fn misses(&mut self, node: usize, record: &Record) -> bool {
        let owner = &self.here().nodes[node].owner;
        let open = owner.phase() == Phase::Open;
        open && matches!(record, Record::Barrier { epoch, .. } if *epoch > owner.epoch())
    }

    /// Variant: an event has landed, wherever, and its publisher takes the receipt for a promise.
    pub(super) fn receipt(&mut self, node: usize) -> Option<()> {
        let publisher = self.here().nodes[node].clone();
        let (epoch, next) = (publisher.owner.epoch(), publisher.owner.progress().promised);
        let event = publisher.list.get(next as usize)?;
        let received = |landed: &Rc<Landed>| {
            matches!(&landed.record, Record::Batch { epoch: e, owner, events }
                if (*e, *owner) == (epoch, publisher.me) && events.contains(event))
        };
        let landed = self.here().log.records.iter().any(received);
        landed.then(|| self.promised(node, event.n))
    }

    /// A worker applies a record, with the meaning that it had for the worker when it read it: now or a
    /// long time ago. Any number of workers, stalled or restarted, can do no more than this.
    pub(super) fn apply(&mut self, record: usize) -> Option<()> {
        let landed = self.here().log.records.get(record)?.clone();
        match (&landed.meaning, &landed.record) {
            (Meaning::Opened { epoch, base }, _) => {
                let apply = self.here().row.apply_opened(*epoch, *base);
                (apply == Apply::Now).then_some(())
            }
            (Meaning::Counted { epoch }, Record::Batch { events, .. }) => {
                let event = events.first().filter(|e| self.worker_may(*epoch, e.n))?;
                if self.here().log.fold.head().0 > *epoch {
                    self.world.seen.put(Seen::WORKER_BEHIND);
                }
                self.applied(event.clone());
                Some(())
            }
            _ => None,
        }
    }

    fn worker_may(&mut self, epoch: Epoch, n: u64) -> bool {
        let broken = self.config.broken;
        let row = &mut self.here().row;
        let next = n == row.applied + 1;
        match broken {
            Some(Broken::ApplyWithoutEpoch) if next && row.medium == Medium::Log => {
                (row.applied, row.applied_epoch) = (n, row.applied_epoch.max(epoch));
                true
            }
            Some(Broken::ApplyInBypass) if next && row.applied_epoch == epoch => {
                row.applied = n;
                true
            }
            _ => row.apply(epoch, n) == Apply::Now,
        }
    }

    /// The effects of an applied event, in the transaction that moves the row.
    pub(crate) fn applied(&mut self, event: Event) {
        if self.config.orders {
            self.applied_to_orders(&event);
        }
        Rc::make_mut(&mut self.here().db).push(event);
    }

    /// Whether nothing that this owner decides from here on can have an effect: see `docs/model.md`.
    pub(super) fn is_doomed(&self, node: usize) -> bool {
        let here = &self.world.shards[self.shard];
        let owner = &here.nodes[node].owner;
        let doomed = match owner.phase() {
            Phase::Bypass => here.row.claimed > owner.epoch(),
            _ => here.log.fold.head().0 > owner.epoch(),
        };
        doomed && !self.config.doomed_sell
    }
}
