//! What strikes, how it heals, and the end of all faults, behind which everything must come to rest.

use crate::check::Checker;
use crate::stats::{Fault, Stat};
use crate::world::{Load, World};
use flashsale_core::event::{Change, Record};
use flashsale_core::ids::{ItemIx, ShardId};
use flashsale_core::order::State;
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::room::Room;
use flashsale_core::row::Medium;

/// Something that is broken and will work again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heal {
    Log(ShardId),
    Database(ShardId),
    Up(usize),
    Resume(usize),
}

/// So many rounds of "everything that can happen happens" must suffice to come to rest.
const ROUNDS_MAX: u32 = 200;

impl World {
    /// A fault strikes, around shard `s`.
    pub(crate) fn strike(&mut self, s: ShardId) {
        let fault = Fault::ALL[self.dice.below(Fault::COUNT)];
        let until = self.step + self.dice.between(5, 120) as u32;
        let mut p = self.dice.below(self.procs.len());
        let owner = self.assigned[s.ix()];
        let open = matches!(self.phase(owner, s), Some(Phase::Open) | None);
        if !open && self.dice.one_in(2) {
            // In the middle of a change it hurts most.
            p = owner;
        }
        let everywhere = self.dice.one_in(2);
        let shards = if everywhere {
            0..self.sc.shards
        } else {
            s.0..s.0 + 1
        };
        if !self.sc.has(fault) {
            return;
        }
        match fault {
            Fault::Crash => self.crash(p, until),
            Fault::Takeover => self.take_over(s),
            Fault::Stall if !self.procs[p].stalled => {
                self.procs[p].stalled = true;
                self.heals.push((until, Heal::Resume(p)));
            }
            Fault::LogDown => {
                for s in shards.map(ShardId) {
                    self.logs[s.ix()].down = true;
                    self.logs[s.ix()].deaf = everywhere;
                    self.heals.push((until, Heal::Log(s)));
                }
            }
            Fault::DbDown => {
                for s in shards.map(ShardId) {
                    self.dbs[s.ix()].down = true;
                    self.heals.push((until, Heal::Database(s)));
                }
            }
            Fault::Clock => self.procs[p].skew = self.dice.between(0, 10_000) as i64 - 5_000,
            _ => return,
        }
        self.stats.fault(fault);
        self.note(|_| format!("FAULT {} (shard {s:?}, process {p}, until {until})", fault.name()));
    }

    /// A process loses its memory. Of what it had sent to the logs, a prefix remains under way.
    pub(crate) fn crash(&mut self, p: usize, until: u32) {
        if !self.procs[p].up {
            return;
        }
        for s in 0..usize::from(self.sc.shards) {
            let id = self.procs[p].ids[s];
            let mine = |r: &Record| {
                let (Record::Barrier { owner, .. }
                | Record::Opened { owner, .. }
                | Record::Batch { owner, .. }) = r;
                *owner == id
            };
            let count = self.logs[s].flying.iter().filter(|r| mine(r)).count();
            let mut keep = self.dice.between(0, count as u64);
            self.logs[s].flying.retain(|r| {
                let kept = !mine(r) || keep > 0;
                keep -= u64::from(mine(r) && keep > 0);
                kept
            });
        }
        let (shards, items) = (self.sc.shards, self.sc.stock.len());
        self.procs[p].room = Room::new(shards, items, self.sc.waiting_max);
        if self.dice.one_in(2) {
            self.procs[p].up = false;
            self.heals.push((until, Heal::Up(p)));
        }
    }

    /// A shard, or all of them, goes to another process while the old one lives on.
    fn take_over(&mut self, s: ShardId) {
        let to = self.dice.below(self.procs.len());
        if !self.runs(to) {
            return;
        }
        if self.sc.split || to == self.primary {
            self.claim(to, s);
        } else {
            // The supervisor moves the other shards, one by one.
            self.primary = to;
            self.claim(to, s);
        }
    }

    /// What is due works again.
    pub(crate) fn heal(&mut self, all: bool) {
        let mut at = 0;
        while at < self.heals.len() {
            if !all && self.heals[at].0 > self.step {
                at += 1;
                continue;
            }
            let (_, heal) = self.heals.swap_remove(at);
            self.note(|_| format!("heals: {heal:?}"));
            match heal {
                Heal::Log(s) => self.logs[s.ix()].down = false,
                Heal::Database(s) => self.dbs[s.ix()].down = false,
                Heal::Up(p) => self.procs[p].up = true,
                Heal::Resume(p) => self.procs[p].stalled = false,
            }
        }
    }

    /// Most sales have their stock loaded before anything strikes.
    pub(crate) fn warm_up(&mut self) {
        self.faulty = false;
        self.quiescing = true;
        for _ in 0..12 {
            self.round_of_servers(0);
        }
        (self.faulty, self.quiescing) = (true, false);
    }

