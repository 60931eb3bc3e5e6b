//! Who may hold a ticket: a filter that never forgets a winner.
//!
//! Once an item is sold out, a gateway answers "sold out" from memory, but somebody who asks again for
//! the ticket that they have must get it. The filter tells them apart: those in it are asked to the
//! shard, all others can't have a ticket.

use flashsale_core::ids::BuyerKey;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits per expected winner: with four probes about 0.25 % of others are taken for winners.
const BITS_PER_WINNER: usize = 16;
const PROBES: u32 = 4;

/// A set of buyers without false negatives. Shared between threads; never shrinks.
#[derive(Debug)]
pub struct Winners {
    words: Vec<AtomicU64>,
    mask: u64,
}

impl Winners {
    /// A filter for about `expected` winners.
    #[must_use]
    pub fn new(expected: usize) -> Self {
        let bits = (expected.max(1024) * BITS_PER_WINNER).next_power_of_two();
        let words = (0..bits / 64).map(|_| AtomicU64::new(0)).collect();
        Self {
            words,
            mask: bits as u64 - 1,
        }
    }

    /// Adds a buyer; to be called before they are told that they have a ticket.
    pub fn insert(&self, buyer: BuyerKey) {
        for bit in self.bits(buyer) {
            self.words[(bit / 64) as usize].fetch_or(1 << (bit % 64), Ordering::Release);
        }
    }

    /// Whether this buyer may hold a ticket; `false` is certain.
    #[must_use]
    pub fn may_contain(&self, buyer: BuyerKey) -> bool {
        self.bits(buyer)
            .all(|bit| self.words[(bit / 64) as usize].load(Ordering::Acquire) & (1 << (bit % 64)) != 0)
    }

    fn bits(&self, buyer: BuyerKey) -> impl Iterator<Item = u64> {
        // The key is a cryptographic hash already: its halves give independent probes.
        let (a, b) = (buyer.0 as u64, (buyer.0 >> 64) as u64 | 1);
        let mask = self.mask;
        (0..PROBES).map(move |i| a.wrapping_add(b.wrapping_mul(u64::from(i))) & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_core::ids::{Keyring, SaleUid};

    #[test]
    fn a_winner_is_never_missed_and_few_others_are_taken_for_one() {
        let (keys, winners) = (Keyring::new(SaleUid(1)), Winners::new(10_000));
        let buyer = |i: usize| keys.buyer(&format!("buyer-{i}"));
        (0..10_000).for_each(|i| winners.insert(buyer(i)));
        assert!((0..10_000).all(|i| winners.may_contain(buyer(i))));
        let wrong = (10_000..110_000)
            .filter(|&i| winners.may_contain(buyer(i)))
            .count();
        assert!(wrong < 1_000, "{wrong} of 100,000 others");
    }
}
