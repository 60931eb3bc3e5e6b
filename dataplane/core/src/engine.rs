//! One shard's state: which units are free, who holds what. A deterministic fold of the counted events.
//!
//! # Guarantees
//! - Every change of the state is an event, and [`Engine::apply`] is the only code that changes it:
//!   an engine rebuilt from the events equals the one that made them.
//! - A decision checks everything before its event is applied; a refused attempt changes nothing.

use crate::attempt::{Answer, Attempt, Refusal, Registered, Ticketed, Verdict};
use crate::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use crate::ids::{BuyerKey, Epoch, ItemIx, Millis, RequestKey, Seq, ShardId};
use crate::units::{self, FreeUnits, UnitRange, Units};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

mod apply;
mod export;

pub use export::Kept;

/// The rules of a sale that a shard enforces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Nothing is taken before.
    pub opens: Millis,
    /// Nothing is taken from here on.
    pub closes: Millis,
    /// Per item: how many units one buyer may hold.
    pub limits: Vec<u32>,
    /// Whether only registered buyers may buy.
    pub registered_only: bool,
    /// How many buyers this shard registers at most.
    pub registrations_max: u32,
}

/// At most so many ranges leave in one transfer, so that an event stays small.
const TRANSFER_RANGES_MAX: usize = 256;

/// For at most so many units of one load, room is made ahead for their reservations, so that no table has to move
/// to a larger place in the middle of the rush.
const ROOM_AHEAD_MAX: u32 = 1 << 20;

/// A transfer that has left this shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// The number of its `TransferOut`.
    pub number: Seq,
    /// Of which item.
    pub item: ItemIx,
    /// Which units.
    pub units: Units,
}