    /// Counts how things ended.
    pub(crate) fn count_ends(&mut self) {
        let changes = self.logs.iter().flat_map(|l| &l.truth.list).map(|e| &e.change);
        let (mut released, mut arrived) = (0, 0);
        for change in changes {
            match change {
                Change::Released { .. } => released += 1,
                Change::TransferIn { .. } => arrived += 1,
                _ => {}
            }
        }
        let orders = self.dbs.iter().flat_map(|db| &db.orders);
        let (paid, refunds) = orders.fold((0, 0), |(paid, refunds), o| {
            (paid + o.accepted.len() as u64, refunds + o.refunds.len() as u64)
        });
        self.stats.counts[Stat::Releases as usize] = released;
        self.stats.counts[Stat::TransferIns as usize] = arrived;
        self.stats.counts[Stat::Paid as usize] = paid;
        self.stats.counts[Stat::Refunds as usize] = refunds;
    }

    /// From here on nothing fails any more.
    pub(crate) fn faults_end(&mut self) {
        self.faulty = false;
        self.heal(true);
    }

    /// Rounds of "everything that can happen happens", until nothing is left to happen. Says whether
    /// a bounded number of them sufficed.
    pub(crate) fn quiesce(&mut self) -> bool {
        self.quiescing = true;
        for round in 0..ROUNDS_MAX {
            self.step += 1;
            self.now += 1_000;
            self.round(round);
            self.stats.count(Stat::Rounds);
            if self.now >= self.sc.rules.closes + 6_000 && self.restless().is_none() {
                return true;
            }
        }
        let why = self.restless().unwrap_or_default();
        self.violation(Checker::Quiescence, format!("stuck: {why}"));
        false
    }

    fn round(&mut self, round: u32) {
        self.round_of_servers(round);
        for b in 0..self.buyers.len() {
            self.buyer_rests(b, round);
        }
        for _ in 0..self.payments.len() {
            self.deliver_payment();
        }
    }

    fn round_of_servers(&mut self, round: u32) {
        self.load_stock();
        for s in (0..self.sc.shards).map(ShardId) {
            self.land(s);
            for p in 0..self.procs.len() {
                self.read(p, s, usize::MAX);
            }
            self.supervise(s);
            self.bypass(s);
            self.sweep(s);
            self.send_releases(s);
        }
        for w in 0..self.workers.len() {
            self.work(w, usize::MAX);
        }
        self.make_orders();
        for s in (0..self.sc.shards).map(ShardId) {
            self.tell_applied(s);
        }
        for p in 0..self.procs.len() {
            if round % 4 == 3 {
                self.resend(p);
            }
            self.settle(p);
            self.publish(p);
        }
        for _ in 0..self.net.len() {
            self.deliver_message();
        }
        while !self.mail.is_empty() {
            self.deliver_mail();
        }
    }

    /// What keeps the world from being at rest.
    fn restless(&self) -> Option<String> {
        for s in (0..self.sc.shards).map(ShardId) {
            let (log, db, p) = (&self.logs[s.ix()], &self.dbs[s.ix()], self.assigned[s.ix()]);
            let Some(owner) = self.procs[p].room.owner(s) else {
                return Some(format!("{s:?} has no owner"));
            };
            let (progress, len) = (owner.progress(), owner.engine().len());
            let all = [
                progress.promised,
                progress.applied,
                db.row.applied,
                log.truth.list.len() as u64,
            ];
            let in_transfer: u32 = self.items().map(|i| owner.in_transfer(i)).sum();
            let open = db
                .orders
                .iter()
                .find(|o| matches!(o.state, State::Reserved | State::Pending));
            if !self.is_current(p, s) || owner.phase() != Phase::Open || db.row.medium != Medium::Log {
                return Some(format!("{s:?} is {:?}, {:?}", owner.phase(), db.row));
            } else if all != [len; 4] || owner.outbox_len() > 0 {
                return Some(format!(
                    "{s:?} has {len} events, of them promised, applied … {all:?}"
                ));
            } else if in_transfer > 0 {
                return Some(format!("{s:?} has {in_transfer} units in transfer"));
            } else if let Some(order) = open {
                return Some(format!("{s:?} has the order {order:?}"));
            } else if !db.releases.is_empty() || !log.flying.is_empty() {
                return Some(format!(
                    "{s:?} has releases {:?}, flying {:?}",
                    db.releases, log.flying
                ));
            }
        }
        let granted = self.sc.grant.is_none() || self.loads[1] == Load::Seeded;
        if self.loads[0] != Load::Seeded || !granted {
            return Some(format!("loads are {:?}", self.loads));
        }
        if !self.net.is_empty() || !self.mail.is_empty() || !self.payments.is_empty() {
            return Some(format!(
                "{:?} {:?} {:?} under way",
                self.net, self.mail, self.payments
            ));
        }
        // A process that holds some of the shards only can't know when to give up: its callers do.
        let waiting: usize = self.procs.iter().map(|p| p.room.waiting()).sum();
        let told_all = self.procs[self.primary].room.owners().all(Owner::takes);
        (waiting > 0 && !self.sc.split && told_all && self.procs[self.primary].room.waiting() > 0)
            .then(|| format!("{waiting} attempts wait for units"))
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = ItemIx> + use<> {
        (0..self.sc.stock.len()).map(|i| ItemIx(i as u16))
    }
}
