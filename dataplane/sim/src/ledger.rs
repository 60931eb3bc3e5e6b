//! What the outside world was told and promised, kept apart from the system: the online checkers.

use crate::check::{Checker, Violation};
use crate::database::Database;
use flashsale_core::event::{Change, Event, TicketNo};
use flashsale_core::fold::made_of;
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Millis, RequestKey, Seq, ShardId};
use flashsale_core::owner::Progress;
use flashsale_core::ticket::Shown;
use flashsale_core::units::{self, Units};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// At most so many violations of a run are kept: the first one is what matters.
const VIOLATIONS_MAX: usize = 64;

/// A ticket that some buyer was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) shard: ShardId,
    pub(crate) ticket: TicketNo,
    pub(crate) shown: Shown,
    /// Whether it was ever shown as reserved, or more.
    pub(crate) acknowledged: bool,
}

/// A reservation as it was made.
#[derive(Debug, Clone)]
struct Made {
    buyer: BuyerKey,
    item: ItemIx,
    units: Units,
    quantity: u32,
    key: Option<RequestKey>,
    at: Millis,
}

/// A buyer's promised reservations of an item, with their quantities.
pub(crate) type Bought = SmallVec<[(ShardId, TicketNo, u32); 2]>;

/// What is known about one idempotency key.
#[derive(Debug, Default)]
pub(crate) struct KeyFacts {
    pub(crate) promised: Option<(TicketNo, ItemIx, u32)>,
    /// The bodies it was sent with.
    pub(crate) bodies: SmallVec<[(ItemIx, u32); 2]>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) violations: Vec<Violation>,
    made: Vec<FxHashMap<TicketNo, Made>>,
    /// Per shard the epochs of the numbers that were ever promised.
    pub(crate) promised: Vec<Vec<Epoch>>,
    /// Per item and unit: the promised reservation that has it.
    holders: Vec<Vec<Option<(ShardId, TicketNo)>>>,
    /// Per buyer their promised reservations.
    bought: FxHashMap<(BuyerKey, ItemIx), Bought>,
    pub(crate) keys: FxHashMap<RequestKey, KeyFacts>,
    /// What each buyer's requests took of an item, promised or not.
    pub(crate) takings: FxHashMap<(usize, ItemIx), Bought>,
    /// By which of the buyer's own keys a ticket was taken, whatever the system made of the key.
    pub(crate) taken_by: FxHashMap<(ShardId, TicketNo), RequestKey>,
    pub(crate) told: Vec<Told>,
    pub(crate) taken: u32,
}

impl Ledger {
    pub(crate) fn new(shards: u16, items: usize) -> Self {
        Self {
            made: (0..shards).map(|_| FxHashMap::default()).collect(),
            promised: vec![Vec::new(); usize::from(shards)],
            holders: vec![Vec::new(); items],
            ..Self::default()
        }
    }

