//! What travels: records to the logs and back, transfers and acknowledgements between owners.

use crate::breaks::Break;
use crate::check::Checker;
use crate::ledger;
use crate::stats::{Fault, Stat};
use crate::world::{Message, Process, World};
use flashsale_core::event::{self, Record};
use flashsale_core::ids::{SaleUid, Seq, ShardId};
use flashsale_core::owner::Effect;
use flashsale_core::room::Answered;

/// The variant that sends transfers early sends no more than so many at a time.
const MESSAGES_MAX: usize = 8;

/// The simulated sale.
const UID: SaleUid = SaleUid(7);

impl World {
    /// Publishes a process' next batches.
    pub(crate) fn publish(&mut self, p: usize) {
        if !self.runs(p) {
            return;
        }
        let events_max = if self.quiescing {
            64
        } else {
            self.dice.between(1, 6) as usize
        };
        let mut batches = Vec::new();
        self.procs[p].room.publish(events_max, &mut batches);
        for (s, record) in batches {
            self.send_record(s, record);
        }
    }

    fn send_record(&mut self, s: ShardId, record: Record) {
        self.note(|_| format!("{s:?} ← {record:?}"));
        if let Record::Batch { events, .. } = &record {
            self.ledger.note(s, events);
            if self.bug == Some(Break::OrderFromPublish) {
                self.order_from_publish(s, events);
            }
        }
        self.logs[s.ix()].flying.push(record);
    }

    /// Lets something land that is on its way to a partition.
    pub(crate) fn land(&mut self, s: ShardId) {
        let flying = self.logs[s.ix()].flying.len();
        let closed = self.logs[s.ix()].down && !self.logs[s.ix()].deaf;
        if closed || flying == 0 {
            return;
        }
        let count = if self.quiescing {
            flying
        } else {
            self.dice.between(1, 3) as usize
        };
        for _ in 0..count {
            let flying = self.logs[s.ix()].flying.len();
            if flying == 0 {
                return;
            }
            if !self.noise(Fault::Publish) {
                let record = self.logs[s.ix()].flying.remove(0);
                self.landed(s, record);
                continue;
            }
            let at = self.dice.below(flying);
            match self.dice.below(4) {
                0 => {
                    // Out of order.
                    let record = self.logs[s.ix()].flying.remove(at);
                    self.landed(s, record);
                }
                1 => {
                    // Now, and perhaps again later.
                    let record = self.logs[s.ix()].flying[at].clone();
                    self.landed(s, record);
                }
                2 => drop(self.logs[s.ix()].flying.remove(at)),
                _ => {
                    let mut record = self.logs[s.ix()].flying.remove(at);
                    if let Record::Batch { events, .. } = &mut record {
                        let whole = events.len();
                        events.truncate(self.dice.between(1, whole as u64) as usize);
                    }
                    self.landed(s, record);
                }
            }
        }
    }

    pub(crate) fn landed(&mut self, s: ShardId, record: Record) {
        self.note(|_| format!("{s:?} has {record:?}"));
        if self.dice.one_in(32) {
            // What readers see has been bytes.
            let read = event::decode(UID, s, &event::encode(UID, s, &record));
            if read.as_ref() != Ok(&record) {
                self.violation(Checker::Rebuild, format!("{record:?} was read as {read:?}"));
            }
        }
        self.logs[s.ix()].land(record);
    }

    /// A process reads on in a partition.
    pub(crate) fn read(&mut self, p: usize, s: ShardId, records: usize) {
        if !self.runs(p) || self.logs[s.ix()].down || self.procs[p].room.owner(s).is_none() {
            return;
        }
        for _ in 0..records {
            let Process { room, read, .. } = &mut self.procs[p];
            let Some(record) = self.logs[s.ix()].records.get(read[s.ix()]) else {
                break;
            };
            read[s.ix()] += 1;
            let mut effects = Vec::new();
            let owner = room.owner_mut(s);
            if let Some(owner) = owner {
                owner.read(record, &mut effects);
            }
            self.effects(p, s, effects);
        }
        self.settle(p);
    }

    /// Sends again what wasn't answered or read back.
    pub(crate) fn resend(&mut self, p: usize) {
        if !self.runs(p) {
            return;
        }
        let (republish, transfers) = (
            self.bug != Some(Break::NoRepublish),
            self.bug != Some(Break::NoTransferRepeat),
        );
        for s in (0..self.sc.shards).map(ShardId) {
            let mut effects = Vec::new();
            if let Some(owner) = self.procs[p].room.owner_mut(s) {
                if republish {
                    owner.republish(&mut effects);
                }
                if transfers {
                    owner.resend_transfers(&mut effects);
                }
            }
            self.effects(p, s, effects);
        }
    }

    /// Carries out what an owner wants done.
    pub(crate) fn effects(&mut self, p: usize, s: ShardId, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let mut out = Vec::new();
        if self.sc.network {
            out.extend(effects.into_iter().map(|e| (s, e)));
        } else {
            self.procs[p].room.route(s, effects, &mut out);
        }
        for (s, effect) in out {
            self.effect(p, s, effect);
        }
    }