/// An event that doesn't follow from the ones before it: the log is damaged, or code is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {n} (made in epoch {epoch}): {problem}")]
pub struct Inconsistent {
    /// The event's number.
    pub n: Seq,
    /// The epoch in which it was made.
    pub epoch: u32,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Reserved { made: Epoch, reservation: Reserved },
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reserved {
    buyer: BuyerKey,
    item: ItemIx,
    units: Units,
    place: u32,
    live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    units: u32,
    last: Seq,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stock {
    free: FreeUnits,
    reservations: u32,
}

/// One shard's state. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    rules: Rules,
    stock: Vec<Stock>,
    slots: Vec<Slot>,
    held: FxHashMap<(BuyerKey, ItemIx), Held>,
    keys: FxHashMap<RequestKey, Seq>,
    registered: FxHashSet<BuyerKey>,
    loads: BTreeMap<(u32, ItemIx), Seq>,
    outgoing: BTreeMap<ShardId, Outgoing>,
    incoming: BTreeMap<ShardId, (Seq, Seq)>,
}

impl Engine {
    /// An empty shard.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            stock: vec![Stock::default(); rules.limits.len()],
            rules,
            slots: Vec::new(),
            held: FxHashMap::default(),
            keys: FxHashMap::default(),
            registered: FxHashSet::default(),
            loads: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
        }
    }

    /// The number of the last event.
    #[must_use]
    pub fn len(&self) -> Seq {
        self.slots.len() as Seq
    }

    /// Whether the shard has no event yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Free units of an item in this shard.
    #[must_use]
    pub fn free(&self, item: ItemIx) -> u32 {
        self.stock[item.ix()].free.count()
    }

    /// The free ranges of an item in this shard.
    #[must_use]
    pub fn free_ranges(&self, item: ItemIx) -> &[UnitRange] {
        self.stock[item.ix()].free.ranges()
    }

    /// How many reservations of an item this shard has ever made: the shard's part of the places given out.
    #[must_use]
    pub fn reservations(&self, item: ItemIx) -> u32 {
        self.stock[item.ix()].reservations
    }

    /// Every live reservation with its units, in order of number.
    pub fn live(&self) -> impl Iterator<Item = (TicketNo, ItemIx, &Units)> {
        self.slots.iter().zip(1..).filter_map(|(slot, n)| match slot {
            Slot::Reserved { made, reservation } if reservation.live => {
                Some((TicketNo { made: *made, n }, reservation.item, &reservation.units))
            }
            _ => None,
        })
    }

    /// The last transfer to each shard: one at a time is under way per pair.
    #[must_use]
    pub fn outgoing(&self) -> &BTreeMap<ShardId, Outgoing> {
        &self.outgoing
    }

    /// The donor's and the own number of the last transfer taken from `from`.
    #[must_use]
    pub fn incoming(&self, from: ShardId) -> Option<(Seq, Seq)> {
        self.incoming.get(&from).copied()
    }

    /// Of each shard that sent units: the donor's number of the last transfer taken.
    pub fn all_incoming(&self) -> impl Iterator<Item = (ShardId, Seq)> + '_ {
        self.incoming.iter().map(|(&from, &(taken, _))| (from, taken))
    }

    /// Whether load `load` of `item` came in.
    #[must_use]
    pub fn has_load(&self, load: u32, item: ItemIx) -> bool {
        self.loads.contains_key(&(load, item))
    }

    /// Decides one attempt at time `now` and applies what follows. `place` is how many places of the
    /// item other shards have given out.
    pub fn purchase(
        &mut self,
        made: Epoch,
        now: Millis,
        place: u32,
        attempt: &Attempt,
        events: &mut Vec<Event>,
    ) -> Verdict {
        if let Some(answer) = self.known(attempt) {
            return Verdict::Answer(answer);
        }
        if let Some(refusal) = self.refusal(now, attempt) {
            return Verdict::Answer(Answer::Refused(refusal));
        }
        let Some(units) = self.stock[attempt.item.ix()].free.peek(attempt.quantity) else {
            return Verdict::Empty;
        };
        let place = place + self.stock[attempt.item.ix()].reservations + 1;
        let ticket = TicketNo {
            made,
            n: self.len() + 1,
        };
        let reservation = Reservation {
            buyer: attempt.buyer,
            buyer_id: attempt.buyer_id.clone(),
            item: attempt.item,
            units,
            key: attempt.key,
            at: now,
            place,
        };
        self.push(made, Change::Reserved(reservation), events);
        let (item, quantity) = (attempt.item, attempt.quantity);
        Verdict::Answer(Answer::Taken(Ticketed {
            ticket,
            item,
            quantity,
            place,
        }))
    }

    /// Registers a buyer ahead of the sale.
    pub fn register(&mut self, made: Epoch, buyer: BuyerKey, events: &mut Vec<Event>) -> Registered {
        if self.registered.contains(&buyer) {
            return Registered::Already;
        }
        if self.registered.len() >= self.rules.registrations_max as usize {
            return Registered::Full;
        }
        self.push(made, Change::Registered { buyer }, events);
        Registered::New
    }

    /// Loads units under a load id; `false` if this load came in before.
    pub fn load(
        &mut self,
        made: Epoch,
        load: u32,
        item: ItemIx,
        units: UnitRange,
        events: &mut Vec<Event>,
    ) -> bool {
        if self.has_load(load, item) || units.len == 0 {
            return false;
        }
        self.push(made, Change::Loaded { load, item, units }, events);
        true
    }

    /// Lets the sale end at `closes`, if that is later than it ended so far; `false` if it isn't. No event: what was
    /// taken stays taken, and whoever rebuilds the shard is told the end anew.
    pub fn extend(&mut self, closes: Millis) -> bool {
        let later = closes > self.rules.closes;
        self.rules.closes = closes.max(self.rules.closes);
        later
    }

    /// Frees a reservation's units, if that very ticket still holds them.
    pub fn release(
        &mut self,
        made: Epoch,
        ticket: TicketNo,
        reason: ReleaseReason,
        events: &mut Vec<Event>,
    ) -> bool {
        if !self.is_live(ticket) {
            return false;
        }
        self.push(made, Change::Released { ticket, reason }, events);
        true
    }

    /// Sends up to `want` free units of `item` to another shard.
    pub fn transfer_out(
        &mut self,
        made: Epoch,
        to: ShardId,
        item: ItemIx,
        want: u32,
        events: &mut Vec<Event>,
    ) -> bool {
        let units = self.stock[item.ix()].free.peek_up_to(want, TRANSFER_RANGES_MAX);
        if units.is_empty() {
            return false;
        }
        self.push(made, Change::TransferOut { to, item, units }, events);
        true
    }

    /// Takes units that another shard sent; `false` if this transfer came in before.
    pub fn transfer_in(
        &mut self,
        made: Epoch,
        from: ShardId,
        transfer: &Outgoing,
        events: &mut Vec<Event>,
    ) -> bool {
        if self
            .incoming(from)
            .is_some_and(|(taken, _)| transfer.number <= taken)
        {
            return false;
        }
        let Outgoing { number, item, units } = transfer.clone();
        self.push(
            made,
            Change::TransferIn {
                from,
                number,
                item,
                units,
            },
            events,
        );
        true
    }

    /// Whether this very ticket holds its units.
    #[must_use]
    pub fn is_live(&self, ticket: TicketNo) -> bool {
        matches!(self.slot(ticket.n), Some(Slot::Reserved { made, reservation })
            if *made == ticket.made && reservation.live)
    }

    fn slot(&self, n: Seq) -> Option<&Slot> {
        n.checked_sub(1).and_then(|ix| self.slots.get(ix as usize))
    }

    fn ticketed(&self, n: Seq) -> Option<Ticketed> {
        let Some(Slot::Reserved { made, reservation }) = self.slot(n) else {
            return None;
        };
        let Reserved {
            item, units, place, ..
        } = reservation;
        let ticket = TicketNo { made: *made, n };
        Some(Ticketed {
            ticket,
            item: *item,
            quantity: units::count(units),
            place: *place,
        })
    }

    /// The answer to a key that was used before, and to a buyer who holds all that one may.
    fn known(&self, attempt: &Attempt) -> Option<Answer> {
        let by_key = attempt.key.and_then(|key| self.keys.get(&key));
        if let Some(ticketed) = by_key.and_then(|&n| self.ticketed(n)) {
            let same = (ticketed.item, ticketed.quantity) == (attempt.item, attempt.quantity);
            return Some(if same {
                Answer::Existing(ticketed)
            } else {
                Answer::Refused(Refusal::KeyConflict)
            });
        }
        let held = self.held.get(&(attempt.buyer, attempt.item))?;
        let full = held.units >= self.rules.limits[attempt.item.ix()];
        full.then(|| self.ticketed(held.last).map(Answer::Existing))
            .flatten()
    }

    fn refusal(&self, now: Millis, attempt: &Attempt) -> Option<Refusal> {
        let limit = self.rules.limits[attempt.item.ix()];
        if now < self.rules.opens {
            return Some(Refusal::NotOpen {
                opens: self.rules.opens,
            });
        }
        if now >= self.rules.closes {
            return Some(Refusal::Closed);
        }
        if self.rules.registered_only && !self.registered.contains(&attempt.buyer) {
            return Some(Refusal::NotEntitled);
        }
        let held = self
            .held
            .get(&(attempt.buyer, attempt.item))
            .map_or(0, |h| h.units);
        (held + attempt.quantity > limit).then_some(Refusal::LimitExceeded { limit, held })
    }

    fn push(&mut self, made: Epoch, change: Change, events: &mut Vec<Event>) {
        let event = Event {
            n: self.len() + 1,
            made,
            change,
        };
        // Decisions check first, so their events always follow from the state.
        let applied = self.apply(&event);
        debug_assert_eq!(applied, Ok(()));
        events.push(event);
    }
}