    pub(crate) fn violation(&mut self, step: u32, checker: Checker, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { checker, step, what });
        }
    }

    /// An owner hands these events to a medium: from here on they may become promises.
    pub(crate) fn note(&mut self, shard: ShardId, events: &[Event]) {
        for event in events {
            if let Change::Reserved(r) = &event.change {
                self.made[shard.ix()]
                    .entry(event.ticket())
                    .or_insert_with(|| Made {
                        buyer: r.buyer,
                        item: r.item,
                        units: r.units.clone(),
                        quantity: units::count(&r.units),
                        key: r.key,
                        at: r.at,
                    });
            }
        }
    }

    /// An owner promises everything up to `upto`. `durable` says whether a medium holds a number.
    /// Returns how many reservations are newly promised.
    pub(crate) fn promise(
        &mut self,
        rules: &Rules<'_>,
        shard: ShardId,
        progress: &Progress,
        upto: Seq,
        durable: impl Fn(Seq, Epoch) -> bool,
    ) -> u32 {
        let (step, mut reservations) = (rules.step, 0);
        let before = self.promised[shard.ix()].len() as Seq;
        if upto <= before && upto >= 1 {
            let was = self.promised[shard.ix()][upto as usize - 1];
            if made_of(&progress.segments, upto) != Some(was) {
                let what = format!("{shard:?} promises {upto} of another epoch than {was:?}");
                self.violation(step, Checker::OldEpoch, what);
            }
        }
        for n in before + 1..=upto {
            let made = made_of(&progress.segments, n).unwrap_or_default();
            self.promised[shard.ix()].push(made);
            if !durable(n, made) {
                let what = format!("{shard:?} promises {n} of {made:?}, which no medium holds");
                self.violation(step, Checker::OldEpoch, what);
            }
            let ticket = TicketNo { made, n };
            if let Some(made) = self.made[shard.ix()].get(&ticket).cloned() {
                reservations += 1;
                self.promised_reservation(rules, shard, ticket, &made);
            }
        }
        reservations
    }

    fn promised_reservation(&mut self, rules: &Rules<'_>, shard: ShardId, ticket: TicketNo, made: &Made) {
        let step = rules.step;
        let closed = |s: ShardId, t: TicketNo| rules.databases[s.ix()].is_closed(t);
        for unit in made.units.iter().flat_map(|r| r.iter()) {
            let holders = &mut self.holders[made.item.ix()];
            if holders.len() <= unit as usize {
                holders.resize(unit as usize + 1, None);
            }
            let holder = holders[unit as usize].replace((shard, ticket));
            if let Some((s, t)) = holder.filter(|&(s, t)| !closed(s, t)) {
                let what = format!(
                    "{:?} unit {unit}: {s:?} {t:?} and {shard:?} {ticket:?}",
                    made.item
                );
                self.violation(step, Checker::NeverOversold, what);
            }
        }
        let bought = self.bought.entry((made.buyer, made.item)).or_default();
        bought.push((shard, ticket, made.quantity));
        let held: u32 = bought
            .iter()
            .filter(|(s, t, _)| !closed(*s, *t))
            .map(|(_, _, q)| q)
            .sum();
        let limit = rules.limits[made.item.ix()];
        if held > limit {
            let what = format!("{:?} has {held} of {:?}, limit {limit}", made.buyer, made.item);
            self.violation(step, Checker::BuyerLimit, what);
        }
        if made.at < rules.opens || made.at >= rules.closes {
            let what = format!("{shard:?} {ticket:?} reserved at {}", made.at);
            self.violation(step, Checker::Window, what);
        }
        let key = self.taken_by.get(&(shard, ticket)).copied().or(made.key);
        if let Some(key) = key {
            let facts = self.keys.entry(key).or_default();
            let promised = facts.promised.replace((ticket, made.item, made.quantity));
            if let Some((other, ..)) = promised {
                let what = format!("{key:?} got {other:?} and {ticket:?}");
                self.violation(step, Checker::SameAnswer, what);
            }
        }
        if self
            .told
            .iter()
            .any(|t| (t.shard, t.ticket, t.shown) == (shard, ticket, Shown::Lost))
        {
            let what = format!("{shard:?} {ticket:?} was said to be lost and is promised");
            self.violation(step, Checker::LegalStates, what);
        }
    }

    /// A new owner opened: it must know everything that was ever promised.
    pub(crate) fn opened(&mut self, step: u32, shard: ShardId, progress: &Progress, len: Seq) {
        let promised = &self.promised[shard.ix()];
        let lost = (1..)
            .zip(promised)
            .find(|(n, made)| *n > len || made_of(&progress.segments, *n) != Some(**made));
        if let Some((n, made)) = lost {
            let what = format!("{shard:?} opened {:?} without {n} of {made:?}", progress.epoch);
            self.violation(step, Checker::AcknowledgedLoss, what);
        }
    }

    /// A buyer is shown a ticket's state. `fresh`: by the shard's current, open owner.
    pub(crate) fn show(&mut self, step: u32, told: usize, shown: Shown, fresh: bool) {
        let told = &mut self.told[told];
        let before = std::mem::replace(&mut told.shown, shown);
        told.acknowledged |= !matches!(shown, Shown::Queued | Shown::Lost);
        let legal = match (before, shown) {
            (a, b) if a == b => true,
            (Shown::Queued, _) => true,
            (Shown::Reserved | Shown::Lost, Shown::Queued) => !fresh,
            (Shown::Reserved, Shown::Ordered | Shown::Paid | Shown::Closed(_)) => true,
            (Shown::Ordered, Shown::Paid | Shown::Closed(_)) => true,
            _ => false,
        };
        if before != shown && shown == Shown::Queued {
            // A gateway that asks an owner who is just rebuilding: it isn't taken back.
            told.shown = before;
        }
        if !legal {
            let what = format!("{:?} {:?}: {before:?} → {shown:?}", told.shard, told.ticket);
            self.violation(step, Checker::LegalStates, what);
        }
    }
}

/// What the promises are checked against.
pub(crate) struct Rules<'a> {
    pub(crate) step: u32,
    pub(crate) limits: &'a [u32],
    pub(crate) opens: Millis,
    pub(crate) closes: Millis,
    pub(crate) databases: &'a [Database],
}