    fn effect(&mut self, p: usize, s: ShardId, effect: Effect) {
        match effect {
            Effect::Publish(record) => self.send_record(s, record),
            Effect::Opened => self.opened(p, s),
            Effect::Fenced => {
                self.stats.count(Stat::Fenced);
                self.note(|_| format!("process {p}: {s:?} fenced"));
            }
            Effect::Promised { upto } => self.promised(p, s, upto),
            Effect::Send { to, transfer } => {
                self.stats.count(Stat::Transfers);
                self.net.push(Message::Transfer {
                    from: s,
                    to,
                    transfer,
                });
            }
            Effect::Ack { to, number } => self.net.push(Message::Ack { from: s, to, number }),
            Effect::BypassCopied => self.procs[p].copied[s.ix()] = true,
            Effect::Broken(inconsistent) => {
                self.violation(Checker::Rebuild, format!("{s:?} in process {p}: {inconsistent}"));
            }
        }
    }

    fn opened(&mut self, p: usize, s: ShardId) {
        self.stats.count(Stat::Opened);
        self.note(|_| format!("process {p}: {s:?} open"));
        // A stale owner that reads its own opening late may well miss what came after.
        if !self.is_current(p, s) {
            return;
        }
        let Some(owner) = self.procs[p].room.owner(s) else {
            return;
        };
        self.ledger
            .opened(self.step, s, &owner.progress(), owner.engine().len());
    }

    fn promised(&mut self, p: usize, s: ShardId, upto: Seq) {
        let Self {
            procs,
            ledger,
            logs,
            dbs,
            sc,
            ..
        } = self;
        let Some(owner) = procs[p].room.owner(s) else {
            return;
        };
        let rules = ledger::Rules {
            step: self.step,
            limits: &sc.rules.limits,
            opens: sc.rules.opens,
            closes: sc.rules.closes,
            databases: dbs,
        };
        let durable = |n: Seq, made| {
            logs[s.ix()].truth.holds(n, made)
                || dbs[s.ix()]
                    .list
                    .get(n as usize - 1)
                    .is_some_and(|e| e.made == made)
        };
        let new = ledger.promise(&rules, s, &owner.progress(), upto, durable);
        self.stats.counts[Stat::Promised as usize] += u64::from(new);
        self.note(|_| format!("process {p}: {s:?} promises up to {upto}"));
    }

    /// Delivers a transfer or an acknowledgement to whoever is believed to own the shard it is for.
    pub(crate) fn deliver_message(&mut self) {
        if self.net.is_empty() {
            return;
        }
        let at = if self.noise(Fault::Network) {
            self.dice.below(self.net.len())
        } else {
            0
        };
        let again = self.noise(Fault::Network);
        let message = if again {
            self.net[at].clone()
        } else {
            self.net.remove(at)
        };
        if self.noise(Fault::Network) {
            return;
        }
        let (Message::Transfer { to, .. } | Message::Ack { to, .. }) = message;
        let p = self.route(to);
        if !self.runs(p) {
            return;
        }
        let Some(owner) = self.procs[p].room.owner_mut(to) else {
            return;
        };
        let mut effects = Vec::new();
        match message {
            Message::Transfer { from, transfer, .. } => {
                owner.transfer_arrived(from, &transfer, &mut effects);
                if owner.takes() && self.bug == Some(Break::AckUnpromised) {
                    effects.push(Effect::Ack {
                        to: from,
                        number: transfer.number,
                    });
                }
                self.note(|_| format!("process {p}: {to:?} gets {transfer:?} of {from:?}"));
            }
            Message::Ack { from, number, .. } => owner.acked(from, number),
        }
        self.effects(p, to, effects);
        self.settle(p);
    }

    /// Which process a message for a shard goes to: the believed owner, or now and then an old one.
    pub(crate) fn route(&mut self, s: ShardId) -> usize {
        if self.procs.len() > 1 && self.noise(Fault::Route) {
            return self.dice.below(self.procs.len());
        }
        self.assigned[s.ix()]
    }

    /// Serves who waits for units, after a burst of inputs.
    pub(crate) fn settle(&mut self, p: usize) {
        if self.procs[p].room.waiting() == 0 {
            return;
        }
        let mut answers: Vec<Answered> = Vec::new();
        let now = self.clock(p);
        self.procs[p].room.settle(now, &mut answers);
        self.transfer_unpromised(p);
        self.answered(p, &answers);
    }

    /// The variant that hands transfers over before they are promised.
    pub(crate) fn transfer_unpromised(&mut self, p: usize) {
        if self.bug != Some(Break::TransferUnpromised) {
            return;
        }
        for s in (0..self.sc.shards).map(ShardId) {
            if let Some(owner) = self.procs[p].room.owner(s).filter(|o| o.takes()) {
                let promised = owner.progress().promised;
                let early = owner
                    .engine()
                    .outgoing()
                    .iter()
                    .filter(|(_, t)| t.number > promised);
                for (&to, transfer) in early.take(MESSAGES_MAX.saturating_sub(self.net.len())) {
                    let transfer = transfer.clone();
                    self.net.push(Message::Transfer {
                        from: s,
                        to,
                        transfer,
                    });
                }
            }
        }
    }
}
