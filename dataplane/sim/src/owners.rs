//! What an adapter does around the core's owners: claims, bypass, loading stock, and the operator that
//! gives shards to processes.

use crate::breaks::Break;
use crate::check::Checker;
use crate::stats::{Fault, Stat};
use crate::world::{Commit, Load, World};
use flashsale_core::engine::Rules;
use flashsale_core::event::Event;
use flashsale_core::ids::{ItemIx, OwnerId, ShardId};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::{Apply, Medium, RowRefusal};
use flashsale_core::units::{self, UnitRange};

/// The load ids of the declared stock and of what is added later.
pub(crate) const DECLARED: u32 = 1;
pub(crate) const GRANTED: u32 = 2;

impl World {
    /// The rules as the owners enforce them.
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = self.sc.rules.clone();
        match self.bug {
            Some(Break::RegistrationIgnored) => rules.registered_only = false,
            Some(Break::LimitOffByOne) => rules.limits.iter_mut().for_each(|l| *l += 1),
            _ => {}
        }
        rules
    }

    /// Process `p` claims a shard and makes an owner of it.
    pub(crate) fn claim(&mut self, p: usize, s: ShardId) {
        if !self.runs(p) || self.dbs[s.ix()].down {
            return;
        }
        self.stats.count(Stat::Claims);
        self.owners += 1;
        let (mut me, expect) = (OwnerId(self.owners), self.dbs[s.ix()].row.claimed);
        let commit = self.commit();
        let keeps = self.bug == Some(Break::TakeoverKeepsEpoch) && expect.0 > 0;
        if keeps {
            me = self.dbs[s.ix()].row.owner;
        } else if commit != Commit::Lost {
            // The row was read just before, in the same transaction: this compare can't fail.
            let claimed = self.dbs[s.ix()].row.claim(expect, me);
            debug_assert!(claimed.is_ok());
        }
        if commit != Commit::Known {
            return;
        }
        let row = self.dbs[s.ix()].row;
        self.note(|_| format!("process {p} claims {s:?}: {row:?}"));
        let (mut effects, mut answers) = (Vec::new(), Vec::new());
        let rules = self.rules();
        let database_only = self.bug == Some(Break::RebuildFromDatabase);
        let mut owner = if row.medium == Medium::Log && !database_only {
            Owner::claimed(s, me, row.claimed, rules, &mut effects)
        } else {
            self.stats.count(Stat::BypassClaims);
            let list = &self.dbs[s.ix()].list;
            Owner::claimed_in_bypass(s, me, row.claimed, rules, list, row.floor, &mut effects)
        };
        if self.dice.one_in(3) {
            owner.applied(row.applied);
        }
        let process = &mut self.procs[p];
        process.ids[s.ix()] = me;
        process.read[s.ix()] = 0;
        process.copied[s.ix()] = false;
        process.room.own(owner, &mut answers);
        self.assigned[s.ix()] = p;
        self.since[s.ix()] = self.step;
        if self.bug == Some(Break::Reseed) {
            self.reseeds += 1;
            self.loads[0] = Load::Unseeded;
        }
        self.answered(p, &answers);
        self.effects(p, s, effects);
    }

    /// The operator: a shard whose owner is gone, or stuck, gets another.
    pub(crate) fn supervise(&mut self, s: ShardId) {
        let p = self.assigned[s.ix()];
        let takes = self.procs[p].room.owner(s).is_some_and(Owner::takes);
        // A claim whose answer was lost leaves the old owner serving, which is safe, and the row with a
        // claim that nobody holds: the claimant claims again.
        let takes = takes && (self.is_current(p, s) || !self.quiescing && !self.dice.one_in(8));
        if self.runs(p) && takes && (self.sc.split || p == self.primary || !self.runs(self.primary)) {
            self.since[s.ix()] = self.step;
            return;
        }
        let log_down = self.logs[s.ix()].down && self.dbs[s.ix()].row.medium == Medium::Log;
        let patience = if self.quiescing {
            12
        } else if self.runs(p) && self.procs[p].room.owner(s).is_some() {
            40
        } else {
            8
        };
        let misplaced = takes && !self.sc.split && p != self.primary;
        let fenced = matches!(self.phase(p, s), Some(Phase::Fenced | Phase::Broken));
        let due = self.step - self.since[s.ix()] >= patience || misplaced || fenced;
        if due && (!log_down || self.dice.one_in(16)) {
            let to = self.place(s);
            self.claim(to, s);
        }
    }

    /// Which process a shard goes to.
    fn place(&mut self, s: ShardId) -> usize {
        let running: Vec<usize> = (0..self.procs.len()).filter(|&p| self.runs(p)).collect();
        if running.is_empty() {
            return self.assigned[s.ix()];
        }
        if self.sc.split {
            return self.dice.pick(&running);
        }
        if !self.runs(self.primary) {
            self.primary = self.dice.pick(&running);
        }
        self.primary
    }

    /// The owner of a shard hears how far the database is.
    pub(crate) fn tell_applied(&mut self, s: ShardId) {
        let applied = self.dbs[s.ix()].row.applied;
        let p = self.some_proc(s);
        if !self.dbs[s.ix()].down && self.runs(p) {
            self.procs[p].room.applied(s, applied);
        }
    }

    fn some_proc(&mut self, s: ShardId) -> usize {
        if self.dice.one_in(8) {
            self.dice.below(self.procs.len())
        } else {
            self.assigned[s.ix()]
        }
    }

    /// The mode without the log: entered, served, left.
    pub(crate) fn bypass(&mut self, s: ShardId) {
        let p = if self.quiescing {
            self.assigned[s.ix()]
        } else {
            self.some_proc(s)
        };
        if !self.runs(p) || self.dbs[s.ix()].down {
            return;
        }
        match self.phase(p, s) {
            Some(Phase::Open) if self.sc.bypass && self.logs[s.ix()].down => {
                let events = self.procs[p].room.owner_mut(s).map(Owner::enter_bypass);
                self.procs[p].tails[s.ix()] = events.unwrap_or_default();
                self.catch_up_and_enter(p, s);
            }
            Some(Phase::EnteringBypass) => self.catch_up_and_enter(p, s),
            Some(Phase::Bypass) => {
                self.commit_bypass(p, s);
                if !self.logs[s.ix()].down && (self.quiescing || self.dice.one_in(3)) {
                    let mut effects = Vec::new();
                    if let Some(owner) = self.procs[p].room.owner_mut(s)
                        && owner.leave_bypass(&mut effects)
                    {
                        self.procs[p].copied[s.ix()] = self.bug == Some(Break::BypassUncopied);
                        self.note(|_| format!("process {p}: {s:?} leaves bypass"));
                    }
                    self.effects(p, s, effects);
                }
            }
            Some(Phase::LeavingBypass) if self.procs[p].copied[s.ix()] => self.leave(p, s),
            _ => {}
        }
    }

    /// Applies what is promised, then asks for bypass; now and then the process dies in between.
    fn catch_up_and_enter(&mut self, p: usize, s: ShardId) {
        let mut events = self.procs[p].tails[s.ix()].clone();
        let interrupted = self.noise(Fault::Commit);
        if interrupted {
            events.truncate(self.dice.between(0, events.len() as u64) as usize);
        }
        if self.bug != Some(Break::BypassUnapplied) {
            self.apply_promised(p, s, &events);
        }
        if !interrupted {
            self.enter(p, s);
        } else if self.sc.has(Fault::Crash) {
            self.stats.fault(Fault::Crash);
            self.note(|_| format!("FAULT process {p} crashes on its way into bypass"));
            self.crash(p, self.step + 20);
        }
    }

    /// Applies what was promised by read-back, on the way into bypass.
    fn apply_promised(&mut self, p: usize, s: ShardId, events: &[Event]) {
        let me = self.procs[p].ids[s.ix()];
        let Some(owner) = self.procs[p].room.owner(s) else {
            return;
        };
        let (epoch, base) = (owner.epoch(), owner.base());
        let db = &mut self.dbs[s.ix()];
        let before = db.list.len();
        for event in events {
            match db.row.catch_up(epoch, me, base, event.n) {
                Ok(Apply::Now) => db.apply(event),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.check_applied(s, before);
        self.poison(s, events);
    }

    fn enter(&mut self, p: usize, s: ShardId) {
        let (me, commit) = (self.procs[p].ids[s.ix()], self.commit());
        let Some(owner) = self.procs[p].room.owner_mut(s) else {
            return;
        };
        let (epoch, progress) = (owner.epoch(), owner.progress());
        let promised = if self.bug == Some(Break::BypassUnapplied) {
            0
        } else {
            progress.promised
        };
        let db = &mut self.dbs[s.ix()];
        let before = db.row;
        let mine = (before.claimed, before.owner, before.medium) == (epoch.next(), me, Medium::Bypass);
        let entered = if mine {
            Ok(before.claimed)
        } else {
            db.row.enter_bypass(epoch, me, promised)
        };
        if commit == Commit::Lost && !mine {
            db.row = before;
        }
        if commit != Commit::Known {
            return;
        }
        let mut effects = Vec::new();
        match entered {
            Ok(epoch) => {
                owner.bypass_entered(epoch, db.row.applied, &mut effects);
                self.stats.count(Stat::BypassIn);
                self.note(|w| format!("process {p}: {s:?} in bypass, {:?}", w.dbs[s.ix()].row));
            }
            Err(RowRefusal::Order) => {
                let what =
                    format!("{s:?} can't enter bypass: its owner doesn't have all that is to be applied");
                self.violation(Checker::Quiescence, what);
            }
            Err(RowRefusal::Claimed | RowRefusal::Medium) => owner.bypass_refused(&mut effects),
        }
        self.effects(p, s, effects);
    }

    fn commit_bypass(&mut self, p: usize, s: ShardId) {
        let me = self.procs[p].ids[s.ix()];
        let events_max = if self.quiescing {
            64
        } else {
            self.dice.between(1, 8) as usize
        };
        let Some(owner) = self.procs[p].room.owner(s) else {
            return;
        };
        let (epoch, events) = (owner.epoch(), owner.uncommitted(events_max));
        let (Some(first), Some(last)) = (events.first().map(|e| e.n), events.last().map(|e| e.n)) else {
            return;
        };
        self.ledger.note(s, &events);
        let commit = self.commit();
        if commit == Commit::Lost {
            return;
        }
        let mut committed = self.dbs[s.ix()].row.commit(epoch, me, first, last);
        if self.bug == Some(Break::CommitUnclaimed) && committed.is_err() {
            committed = Ok(());
        }
        if committed.is_ok() {
            events.iter().for_each(|e| self.dbs[s.ix()].apply(e));
            self.poison(s, &events);
            self.stats.count(Stat::BypassCommits);
            self.note(|_| format!("process {p}: {s:?} commits {first} to {last}"));
        }
        if commit == Commit::Unknown {
            return;
        }
        let applied = self.dbs[s.ix()].row.applied;
        let Some(owner) = self.procs[p].room.owner_mut(s) else {
            return;
        };
        let mut effects = Vec::new();
        match committed {
            Ok(()) => owner.committed(last, &mut effects),
            // The answer to an earlier commit was lost: the row says how far it came.
            Err(RowRefusal::Order) => owner.committed(applied, &mut effects),
            Err(RowRefusal::Claimed | RowRefusal::Medium) => owner.bypass_refused(&mut effects),
        }
        self.effects(p, s, effects);
        self.settle(p);
    }

    fn leave(&mut self, p: usize, s: ShardId) {
        let (me, commit) = (self.procs[p].ids[s.ix()], self.commit());
        let Some(owner) = self.procs[p].room.owner_mut(s) else {
            return;
        };
        let (epoch, len) = (owner.epoch(), owner.progress().applied);
        let row = &mut self.dbs[s.ix()].row;
        let before = *row;
        let mine = (before.claimed, before.owner, before.medium) == (epoch, me, Medium::Log);
        let left = if mine {
            Ok(())
        } else {
            row.leave_bypass(epoch, me, len)
        };
        if commit == Commit::Lost {
            *row = before;
        }
        if commit != Commit::Known {
            return;
        }
        let mut effects = Vec::new();
        match left {
            Ok(()) => {
                owner.bypass_left();
                self.stats.count(Stat::BypassOut);
                self.note(|_| format!("process {p}: {s:?} has left bypass"));
            }
            Err(_) => owner.bypass_refused(&mut effects),
        }
        self.effects(p, s, effects);
    }

    /// Stock into the shards: Unseeded → Seeding → Seeded, each written before the next is done.
    pub(crate) fn load_stock(&mut self) {
        for which in 0..2 {
            let granted = which == 1;
            let grant_due = self.loads[0] == Load::Seeded && self.now >= self.sc.rules.opens;
            if granted && (self.sc.grant.is_none() || !grant_due) {
                continue;
            }
            match self.loads[which] {
                Load::Unseeded => self.loads[which] = Load::Seeding,
                Load::Seeding => self.seed(which),
                Load::Seeded => {}
            }
        }
    }

    /// What a load gives a shard of an item.
    pub(crate) fn loaded_units(&self, which: usize, s: ShardId, item: ItemIx) -> UnitRange {
        let stock = self.sc.stock[item.ix()];
        match (which, self.sc.grant) {
            (0, _) => units::share(stock, s.0, self.sc.shards),
            (_, Some((of, more))) if of == item.0 => {
                let share = units::share(more, s.0, self.sc.shards);
                UnitRange {
                    first: stock + share.first,
                    ..share
                }
            }
            _ => UnitRange { first: 0, len: 0 },
        }
    }

    fn seed(&mut self, which: usize) {
        let load = if which == 0 {
            DECLARED + 100 * self.reseed_round()
        } else {
            GRANTED
        };
        let (mut all, mut taken) = (true, true);
        for s in (0..self.sc.shards).map(ShardId) {
            for item in (0..self.sc.stock.len()).map(|i| ItemIx(i as u16)) {
                let units = self.loaded_units(which, s, item);
                if units.len == 0 || self.dbs[s.ix()].has_load(load, item) {
                    continue;
                }
                all = false;
                let p = self.assigned[s.ix()];
                if self.runs(p) {
                    self.procs[p].room.load(s, load, item, units);
                }
                let owner = self.procs[p].room.owner(s);
                taken &= owner.is_some_and(|o| o.engine().has_load(load, item));
            }
        }
        if all || (taken && self.bug == Some(Break::SeededOnTaken)) {
            self.loads[which] = Load::Seeded;
            if which == 1 {
                self.stats.count(Stat::Grants);
            }
            self.note(|_| format!("load {load} is complete"));
        }
    }

    fn reseed_round(&self) -> u32 {
        if self.bug == Some(Break::Reseed) {
            self.reseeds / u32::from(self.sc.shards)
        } else {
            0
        }
    }

    /// The database refuses some rows for good: their orders are closed at once, with that reason.
    pub(crate) fn poison(&mut self, s: ShardId, events: &[Event]) {
        if !self.sc.has(Fault::Poison) {
            return;
        }
        for event in events {
            self.poison_one(s, event);
        }
    }
}
