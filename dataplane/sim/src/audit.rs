//! The checkers at rest: the logs from their start, the databases, the living engines and all that
//! anybody was told, against each other.

use crate::check::Checker;
use crate::world::{Load, World};
use flashsale_core::engine::Engine;
use flashsale_core::event::{Change, Event, TicketNo};
use flashsale_core::fold::{Fold, Step};
use flashsale_core::ids::{BuyerKey, ItemIx, Seq, ShardId};
use flashsale_core::order::State;
use flashsale_core::ticket::Shown;
use flashsale_core::units::{self, UnitRange, Units};
use rustc_hash::{FxHashMap, FxHashSet};

/// Where a unit is, by the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Free(ShardId),
    Held(ShardId, TicketNo),
    Moving,
}

impl World {
    /// All checkers that look at the whole, at rest.
    pub(crate) fn audit(&mut self) {
        self.audit_fold();
        self.audit_log_in_database();
        self.audit_rebuild();
        self.audit_units();
        self.audit_seeded_once();
        self.audit_reservations();
        self.audit_promises();
        self.audit_orders();
        self.audit_told();
    }

    fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.sc.shards).map(ShardId)
    }

    fn list(&self, s: ShardId) -> &[Event] {
        &self.logs[s.ix()].truth.list
    }

    /// Nothing of an old epoch counts: the core's fold and the checkers' own reading agree.
    fn audit_fold(&mut self) {
        for s in self.shard_ids() {
            let (mut fold, mut list) = (Fold::default(), Vec::new());
            for record in &self.logs[s.ix()].records {
                match fold.read(record) {
                    Step::Opened { base } => list.truncate(base as usize),
                    Step::Counted(events) => list.extend_from_slice(events),
                    Step::Fenced | Step::Skipped(_) => {}
                }
            }
            if list != self.list(s) {
                self.violation(
                    Checker::OldEpoch,
                    format!("{s:?}: two readings of the log differ"),
                );
            }
        }
    }

    /// The database has applied exactly what the log holds.
    fn audit_log_in_database(&mut self) {
        for s in self.shard_ids() {
            let (db, list) = (&self.dbs[s.ix()], self.list(s));
            if db.list != list || db.row.applied != list.len() as Seq {
                let what = format!(
                    "{s:?}: {} events in the log, {} applied",
                    list.len(),
                    db.list.len()
                );
                self.violation(Checker::LogInDatabase, what);
            }
        }
    }

    /// A rebuild from the log equals the living engine.
    fn audit_rebuild(&mut self) {
        for s in self.shard_ids() {
            let Some(live) = self.procs[self.assigned[s.ix()]]
                .room
                .owner(s)
                .map(|o| o.engine().clone())
            else {
                continue;
            };
            let mut rebuilt = Engine::new(self.rules());
            let failed = self.list(s).iter().find_map(|e| rebuilt.apply(e).err());
            if let Some(inconsistent) = failed {
                self.violation(Checker::Rebuild, format!("{s:?}: {inconsistent}"));
            } else if rebuilt != live {
                self.violation(
                    Checker::Rebuild,
                    format!("{s:?}: rebuilt {rebuilt:?} live {live:?}"),
                );
            }
        }
    }

    /// Conservation while the sale runs: no unit is in two places of the shards' current owners.
    pub(crate) fn check_units_online(&mut self) {
        for item in self.items() {
            let (mut seen, mut twice) = (0u64, 0u64);
            let mut mark = |range: &UnitRange| {
                for unit in range.iter() {
                    twice |= seen & (1 << (unit % 64));
                    seen |= 1 << (unit % 64);
                }
            };
            for s in self.shard_ids() {
                let p = self.assigned[s.ix()];
                let owner = self.procs[p].room.owner(s);
                if let Some(owner) = owner.filter(|o| o.takes() && self.is_current(p, s)) {
                    owner.engine().free_ranges(item).iter().for_each(&mut mark);
                    let live = owner.engine().live().filter(|(_, i, _)| *i == item);
                    live.for_each(|(.., units)| units.iter().for_each(&mut mark));
                }
            }
            if twice != 0 {
                let what = format!("{item:?}: units {twice:#b} are in two places");
                self.violation(Checker::Conservation, what);
            }
        }
    }

    /// Each unit's life through all logs: in one place at a time, and somewhere at the end.
    fn audit_units(&mut self) {
        let mut units: Vec<Vec<Place>> = self.items().map(|_| Vec::new()).collect();
        // A recipient's events may come before the donor's in this walk: first all donors' up to the
        // transfer. Shards are walked in turns, each until it needs what hasn't been sent yet.
        let mut at: Vec<usize> = vec![0; usize::from(self.sc.shards)];
        let mut arrived: FxHashSet<(ShardId, Seq)> = FxHashSet::default();
        let mut held: FxHashMap<(ShardId, TicketNo), (ItemIx, Units)> = FxHashMap::default();
        let mut problems = Vec::new();
        loop {
            let before = at.clone();
            for s in self.shard_ids() {
                while let Some(event) = self.list(s).get(at[s.ix()]) {
                    if let Change::TransferIn { from, number, .. } = &event.change
                        && at[from.ix()] < *number as usize
                    {
                        break;
                    }
                    let mut walk = Walk {
                        units: &mut units,
                        held: &mut held,
                        problems: &mut problems,
                    };
                    walk.event(s, event);
                    if let Change::TransferIn {
                        from,
                        number,
                        item,
                        units,
                    } = &event.change
                    {
                        let sent = self.list(*from).get(*number as usize - 1).map(|e| &e.change);
                        let fits = matches!(sent, Some(Change::TransferOut { to, item: i, units: u })
                            if *to == s && i == item && u == units);
                        if !fits || !arrived.insert((*from, *number)) {
                            let what = format!("{s:?} takes {event:?}, which wasn't sent, or twice");
                            problems.push((Checker::Conservation, what));
                        }
                    }
                    at[s.ix()] += 1;
                }
            }
            if at == before {
                break;
            }
        }
        let unread = self.shard_ids().any(|s| at[s.ix()] < self.list(s).len());
        if unread {
            problems.push((
                Checker::Conservation,
                "a transfer arrived that was never sent".into(),
            ));
        }
        self.audit_stock(&units, &mut problems);
        for (checker, what) in problems {
            self.violation(checker, what);
        }
    }

    /// All of the stock is somewhere, by the logs and by the living engines.
    fn audit_stock(&self, units: &[Vec<Place>], problems: &mut Vec<(Checker, String)>) {
        for item in self.items() {
            let granted = match self.sc.grant {
                Some((i, more)) if i == item.0 && self.loads[1] == Load::Seeded => more,
                _ => 0,
            };
            let stock = (self.sc.stock[item.ix()] + granted) as usize;
            let there = |p: &Place| matches!(p, Place::Free(_) | Place::Held(..));
            let whole = units[item.ix()].iter().filter(|p| there(p)).count();
            let engines = self.engine_units(item);
            if whole != stock || engines != stock || units[item.ix()].len() != stock {
                let what = format!("{item:?}: stock {stock}, in the logs {whole}, in the engines {engines}");
                problems.push((Checker::Conservation, what));
            }
        }
    }

    /// Units of an item that the living engines have, free or held.
    fn engine_units(&self, item: ItemIx) -> usize {
        let engines = self
            .shard_ids()
            .filter_map(|s| self.procs[self.assigned[s.ix()]].room.owner(s));
        let count = engines.map(|o| {
            let engine = o.engine();
            let live = engine.live().filter(|(_, i, _)| *i == item);
            engine.free(item) + live.map(|(.., u)| units::count(u)).sum::<u32>() + o.in_transfer(item)
        });
        count.sum::<u32>() as usize
    }

    /// Each shard's share of each load came in once, and nothing else.
    fn audit_seeded_once(&mut self) {
        for s in self.shard_ids() {
            let mut expected: Vec<(u32, ItemIx, UnitRange)> = Vec::new();
            for (which, load) in [(0, crate::owners::DECLARED), (1, crate::owners::GRANTED)] {
                if self.loads[which] == Load::Seeded {
                    let shares = self.items().map(|i| (load, i, self.loaded_units(which, s, i)));
                    expected.extend(shares.filter(|(.., u)| u.len > 0));
                }
            }
            let loaded = self.list(s).iter().filter_map(|e| match e.change {
                Change::Loaded { load, item, units } => Some((load, item, units)),
                _ => None,
            });
            let mut loaded: Vec<_> = loaded.collect();
            loaded.sort_unstable();
            expected.sort_unstable();
            if loaded != expected {
                let what = format!("{s:?}: loaded {loaded:?}, declared {expected:?}");
                self.violation(Checker::SeededOnce, what);
            }
        }
    }

    /// Limits, window, registration and places of every reservation in the logs.
    fn audit_reservations(&mut self) {
        let rules = &self.sc.rules;
        let mut problems = Vec::new();
        let mut held: FxHashMap<(BuyerKey, ItemIx), u32> = FxHashMap::default();
        for s in self.shard_ids() {
            let mut registered: FxHashSet<BuyerKey> = FxHashSet::default();
            let mut ranks: Vec<u32> = self.items().map(|_| 0).collect();
            for event in self.list(s) {
                match &event.change {
                    Change::Registered { buyer } => drop(registered.insert(*buyer)),
                    Change::Reserved(r) => {
                        ranks[r.item.ix()] += 1;
                        let held = held.entry((r.buyer, r.item)).or_default();
                        *held += units::count(&r.units);
                        if *held > rules.limits[r.item.ix()] {
                            problems.push((Checker::BuyerLimit, event));
                        }
                        if r.at < rules.opens || r.at >= rules.closes {
                            problems.push((Checker::Window, event));
                        }
                        if rules.registered_only && !registered.contains(&r.buyer) {
                            problems.push((Checker::Entitled, event));
                        }
                        if r.place < ranks[r.item.ix()] || r.place > self.ledger.taken {
                            problems.push((Checker::Place, event));
                        }
                    }
                    Change::Released { ticket, .. } => {
                        let of = self.list(s).get(ticket.n as usize - 1).map(|e| &e.change);
                        if let Some(Change::Reserved(r)) = of {
                            let held = held.entry((r.buyer, r.item)).or_default();
                            *held = held.saturating_sub(units::count(&r.units));
                        }
                    }
                    Change::Loaded { .. } | Change::TransferOut { .. } | Change::TransferIn { .. } => {}
                }
            }
        }
        let problems: Vec<_> = problems.into_iter().map(|(c, e)| (c, format!("{e:?}"))).collect();
        for (checker, what) in problems {
            self.violation(checker, what);
        }
    }

    /// Everything that was ever promised is in the logs.
    fn audit_promises(&mut self) {
        for s in self.shard_ids() {
            let promised = &self.ledger.promised[s.ix()];
            let truth = &self.logs[s.ix()].truth;
            let lost = (1..).zip(promised).find(|(n, made)| !truth.holds(*n, **made));
            if let Some((n, made)) = lost {
                let what = format!("{s:?}: {n} of {made:?} was promised and isn't in the log");
                self.violation(Checker::AcknowledgedLoss, what);
            }
        }
    }

    /// Each order has its reservation, each closed one its one release, and the money adds up.
    fn audit_orders(&mut self) {
        let mut problems = Vec::new();
        for s in self.shard_ids() {
            let list = self.list(s);
            let reservations = list
                .iter()
                .filter(|e| matches!(e.change, Change::Reserved(_)))
                .count();
            let orders = &self.dbs[s.ix()].orders;
            if orders.len() != reservations {
                let what = format!("{s:?}: {reservations} reservations, {} orders", orders.len());
                problems.push((Checker::PhantomOrder, what));
            }
            for order in orders {
                let event = list.get((order.ticket.n as usize).wrapping_sub(1));
                let event = event.filter(|e| e.ticket() == order.ticket);
                let same = event.is_some_and(|e| {
                    matches!(&e.change, Change::Reserved(r)
                    if (r.buyer, r.item, &r.units) == (order.buyer, order.item, &order.units))
                });
                if !same {
                    problems.push((Checker::PhantomOrder, format!("{s:?}: {order:?}")));
                }
                let releases = list
                    .iter()
                    .filter(|e| matches!(e.change, Change::Released { ticket, .. } if ticket == order.ticket))
                    .count();
                let closed = matches!(order.state, State::Closed(_));
                if releases != usize::from(closed) || order.released != u32::from(closed) {
                    let what = format!("{s:?}: {order:?} was released {releases} times");
                    problems.push((Checker::NoLeak, what));
                }
                let paid = order.state == State::Paid;
                let whole = order.accepted.len() + order.refunds.len() == order.known.len();
                let once = order
                    .accepted
                    .iter()
                    .chain(&order.refunds)
                    .collect::<FxHashSet<_>>()
                    .len()
                    == order.known.len();
                if order.accepted.len() != usize::from(paid) || !whole || !once {
                    problems.push((Checker::Money, format!("{s:?}: {order:?}")));
                }
            }
        }
        for (checker, what) in problems {
            self.violation(checker, what);
        }
    }

    /// Every ticket that a buyer was told now says how it ended.
    fn audit_told(&mut self) {
        for ix in 0..self.ledger.told.len() {
            let (s, ticket) = (self.ledger.told[ix].shard, self.ledger.told[ix].ticket);
            let Some(shown) = self.shown(self.assigned[s.ix()], s, ticket) else {
                continue;
            };
            self.ledger.show(self.step, ix, shown, true);
            let told = &self.ledger.told[ix];
            let (acknowledged, what) = (told.acknowledged, format!("{s:?} {ticket:?} is {shown:?}"));
            if acknowledged && self.dbs[s.ix()].order(ticket).is_none() {
                self.violation(Checker::AcknowledgedLoss, format!("{what}, and has no order"));
            }
            if !shown.is_final() {
                self.violation(Checker::Quiescence, format!("{what} at the end"));
            }
            if matches!(shown, Shown::Lost) && self.logs[s.ix()].truth.holds(ticket.n, ticket.made) {
                self.violation(Checker::LegalStates, format!("{what}, and in the log"));
            }
        }
    }
}

