//! Bypass: the log is down, and the database alone makes promises until it is back.

use super::{Effect, Owner, Phase};
use crate::engine::Rules;
use crate::event::{Event, Record};
use crate::fold::Fold;
use crate::ids::{Epoch, OwnerId, Seq, ShardId};

impl Owner {
    /// The owner of a freshly claimed shard whose medium is the database: `events` is the database's
    /// list, `floor` the row's floor. Open at once; promises by commit alone.
    #[must_use]
    pub fn claimed_in_bypass(
        shard: ShardId,
        me: OwnerId,
        epoch: Epoch,
        rules: Rules,
        events: &[Event],
        floor: Seq,
        out: &mut Vec<Effect>,
    ) -> Self {
        let mut owner = Self::claimed(shard, me, epoch, rules, &mut Vec::new());
        for event in events {
            if let Err(inconsistent) = owner.engine.apply(event) {
                owner.phase = Phase::Broken;
                out.push(Effect::Broken(inconsistent));
                return owner;
            }
        }
        owner
            .outbox
            .extend(events.iter().filter(|e| e.n > floor).cloned());
        owner.phase = Phase::Bypass;
        owner.excludes_before = epoch;
        owner.floor = floor;
        owner.applied = owner.engine.len();
        owner.segments = Fold::of_list(events).segments().to_vec();
        out.push(Effect::Opened);
        owner.promise(owner.applied, out);
        owner.resend_transfers(out);
        owner
    }

    /// Stops promising by read-back. Returns the promised events that the database may not have: apply
    /// them ([`crate::row::Row::catch_up`]), then enter bypass by compare-and-set on the row.
    pub fn enter_bypass(&mut self) -> Vec<Event> {
        if self.phase != Phase::Open {
            return Vec::new();
        }
        self.phase = Phase::EnteringBypass;
        self.outbox
            .iter()
            .filter(|e| e.n > self.applied && e.n <= self.promised)
            .cloned()
            .collect()
    }

    /// The row says bypass, with this owner's next epoch; the database has everything up to `applied`.
    pub fn bypass_entered(&mut self, epoch: Epoch, applied: Seq, out: &mut Vec<Effect>) {
        self.phase = Phase::Bypass;
        self.epoch = epoch;
        self.floor = applied;
        self.applied = applied;
        self.promise(applied.max(self.promised), out);
    }

    /// The row refused: somebody else has claimed the shard.
    pub fn bypass_refused(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Fenced;
        out.push(Effect::Fenced);
    }

    /// In bypass: up to `events_max` events to commit to the database, in order.
    #[must_use]
    pub fn uncommitted(&self, events_max: usize) -> Vec<Event> {
        if self.phase != Phase::Bypass {
            return Vec::new();
        }
        let skip = self.outbox_index(self.promised + 1);
        self.outbox.range(skip..).take(events_max).cloned().collect()
    }

    /// The database has committed everything up to `upto` in bypass.
    pub fn committed(&mut self, upto: Seq, out: &mut Vec<Effect>) {
        if self.phase == Phase::Bypass && upto > self.promised {
            self.applied = self.applied.max(upto);
            self.promise(upto, out);
        }
    }

    /// The log is back: publishes a barrier. `false` while something is uncommitted. Purchases wait
    /// until bypass is left.
    pub fn leave_bypass(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.phase != Phase::Bypass || self.promised != self.engine.len() {
            return false;
        }
        self.phase = Phase::LeavingBypass;
        out.push(Effect::Publish(Record::Barrier {
            epoch: self.epoch,
            owner: self.me,
        }));
        true
    }

    /// The barrier was read back: the log's list is cut to what both have, and copies follow.
    pub(super) fn reopen_log(&mut self, out: &mut Vec<Effect>) {
        let base = self.fold.len().min(self.floor);
        out.push(Effect::Publish(Record::Opened {
            epoch: self.epoch,
            owner: self.me,
            base,
        }));
    }

    pub(super) fn copying(&self) -> bool {
        let (epoch, owner, open) = self.fold.head();
        self.phase == Phase::LeavingBypass && open && (epoch, owner) == (self.epoch, self.me)
    }

    pub(super) fn copied(&mut self, out: &mut Vec<Effect>) {
        if !self.copying() {
            return;
        }
        if self.fold.len() == self.applied {
            out.push(Effect::BypassCopied);
        }
    }

    pub(super) fn republish_copies(&mut self, out: &mut Vec<Effect>) {
        let (epoch, owner, _) = self.fold.head();
        if (epoch, owner) != (self.epoch, self.me) {
            out.push(Effect::Publish(Record::Barrier {
                epoch: self.epoch,
                owner: self.me,
            }));
        } else if self.copying() {
            self.published = self.fold.len();
            self.copied(out);
        } else {
            self.reopen_log(out);
        }
    }

    /// The row says log again: promises go by read-back from here on.
    pub fn bypass_left(&mut self) {
        self.phase = Phase::Open;
        self.published = self.fold.len();
        self.trim();
    }
}
