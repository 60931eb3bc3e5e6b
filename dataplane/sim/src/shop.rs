//! Behind the log: workers, order making, the closer, releases, payments.

use crate::breaks::Break;
use crate::check::Checker;
use crate::database::Refused;
use crate::stats::{Fault, Stat};
use crate::world::{Commit, World};
use flashsale_core::event::{Change, Event, Record, ReleaseReason, TicketNo};
use flashsale_core::fold::{Fold, Step};
use flashsale_core::ids::{ItemIx, ShardId};
use flashsale_core::lanes::{Lane, Sharing};
use flashsale_core::order::{OrderEvent, State};
use flashsale_core::row::Apply;

impl World {
    /// A worker reads on and applies, one transaction per record.
    pub(crate) fn work(&mut self, w: usize, records: usize) {
        let s = self.workers[w].shard;
        for _ in 0..records {
            let at = self.workers[w].read;
            if self.logs[s.ix()].down || self.dbs[s.ix()].down || at >= self.logs[s.ix()].records.len() {
                return;
            }
            // Killed around the commit: it starts from the partition's begin, knowing nothing.
            if self.noise(Fault::Worker) {
                let after = self.dice.one_in(2);
                if after {
                    let mut fold = self.workers[w].fold.clone();
                    self.apply_record(s, &mut fold, at);
                }
                self.note(|_| format!("worker {w} killed, after the commit: {after}"));
                self.workers[w].fold = Fold::default();
                self.workers[w].read = 0;
                continue;
            }
            let mut fold = self.workers[w].fold.clone();
            // What the row doesn't take now is read again, until the row has moved.
            if !self.apply_record(s, &mut fold, at) {
                return;
            }
            self.workers[w].fold = fold;
            self.workers[w].read += 1;
        }
    }

    /// One record of a partition, applied as far as the row allows; `false` if it must be read again.
    fn apply_record(&mut self, s: ShardId, fold: &mut Fold, at: usize) -> bool {
        let (db, log) = (&mut self.dbs[s.ix()], &self.logs[s.ix()]);
        let record = &log.records[at];
        let (before, mut taken) = (db.list.len(), true);
        if self.bug == Some(Break::WorkerWithoutFold) {
            if let Record::Batch { events, .. } = record {
                for event in events {
                    if event.n > db.row.applied {
                        db.row.applied = event.n;
                        db.apply(event);
                    }
                }
            }
        } else {
            let step = fold.read(record);
            match step {
                Step::Opened { base } => {
                    let epoch = fold.head().0;
                    taken = db.row.apply_opened(epoch, base) != Apply::Not;
                }
                Step::Counted(events) => {
                    let (count, ignore) = (events.len(), self.bug == Some(Break::WorkerIgnoresCursor));
                    let epoch = fold.head().0;
                    let Record::Batch { events, .. } = record else {
                        return true;
                    };
                    let from = events.iter().position(|e| e.n + count as u64 == fold.len() + 1);
                    for event in events.iter().skip(from.unwrap_or_default()).take(count) {
                        let apply = db.row.apply(epoch, event.n);
                        taken &= apply != Apply::Not || ignore;
                        if apply == Apply::Now || ignore {
                            db.apply(event);
                        }
                    }
                }
                Step::Fenced | Step::Skipped(_) => {}
            }
        }
        let forgets = self.bug == Some(Break::DatabaseForgets) && self.dice.one_in(16);
        let applied: Vec<Event> = if self.sc.has(Fault::Poison) || forgets || self.trace {
            self.dbs[s.ix()].list[before..].to_vec()
        } else {
            Vec::new()
        };
        if forgets && !applied.is_empty() {
            self.dbs[s.ix()].list.truncate(before);
        }
        if !applied.is_empty() {
            self.note(|_| format!("{s:?} applied {applied:?}"));
        }
        self.check_applied(s, before);
        self.poison(s, &applied);
        taken
    }

