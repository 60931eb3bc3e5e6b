//! One shard's owner: from claiming the shard to being fenced off.
//!
//! The caller claims the shard in the database ([`crate::row`]), makes an [`Owner`] and feeds it the
//! partition from its start with [`Owner::read`]; what the owner wants done comes back as [`Effect`]s.
//!
//! ```text
//!            own barrier read       own Opened read          a higher barrier read
//!  Fencing ───────────────────▶ Opening ───────────▶ Open ───────────────────────▶ Fenced
//!                                                    │  ▲
//!                              log down: enter_bypass│  │bypass_left: log is back and holds all
//!                                                    ▼  │
//!                                      EnteringBypass ▶ Bypass ▶ LeavingBypass
//! ```
//!
//! # Guarantees
//! - Nothing is promised but what was read back from the partition behind the own `Opened` and before
//!   any higher barrier or, in bypass, what the database has committed.
//! - A fenced owner takes and promises nothing, whatever receipts it still gets.

mod bypass;
mod transfers;

use crate::attempt::{Answer, Attempt, Refusal, Registered, Verdict};
use crate::engine::{Engine, Inconsistent, Outgoing, Rules};
use crate::event::{Change, Event, Record, ReleaseReason, TicketNo};
use crate::fold::{Fold, Segment, Step};
use crate::ids::{BuyerKey, Epoch, ItemIx, Millis, OwnerId, Seq, ShardId};
use crate::units::UnitRange;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Where an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Claimed; the barrier is published until it is read back. Everything read until then counts.
    Fencing,
    /// Rebuilt; `Opened` is published until it is read back.
    Opening,
    /// Takes purchases; promises by read-back.
    Open,
    /// The log is down: promises nothing until the database's answer is known.
    EnteringBypass,
    /// Takes purchases; promises by the database's commit.
    Bypass,
    /// The log is back: copies what the database has into it.
    LeavingBypass,
    /// A higher epoch began.
    Fenced,
    /// The log holds events that don't follow from each other: nothing is taken, somebody must look.
    Broken,
}

/// What an owner wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append this to the shard's partition.
    Publish(Record),
    /// The shard takes purchases from now on.
    Opened,
    /// The shard takes no purchases any more: a higher epoch began.
    Fenced,
    /// Every event up to `upto` is promised.
    Promised {
        /// The last promised number.
        upto: Seq,
    },
    /// This transfer has left for good: hand it to the owner of `to`, again and again until [`Owner::acked`].
    Send {
        /// The recipient.
        to: ShardId,
        /// What is on its way.
        transfer: Outgoing,
    },
    /// The transfer `number` of the donor `to` is promised here: tell the donor's owner.
    Ack {
        /// The donor.
        to: ShardId,
        /// The number of its `TransferOut`.
        number: Seq,
    },
    /// The partition now holds all that the database has: bypass may be left by compare-and-set.
    BypassCopied,
    /// The log is inconsistent.
    Broken(Inconsistent),
}

/// One shard's owner. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    shard: ShardId,
    me: OwnerId,
    epoch: Epoch,
    phase: Phase,
    rules: Rules,
    engine: Engine,
    fold: Fold,
    /// Counted events while recovering; empty once open.
    history: Vec<Event>,
    /// Events of this owner that aren't both promised and applied yet, in order of number.
    outbox: VecDeque<Event>,
    /// Where this owner's epoch began in the log.
    base: Seq,
    published: Seq,
    promised: Seq,
    applied: Seq,
    acked: BTreeMap<ShardId, Seq>,
    /// Tickets of older epochs that the list doesn't hold are lost.
    excludes_before: Epoch,
    /// In bypass: behind which number the database's list may differ from the log's.
    floor: Seq,
    /// In which epochs the promised numbers were made.
    segments: Vec<Segment>,
}

impl Owner {
    /// The owner of a freshly claimed shard whose medium is the log. Publishes its barrier.
    #[must_use]
    pub fn claimed(shard: ShardId, me: OwnerId, epoch: Epoch, rules: Rules, out: &mut Vec<Effect>) -> Self {
        out.push(Effect::Publish(Record::Barrier { epoch, owner: me }));
        Self {
            shard,
            me,
            epoch,
            phase: Phase::Fencing,
            engine: Engine::new(rules.clone()),
            rules,
            fold: Fold::default(),
            history: Vec::new(),
            outbox: VecDeque::new(),
            base: 0,
            published: 0,
            promised: 0,
            applied: 0,
            acked: BTreeMap::new(),
            excludes_before: Epoch(0),
            floor: 0,
            segments: Vec::new(),
        }
    }

