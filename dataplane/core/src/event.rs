//! What a shard's partition of the order log holds.

use crate::ids::{BuyerKey, Epoch, ItemIx, Millis, OwnerId, RequestKey, SaleUid, Seq, ShardId};
use crate::units::{UnitRange, Units};
use serde::{Deserialize, Serialize};

/// Names one reservation of a shard for ever: a number alone can come again in a later epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TicketNo {
    /// The epoch in which the event was made.
    pub made: Epoch,
    /// The event's number.
    pub n: Seq,
}

/// A numbered change of a shard's stock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// The event's number in its shard.
    pub n: Seq,
    /// The epoch in which it was made; a copy keeps it.
    pub made: Epoch,
    /// What changed.
    pub change: Change,
}

impl Event {
    /// The ticket number of this event.
    #[must_use]
    pub fn ticket(&self) -> TicketNo {
        TicketNo {
            made: self.made,
            n: self.n,
        }
    }
}

/// What an event changes. Each kind holds all that a rebuild of the shard needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// Stock came in under a load id; once per (load, item) and shard.
    Loaded {
        /// 1 for the declared stock; one more for each later grant.
        load: u32,
        /// Of which item.
        item: ItemIx,
        /// Which units.
        units: UnitRange,
    },
    /// A buyer registered ahead of the sale; once per buyer.
    Registered {
        /// Who.
        buyer: BuyerKey,
    },
    /// A buyer took units.
    Reserved(Reservation),
    /// Units of a reservation became free again.
    Released {
        /// Of which reservation.
        ticket: TicketNo,
        /// Why.
        reason: ReleaseReason,
    },
    /// Units left for another shard.
    TransferOut {
        /// To which.
        to: ShardId,
        /// Of which item.
        item: ItemIx,
        /// Which units.
        units: Units,
    },
    /// Units arrived from another shard; each (from, number) once.
    TransferIn {
        /// From which.
        from: ShardId,
        /// The number of the donor's `TransferOut`.
        number: Seq,
        /// Of which item.
        item: ItemIx,
        /// Which units.
        units: Units,
    },
}

/// The content of a `Reserved` event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    /// Who, as a key.
    pub buyer: BuyerKey,
    /// Who, as the shop knows them; up to 128 bytes.
    pub buyer_id: Box<str>,
    /// What.
    pub item: ItemIx,
    /// Which units.
    pub units: Units,
    /// The request's idempotency key, if it had one.
    pub key: Option<RequestKey>,
    /// When, by the shard's clock.
    pub at: Millis,
    /// The place in the item's queue over all shards, from 1, as known when the reservation was made.
    pub place: u32,
}

/// Why a reservation's units became free again. Decided in the database, by one row's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReleaseReason {
    /// The buyer cancelled.
    Cancelled,
    /// Not paid by the deadline.
    Unpaid,
    /// The queue was too old, and the sale's policy is to let go.
    Backlog,
    /// The database refused the event.
    Refused,
}

impl ReleaseReason {
    /// The word for it in the API, the database and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unpaid => "unpaid",
            Self::Backlog => "backlog",
            Self::Refused => "refused",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Cancelled, Self::Unpaid, Self::Backlog, Self::Refused]
            .into_iter()
            .find(|r| r.word() == word)
    }
}

/// One message of a shard's partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// A new owner fences off all older epochs.
    Barrier {
        /// The new epoch.
        epoch: Epoch,
        /// Its claimant.
        owner: OwnerId,
    },
    /// The owner of the newest barrier begins, with the list as it was up to `base`.
    Opened {
        /// The owner's epoch.
        epoch: Epoch,
        /// The owner.
        owner: OwnerId,
        /// The length of the list that stands.
        base: Seq,
    },
    /// Consecutive events.
    Batch {
        /// The publisher's epoch.
        epoch: Epoch,
        /// The publisher.
        owner: OwnerId,
        /// In order of number.
        events: Vec<Event>,
    },
}

/// Version of the encoding; the first byte of each message.
const VERSION: u8 = 1;

/// Why bytes from a log can't be taken for a record of this sale and shard.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by another version of this program.
    #[error("record has version {0}, this program reads version {VERSION}: use the program that wrote it")]
    Version(u8),
    /// The bytes aren't a record.
    #[error("record can't be read ({0}): the log is damaged or holds something else")]
    Malformed(String),
    /// A record of another sale or shard.
    #[error("record belongs to sale {found:032x} shard {shard}: the log holds another sale's data")]
    Foreign {
        /// The uid in the record.
        found: u128,
        /// The shard in the record.
        shard: u16,
    },
}

/// The bytes of `record` for shard `shard` of the sale `uid`.
#[must_use]
pub fn encode(uid: SaleUid, shard: ShardId, record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.push(VERSION);
    // Encoding into a growing Vec can't fail: no type here has a failing serializer.
    postcard::to_extend(&(uid, shard, record), bytes).unwrap_or_default()
}

/// The record in `bytes`, which must belong to shard `shard` of the sale `uid`.
///
/// # Errors
/// Another version, another sale or shard, or bytes that aren't a record.
pub fn decode(uid: SaleUid, shard: ShardId, bytes: &[u8]) -> Result<Record, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let (found, of, record): (SaleUid, ShardId, Record) =
                postcard::from_bytes(rest).map_err(|e| DecodeError::Malformed(e.to_string()))?;
            if (found, of) != (uid, shard) {
                return Err(DecodeError::Foreign {
                    found: found.0,
                    shard: of.0,
                });
            }
            Ok(record)
        }
        Some((&other, _)) => Err(DecodeError::Version(other)),
        None => Err(DecodeError::Malformed("empty".into())),
    }
}