    /// What a worker applied is what the log holds at that number.
    pub(crate) fn check_applied(&mut self, s: ShardId, before: usize) {
        let (list, truth) = (&self.dbs[s.ix()].list, &self.logs[s.ix()].truth.list);
        let differs = (before..list.len()).find(|&ix| truth.get(ix) != list.get(ix));
        if let Some(ix) = differs {
            let what = format!("{s:?} applied {:?}, the log has {:?}", list[ix], truth.get(ix));
            self.violation(Checker::OldEpoch, what);
        }
        self.check_refused(s);
    }

    /// What the database's constraints refused.
    pub(crate) fn check_refused(&mut self, s: ShardId) {
        for (refused, what) in std::mem::take(&mut self.dbs[s.ix()].refused) {
            let checker = match refused {
                Refused::LiveUnit => Checker::NeverOversold,
                Refused::ReleaseOfOpen | Refused::ReleaseOfNothing => Checker::NoLeak,
            };
            self.violation(checker, format!("{s:?} database: {refused:?} {what}"));
        }
    }

    pub(crate) fn poison_one(&mut self, s: ShardId, event: &Event) {
        if matches!(event.change, Change::Reserved(_)) && self.noise(Fault::Poison) {
            self.close(s, event.ticket(), ReleaseReason::Refused);
        }
    }

    /// The variant that makes orders from what is published.
    pub(crate) fn order_from_publish(&mut self, s: ShardId, events: &[Event]) {
        for event in events {
            if let Change::Reserved(reservation) = &event.change
                && self.dbs[s.ix()].order(event.ticket()).is_none()
            {
                self.dbs[s.ix()].reserved(event, reservation);
            }
        }
    }

    /// Reservations become orders: lanes per item, the oldest place first.
    pub(crate) fn make_orders(&mut self) {
        let budget = if self.quiescing {
            64
        } else {
            self.dice.between(1, 4) as u32
        };
        let items = self.sc.stock.len();
        let mut waiting: Vec<Vec<(u32, u64, ShardId, TicketNo)>> = vec![Vec::new(); items];
        for (s, db) in self.dbs.iter().enumerate().filter(|(_, db)| !db.down) {
            for order in db.orders.iter().filter(|o| o.state == State::Reserved) {
                waiting[order.item.ix()].push((order.place, order.at, ShardId(s as u16), order.ticket));
            }
        }
        let lanes: Vec<Lane> = waiting
            .iter_mut()
            .map(|lane| {
                lane.sort_unstable();
                let oldest = lane.iter().map(|(_, at, ..)| *at).min().unwrap_or_default();
                Lane {
                    waiting: lane.len() as u32,
                    oldest,
                }
            })
            .collect();
        for (lane, share) in waiting.iter().zip(Sharing::default().share(budget, &lanes)) {
            for &(_, _, s, ticket) in lane.iter().take(share as usize) {
                let deadline = self.now + self.sc.pay_within;
                if self.commit() != Commit::Lost {
                    let stepped = self.dbs[s.ix()].step(ticket, OrderEvent::Make, deadline, 0);
                    self.stats.count(Stat::Ordered);
                    let applied = self.dbs[s.ix()].list.get(ticket.n as usize - 1);
                    if applied.is_none_or(|e| e.ticket() != ticket) {
                        let what = format!("{s:?}: an order for {ticket:?}, which isn't applied");
                        self.violation(Checker::PhantomOrder, what);
                    }
                    self.note(|_| format!("{s:?} {ticket:?} ordered: {stepped:?}"));
                }
            }
        }
    }

    /// Closes an order; says whether it is closed now.
    pub(crate) fn close(&mut self, s: ShardId, ticket: TicketNo, reason: ReleaseReason) {
        if self.dbs[s.ix()].down || self.commit() == Commit::Lost {
            return;
        }
        let db = &mut self.dbs[s.ix()];
        let was = db.order(ticket).map(|o| o.state);
        if was == Some(State::Paid)
            && self.bug == Some(Break::CloserIgnoresPaid)
            && let Some(order) = db.order_mut(ticket)
        {
            order.state = State::Closed(reason);
            db.releases.push((ticket, reason));
            return;
        }
        let now = db.step(ticket, OrderEvent::Close(reason), 0, 0);
        if matches!(was, Some(State::Reserved | State::Pending)) && matches!(now, Some(Ok(_))) {
            self.stats.count(match reason {
                ReleaseReason::Cancelled => Stat::Cancelled,
                ReleaseReason::Unpaid => Stat::Unpaid,
                ReleaseReason::Backlog => Stat::Backlog,
                ReleaseReason::Refused => Stat::Refused,
            });
            self.note(|_| format!("{s:?} {ticket:?} closed: {}", reason.word()));
        }
    }