    /// Reads the next record of the own partition.
    pub fn read(&mut self, record: &Record, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Fenced | Phase::Broken) {
            return;
        }
        match self.fold.read(record) {
            Step::Fenced => self.barrier_read(out),
            Step::Opened { base } => self.opened_read(base, out),
            Step::Counted(events) => match self.phase {
                Phase::Fencing => self.history.extend_from_slice(events),
                Phase::Open => self.promise(self.fold.len(), out),
                Phase::LeavingBypass => self.copied(out),
                Phase::Opening | Phase::EnteringBypass | Phase::Bypass | Phase::Fenced | Phase::Broken => {}
            },
            Step::Skipped(_) => {}
        }
    }

    fn barrier_read(&mut self, out: &mut Vec<Effect>) {
        let (epoch, owner, _) = self.fold.head();
        if epoch > self.epoch || (epoch == self.epoch && owner != self.me) {
            self.phase = Phase::Fenced;
            out.push(Effect::Fenced);
        } else if epoch == self.epoch {
            match self.phase {
                Phase::Fencing => self.rebuild(out),
                Phase::LeavingBypass => self.reopen_log(out),
                _ => {}
            }
        }
    }

    fn opened_read(&mut self, base: Seq, out: &mut Vec<Effect>) {
        if self.fold.head().0 != self.epoch {
            self.history.truncate(base as usize);
            return;
        }
        self.base = base;
        match self.phase {
            Phase::Opening => {
                self.phase = Phase::Open;
                self.excludes_before = self.epoch;
                self.segments = self.fold.segments().to_vec();
                out.push(Effect::Opened);
                self.promise(base, out);
                self.resend_transfers(out);
            }
            Phase::LeavingBypass => {
                // Copies start where the list was cut, not at what was published before the log failed.
                self.published = base;
                self.copied(out);
            }
            _ => {}
        }
    }

    fn rebuild(&mut self, out: &mut Vec<Effect>) {
        for event in std::mem::take(&mut self.history) {
            if let Err(inconsistent) = self.engine.apply(&event) {
                self.phase = Phase::Broken;
                out.push(Effect::Broken(inconsistent));
                return;
            }
            if event.n > self.applied {
                self.outbox.push_back(event);
            }
        }
        self.published = self.fold.len();
        self.phase = Phase::Opening;
        let (epoch, owner, base) = (self.epoch, self.me, self.fold.len());
        out.push(Effect::Publish(Record::Opened { epoch, owner, base }));
    }

    fn promise(&mut self, upto: Seq, out: &mut Vec<Effect>) {
        let from = std::mem::replace(&mut self.promised, upto);
        let skip = self.outbox_index(from + 1);
        for event in self.outbox.range(skip..).take_while(|e| e.n <= upto) {
            if self.segments.last().is_none_or(|s| s.made < event.made) {
                self.segments.push(Segment {
                    first: event.n,
                    made: event.made,
                });
            }
            match &event.change {
                Change::TransferOut { to, item, units } => {
                    let transfer = Outgoing {
                        number: event.n,
                        item: *item,
                        units: units.clone(),
                    };
                    out.push(Effect::Send { to: *to, transfer });
                }
                Change::TransferIn { from, number, .. } => {
                    out.push(Effect::Ack {
                        to: *from,
                        number: *number,
                    });
                }
                _ => {}
            }
        }
        out.push(Effect::Promised { upto });
        self.trim();
    }

    /// Where event `n`, or the first one behind it, is in the outbox: its numbers are consecutive.
    fn outbox_index(&self, n: Seq) -> usize {
        let first = self.outbox.front().map_or(n, |e| e.n);
        (n.saturating_sub(first) as usize).min(self.outbox.len())
    }

    /// The database has applied everything up to `n`.
    pub fn applied(&mut self, n: Seq) {
        self.applied = self.applied.max(n);
        self.trim();
    }

    fn trim(&mut self) {
        if !matches!(self.phase, Phase::Opening | Phase::Open) {
            return;
        }
        let behind = self.applied.min(self.promised);
        while self.outbox.front().is_some_and(|e| e.n <= behind) {
            self.outbox.pop_front();
        }
    }

    /// Whether purchases are taken.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Bypass)
    }

    /// Decides a batch of attempts, one verdict each. `places[item]` is how many places of the item
    /// other shards have given out.
    pub fn purchase(
        &mut self,
        now: Millis,
        places: &[u32],
        attempts: &[Attempt],
        verdicts: &mut Vec<Verdict>,
    ) {
        if !self.takes() {
            let unavailable = Verdict::Answer(Answer::Refused(Refusal::Unavailable));
            verdicts.extend(attempts.iter().map(|_| unavailable));
            return;
        }
        let mut events = Vec::new();
        for attempt in attempts {
            let place = places[attempt.item.ix()];
            verdicts.push(self.engine.purchase(self.epoch, now, place, attempt, &mut events));
        }
        self.outbox.extend(events);
    }

    /// Takes in what another engine has decided for this owner, in order: the shard's state is kept in Redis, and
    /// this owner follows it. Nothing is decided here then, but by that engine.
    ///
    /// # Errors
    /// An event doesn't follow from those before it; nothing behind it was taken in, and the owner is broken.
    pub fn decided(&mut self, events: Vec<Event>) -> Result<(), Inconsistent> {
        if !self.takes() {
            return Ok(());
        }
        for event in events {
            if let Err(inconsistent) = self.engine.apply(&event) {
                self.phase = Phase::Broken;
                return Err(inconsistent);
            }
            self.outbox.push_back(event);
        }
        Ok(())
    }

    /// Whether a reservation may be released: one that isn't promised here can't have been closed by the database.
    #[must_use]
    pub fn may_release(&self, ticket: TicketNo) -> bool {
        self.takes() && ticket.n <= self.promised.max(self.applied) && self.engine.is_live(ticket)
    }

    /// Registers a buyer ahead of the sale.
    pub fn register(&mut self, buyer: BuyerKey) -> Registered {
        if !self.takes() {
            return Registered::Unavailable;
        }
        self.decide(|engine, epoch, events| engine.register(epoch, buyer, events))
    }

    /// Loads stock; `false` if this load came in before or the shard isn't open.
    pub fn load(&mut self, load: u32, item: ItemIx, units: UnitRange) -> bool {
        self.takes() && self.decide(|engine, epoch, events| engine.load(epoch, load, item, units, events))
    }

    /// Lets the sale end later; an earlier end changes nothing.
    pub fn extend(&mut self, closes: Millis) -> bool {
        self.rules.closes = closes.max(self.rules.closes);
        self.engine.extend(closes)
    }

    /// Frees the units of a reservation that the database has closed. Send it until the `Released`
    /// event is applied; doing so twice releases once.
    pub fn release(&mut self, ticket: TicketNo, reason: ReleaseReason) -> bool {
        self.may_release(ticket)
            && self.decide(|engine, epoch, events| engine.release(epoch, ticket, reason, events))
    }

    fn decide<T>(&mut self, decision: impl FnOnce(&mut Engine, Epoch, &mut Vec<Event>) -> T) -> T {
        let mut events = Vec::new();
        let decided = decision(&mut self.engine, self.epoch, &mut events);
        self.outbox.extend(events);
        decided
    }

    /// The next up to `events_max` events to publish, while the log is the medium.
    pub fn publish(&mut self, events_max: usize) -> Option<Record> {
        let log = self.phase == Phase::Open || self.copying();
        if !log || self.outbox.back().is_none_or(|last| last.n <= self.published) {
            return None;
        }
        let skip = self.outbox_index(self.published + 1);
        let events: Vec<Event> = self.outbox.range(skip..).take(events_max).cloned().collect();
        self.published = events.last()?.n;
        Some(Record::Batch {
            epoch: self.epoch,
            owner: self.me,
            events,
        })
    }

    /// Publishes again what wasn't read back, in order: after a while without progress. Readers skip
    /// what they have.
    pub fn republish(&mut self, out: &mut Vec<Effect>) {
        let (epoch, owner) = (self.epoch, self.me);
        match self.phase {
            Phase::Fencing => out.push(Effect::Publish(Record::Barrier { epoch, owner })),
            Phase::Opening => {
                out.push(Effect::Publish(Record::Opened {
                    epoch,
                    owner,
                    base: self.fold.len(),
                }));
            }
            Phase::Open => self.published = self.promised,
            Phase::LeavingBypass => self.republish_copies(out),
            Phase::EnteringBypass | Phase::Bypass | Phase::Fenced | Phase::Broken => {}
        }
    }

    /// Where the owner stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The owner's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where the owner's epoch began in the log: the base of its own `Opened`, once read back.
    #[must_use]
    pub fn base(&self) -> Seq {
        self.base
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The shard's state.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Events taken and not yet both promised and applied.
    #[must_use]
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// How far the shard is: what gateways show tickets by.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            promised: self.promised,
            applied: self.applied,
            next: self.engine.len() + 1,
            excludes_before: self.excludes_before,
            segments: self.segments.clone(),
        }
    }
}

/// How far a shard is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The last promised number.
    pub promised: Seq,
    /// The last number that the database has applied.
    pub applied: Seq,
    /// The next number.
    pub next: Seq,
    /// Tickets of older epochs that `segments` doesn't hold are lost.
    pub excludes_before: Epoch,
    /// In which epochs the numbers were made.
    pub segments: Vec<Segment>,
}