/// One walk through the logs.
struct Walk<'a> {
    units: &'a mut Vec<Vec<Place>>,
    held: &'a mut FxHashMap<(ShardId, TicketNo), (ItemIx, Units)>,
    problems: &'a mut Vec<(Checker, String)>,
}

impl Walk<'_> {
    fn event(&mut self, s: ShardId, event: &Event) {
        let ticket = event.ticket();
        match &event.change {
            Change::Loaded { item, units, .. } => {
                self.shift(*item, &[*units], Place::Nowhere, Place::Free(s), event);
            }
            Change::Reserved(r) => {
                self.shift(r.item, &r.units, Place::Free(s), Place::Held(s, ticket), event);
                self.held.insert((s, ticket), (r.item, r.units.clone()));
            }
            Change::Released { ticket, .. } => {
                if let Some((item, units)) = self.held.remove(&(s, *ticket)) {
                    self.shift(item, &units, Place::Held(s, *ticket), Place::Free(s), event);
                } else {
                    self.problems
                        .push((Checker::NoLeak, format!("{s:?} {event:?} releases nothing")));
                }
            }
            Change::TransferOut { item, units, .. } => {
                self.shift(*item, units, Place::Free(s), Place::Moving, event);
            }
            Change::TransferIn { item, units, .. } => {
                self.shift(*item, units, Place::Moving, Place::Free(s), event);
            }
            Change::Registered { .. } => {}
        }
    }

    fn shift(&mut self, item: ItemIx, units: &[UnitRange], from: Place, to: Place, event: &Event) {
        let places = &mut self.units[item.ix()];
        for unit in units.iter().flat_map(|r| r.iter()) {
            if places.len() <= unit as usize {
                places.resize(unit as usize + 1, Place::Nowhere);
            }
            let was = std::mem::replace(&mut places[unit as usize], to);
            if was != from {
                let what = format!("{item:?} unit {unit} is {was:?} at {event:?}");
                self.problems.push((Checker::NeverOversold, what));
            }
        }
    }
}
