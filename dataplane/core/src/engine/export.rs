//! An engine's state for reading: to rebuild it elsewhere, and to compare it with what is elsewhere.

use super::{Engine, Rules, Slot};
use crate::event::TicketNo;
use crate::ids::{BuyerKey, ItemIx, RequestKey, Seq, ShardId};
use crate::units::Units;

/// One reservation as the engine keeps it, released or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// Its ticket.
    pub ticket: TicketNo,
    /// Whose.
    pub buyer: BuyerKey,
    /// Of which item.
    pub item: ItemIx,
    /// Which units.
    pub units: &'a Units,
    /// Its place in the item's queue.
    pub place: u32,
    /// Whether it still holds its units.
    pub live: bool,
}

impl Engine {
    /// The rules that it enforces.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Every reservation that was ever made, in order of number; the numbers between are other events'.
    pub fn kept(&self) -> impl Iterator<Item = Kept<'_>> {
        self.slots.iter().zip(1..).filter_map(|(slot, n)| {
            let Slot::Reserved { made, reservation } = slot else {
                return None;
            };
            Some(Kept {
                ticket: TicketNo { made: *made, n },
                buyer: reservation.buyer,
                item: reservation.item,
                units: &reservation.units,
                place: reservation.place,
                live: reservation.live,
            })
        })
    }

    /// Every request key with its reservation's number, in no order.
    pub fn request_keys(&self) -> impl Iterator<Item = (RequestKey, Seq)> {
        self.keys.iter().map(|(&key, &n)| (key, n))
    }

    /// What each buyer holds of each item: how many units, and by which reservation last; in no order.
    pub fn held(&self) -> impl Iterator<Item = ((BuyerKey, ItemIx), (u32, Seq))> {
        self.held
            .iter()
            .map(|(&who, held)| (who, (held.units, held.last)))
    }

    /// Everybody who is registered, in no order.
    pub fn registered(&self) -> impl Iterator<Item = BuyerKey> {
        self.registered.iter().copied()
    }

    /// Every load that came in, with its event's number.
    pub fn loads(&self) -> impl Iterator<Item = ((u32, ItemIx), Seq)> {
        self.loads.iter().map(|(&load, &n)| (load, n))
    }

    /// The last transfer taken from each shard: the donor's number, and the own.
    pub fn taken_from(&self) -> impl Iterator<Item = (ShardId, (Seq, Seq))> {
        self.incoming.iter().map(|(&from, &numbers)| (from, numbers))
    }
}
