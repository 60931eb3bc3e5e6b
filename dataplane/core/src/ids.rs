//! Identities. All are small, ordered and hashable; none is ever reused for something else.

use serde::{Deserialize, Serialize};

/// The number of an event within its shard; the first is 1. Numbers are dense: an event counts only
/// if its number is one more than what the shard's list holds. Numbers of events that were never
/// promised may come again in a later epoch.
pub type Seq = u64;

/// Milliseconds since the Unix epoch, by the clock of whoever decides.
pub type Millis = u64;

/// The unit of everything that scales; `0..shards`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u16);

/// The number that a shard's owner holds. A new owner takes the next one; all older are fenced off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch that a new owner claims.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A unique id of one claimant of a shard: two claims never share one, not even by the same process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OwnerId(pub u64);

/// An item's index in the sale's list of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemIx(pub u16);

impl ItemIx {
    /// As an index into a slice of items.
    #[must_use]
    pub fn ix(self) -> usize {
        usize::from(self.0)
    }
}

impl ShardId {
    /// As an index into a slice of shards.
    #[must_use]
    pub fn ix(self) -> usize {
        usize::from(self.0)
    }
}

/// The sale's uid: every log, key and row carries it, so that a sale of the same name is another sale.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SaleUid(pub u128);

/// 128 bits of a keyed hash of the buyer's id: equal for equal ids, unpredictable otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BuyerKey(pub u128);

/// 128 bits of a keyed hash of (buyer, `Idempotency-Key`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey(pub u128);

/// Makes the keys of one sale. The hash key is derived from the sale's uid, so every part of the
/// data plane computes the same keys without sharing a secret.
#[derive(Debug, Clone)]
pub struct Keyring {
    key: [u8; 32],
}

impl Keyring {
    /// The keyring of the sale `uid`.
    #[must_use]
    pub fn new(uid: SaleUid) -> Self {
        Self {
            key: blake3::derive_key("flashsale 2026 buyer and request keys", &uid.0.to_be_bytes()),
        }
    }

    /// The key of a buyer's id.
    #[must_use]
    pub fn buyer(&self, id: &str) -> BuyerKey {
        BuyerKey(first_128(blake3::keyed_hash(&self.key, id.as_bytes())))
    }

    /// The key of one buyer's `Idempotency-Key`; another buyer's equal key is another key.
    #[must_use]
    pub fn request(&self, buyer: BuyerKey, idempotency_key: &[u8]) -> RequestKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher
            .update(&buyer.0.to_be_bytes())
            .update(b"/")
            .update(idempotency_key);
        RequestKey(first_128(hasher.finalize()))
    }
}

impl BuyerKey {
    /// The one shard that this buyer belongs to for the whole sale.
    #[must_use]
    pub fn home(self, shards: u16) -> ShardId {
        // The top 64 bits scaled to the number of shards: even, and free of a division's bias.
        let high = (self.0 >> 64) as u64;
        ShardId(((u128::from(high) * u128::from(shards)) >> 64) as u16)
    }
}

fn first_128(hash: blake3::Hash) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(bytes)
}
