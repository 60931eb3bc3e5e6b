//! What a buyer asks of a shard, and what the shard answers.

use crate::event::TicketNo;
use crate::ids::{BuyerKey, ItemIx, Millis, RequestKey};

/// One attempt to buy. A batch of them goes to the buyer's home shard in one call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The caller's own mark; comes back with the answer.
    pub token: u64,
    /// Who.
    pub buyer: BuyerKey,
    /// Who, as the shop knows them.
    pub buyer_id: Box<str>,
    /// What.
    pub item: ItemIx,
    /// How many; at least 1.
    pub quantity: u32,
    /// The request's idempotency key, if it has one.
    pub key: Option<RequestKey>,
}

/// What came of an attempt. Each way to refuse is a variant of its own, so that none is ever
/// mistaken for another: sold out is not busy, and neither is "we don't know".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Units were taken. Not yet a promise: see [`crate::ticket`].
    Taken(Ticketed),
    /// This key, or this buyer, has a ticket already.
    Existing(Ticketed),
    /// The attempt was refused, and nothing was taken.
    Refused(Refusal),
}

/// The ticket of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticketed {
    /// Its number.
    pub ticket: TicketNo,
    /// Of which item.
    pub item: ItemIx,
    /// How many units.
    pub quantity: u32,
    /// Its place in the item's queue, from 1.
    pub place: u32,
}

/// Why an attempt took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No unit was free in any shard.
    SoldOut,
    /// More than one buyer may have.
    LimitExceeded {
        /// How many a buyer may have.
        limit: u32,
        /// How many this one has.
        held: u32,
    },
    /// The same key came with another item or quantity before.
    KeyConflict,
    /// Before the opening time.
    NotOpen {
        /// The opening time.
        opens: Millis,
    },
    /// Behind the closing time.
    Closed,
    /// The sale is for registered buyers, and this one isn't.
    NotEntitled,
    /// The shard can't answer now.
    Unavailable,
}

/// What one shard's engine makes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An answer for the buyer.
    Answer(Answer),
    /// This shard has too few units; another may have them.
    Empty,
}

/// What came of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Registered {
    /// This call registered the buyer.
    New,
    /// The buyer was registered before.
    Already,
    /// As many as the sale allows are registered.
    Full,
    /// The shard can't answer now.
    Unavailable,
}