    /// The closer's sweep: unpaid behind the deadline, and too old for the backlog policy. Hints that
    /// come early, late, twice or never change nothing.
    pub(crate) fn sweep(&mut self, s: ShardId) {
        if self.dbs[s.ix()].down {
            return;
        }
        let (now, before) = (self.now, self.sc.backlog.close_before(self.now));
        let paid_too = self.bug == Some(Break::CloserIgnoresPaid);
        let due = |order: &crate::database::Order| match order.state {
            State::Pending => (now >= order.deadline).then_some(ReleaseReason::Unpaid),
            State::Paid => (paid_too && now >= order.deadline).then_some(ReleaseReason::Unpaid),
            State::Reserved => before.filter(|b| order.at < *b).map(|_| ReleaseReason::Backlog),
            State::Closed(_) => None,
        };
        let orders = self.dbs[s.ix()].orders.iter();
        let all: Vec<_> = orders.filter_map(|o| Some((o.ticket, due(o)?))).collect();
        for (ticket, reason) in all {
            self.close(s, ticket, reason);
        }
    }

    /// Asks the shard's owner to free what the database has closed, until that is applied.
    pub(crate) fn send_releases(&mut self, s: ShardId) {
        if self.dbs[s.ix()].down || self.dbs[s.ix()].releases.is_empty() {
            return;
        }
        let p = self.route(s);
        if !self.runs(p) {
            return;
        }
        for (ticket, reason) in self.dbs[s.ix()].releases.clone() {
            if self.noise(Fault::Network) {
                continue;
            }
            let freed = self.procs[p].room.release(s, ticket, reason);
            self.note(|_| format!("process {p}: release {s:?} {ticket:?}: {freed}"));
            if freed && self.bug == Some(Break::ReleaseOnTaken) {
                self.dbs[s.ix()].releases.retain(|(t, _)| *t != ticket);
            }
            if freed && self.bug == Some(Break::DoubleRelease) {
                self.load_again(p, s, ticket);
            }
        }
        self.settle(p);
    }

    /// The variant that puts released units back as stock, too.
    fn load_again(&mut self, p: usize, s: ShardId, ticket: TicketNo) {
        let order = self.dbs[s.ix()].order(ticket);
        let Some((item, units)) = order.map(|o| (o.item, o.units.clone())) else {
            return;
        };
        for range in units {
            self.procs[p]
                .room
                .load(s, 1000 + ticket.n as u32, ItemIx(item.0), range);
        }
    }

    /// A payment callback: doubled, reordered, late, and repeated until its answer arrives.
    pub(crate) fn deliver_payment(&mut self) {
        if self.payments.is_empty() {
            return;
        }
        let at = self.dice.below(self.payments.len());
        let payment = self.payments[at];
        let s = payment.shard;
        if self.dbs[s.ix()].down || (self.now < payment.not_before && !self.quiescing) {
            return;
        }
        let commit = self.commit();
        if commit == Commit::Lost {
            return;
        }
        let known = self.dbs[s.ix()]
            .order(payment.ticket)
            .is_some_and(|o| o.known.contains(&payment.id));
        let again = known && self.bug != Some(Break::PaymentTwice);
        let paid = self.dbs[s.ix()].step(payment.ticket, OrderEvent::Pay { again }, 0, payment.id);
        self.note(|_| format!("{s:?} {:?} payment {}: {paid:?}", payment.ticket, payment.id));
        // A doubled callback comes again; so does one whose answer was lost.
        let repeated = commit == Commit::Unknown || self.noise(Fault::Network);
        if !repeated && matches!(paid, Some(Ok(_))) {
            self.payments.swap_remove(at);
        }
    }
}
