//! Who may hold a ticket: a filter that never forgets a winner.
//!
//! Once an item is sold out, a gateway answers "sold out" from memory, but somebody who asks again for
//! the ticket that they have must get it. The filter tells them apart: those in it are asked to the
//! shard, all others can't have a ticket.

use crate::link::Feed;
use flashsale_core::ids::BuyerKey;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits per expected winner: with four probes about 0.25 % of others are taken for winners.
const BITS_PER_WINNER: usize = 16;
const PROBES: u32 = 4;

/// A set of buyers without false negatives. Shared between threads; never shrinks.
#[derive(Debug)]
pub struct Winners {
    words: Vec<AtomicU64>,
    mask: u64,
    /// Whoever was added, for those who keep a copy elsewhere.
    news: OnceLock<Feed<BuyerKey>>,
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
            news: OnceLock::new(),
        }
    }

    /// Adds a buyer; to be called before they are told that they have a ticket.
    pub fn insert(&self, buyer: BuyerKey) {
        let mut new = false;
        for bit in self.bits(buyer) {
            let (word, mask) = (&self.words[(bit / 64) as usize], 1 << (bit % 64));
            new |= word.fetch_or(mask, Ordering::AcqRel) & mask == 0;
        }
        if new && let Some(news) = self.news.get() {
            news.push(buyer);
        }
    }

    /// From now on, whoever is added is told, too. Only for a filter to which one thread adds.
    pub(crate) fn news(&self) -> &Feed<BuyerKey> {
        self.news.get_or_init(Feed::new)
    }

    /// The filter in pieces of up to `len` words, as (number of the first word, words); empty ones are left out.
    pub(crate) fn pieces(&self, len: usize) -> impl Iterator<Item = (u32, Vec<u64>)> {
        let pieces = self.words.chunks(len).zip((0..).step_by(len));
        pieces.filter_map(|(words, at)| {
            let words: Vec<u64> = words.iter().map(|word| word.load(Ordering::Acquire)).collect();
            words.iter().any(|word| *word != 0).then_some((at, words))
        })
    }

    /// Adds all of a piece of another filter of the same size; `false` if it can't be one.
    #[must_use]
    pub(crate) fn merge(&self, at: u32, words: &[u64]) -> bool {
        let at = at as usize;
        let Some(own) = self.words.get(at..at.saturating_add(words.len())) else {
            return false;
        };
        for (own, word) in own.iter().zip(words) {
            if *word != 0 {
                own.fetch_or(*word, Ordering::AcqRel);
            }
        }
        true
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

    #[test]
    fn a_copy_made_of_pieces_and_news_misses_no_winner() {
        let (keys, winners, copy) = (
            Keyring::new(SaleUid(1)),
            Winners::new(10_000),
            Winners::new(10_000),
        );
        let buyer = |i: usize| keys.buyer(&format!("buyer-{i}"));
        (0..100).for_each(|i| winners.insert(buyer(i)));
        let at = winners.news().end();
        (100..200).for_each(|i| winners.insert(buyer(i)));
        assert!(winners.pieces(64).all(|(at, words)| copy.merge(at, &words)));
        (200..300).for_each(|i| winners.insert(buyer(i)));
        let (added, _) = winners.news().since(at, usize::MAX).unwrap();
        added.into_iter().for_each(|buyer| copy.insert(buyer));
        assert!((0..300).all(|i| copy.may_contain(buyer(i))));
        assert!(!copy.merge(u32::MAX, &[1]), "a piece of a larger filter");
    }
}
