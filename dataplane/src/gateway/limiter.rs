//! How often one key (a buyer, an address) may do something, for any number of keys in a fixed amount of memory.
//!
//! Each key has a token bucket, kept as the one time at which it will be full again. A bucket that is full needs no
//! memory, so the table only has to hold the keys that were active within the last moments. Where it doesn't, the
//! bucket that is fullest is forgotten: that errs towards letting somebody through, never towards refusing a
//! stranger. Only keys with an equal 16-bit tag in one set of eight share a bucket: about one active key in 8,000.

use super::options::Rate;

/// Cells that a key can be in; together they are one cache line.
const WAYS: usize = 8;
const TAG_BITS: u32 = 16;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// Token buckets of a fixed number of keys. Times are microseconds from any fixed start, for at most 8 years.
#[derive(Debug)]
pub(super) struct Limiter {
    /// When the bucket is full again, and the key's tag.
    sets: Vec<[u64; WAYS]>,
    /// What one request costs, in microseconds of refilling.
    cost: u64,
    /// What a full bucket holds, in the same.
    capacity: u64,
}

impl Limiter {
    /// A table of `sets` (a power of two) times 64 bytes.
    pub(super) fn new(rate: Rate, sets: usize) -> Self {
        let cost = 1_000_000 / u64::from(rate.per_second.clamp(1, 1_000_000));
        Self {
            sets: vec![[0; WAYS]; sets.next_power_of_two()],
            cost,
            capacity: cost * u64::from(rate.burst.max(1)),
        }
    }

    /// Takes one request of the key with this (well mixed) hash.
    ///
    /// # Errors
    /// The bucket is empty; says after how many microseconds it won't be.
    pub(super) fn take(&mut self, hash: u64, now: u64) -> Result<(), u64> {
        let (set, tag) = (hash as usize & (self.sets.len() - 1), hash >> (64 - TAG_BITS));
        let cells = &mut self.sets[set];
        let own = cells
            .iter()
            .position(|cell| cell & TAG_MASK == tag && cell >> TAG_BITS > now);
        let at = own.unwrap_or_else(|| fullest(cells));
        let full_at = if own.is_some() { cells[at] >> TAG_BITS } else { now };
        let missing = full_at - now;
        if missing + self.cost > self.capacity {
            return Err(missing + self.cost - self.capacity);
        }
        cells[at] = (full_at + self.cost) << TAG_BITS | tag;
        Ok(())
    }

    /// Whether the key could take a request now; takes none.
    pub(super) fn has_any(&self, hash: u64, now: u64) -> bool {
        let (set, tag) = (hash as usize & (self.sets.len() - 1), hash >> (64 - TAG_BITS));
        let own = self.sets[set]
            .iter()
            .find(|cell| *cell & TAG_MASK == tag && *cell >> TAG_BITS > now);
        own.is_none_or(|cell| (cell >> TAG_BITS) - now + self.cost <= self.capacity)
    }
}

fn fullest(cells: &[u64; WAYS]) -> usize {
    (0..WAYS).min_by_key(|&i| cells[i]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 20,
        burst: 40,
    };

    /// A well mixed 64-bit number for each index.
    fn hash(i: u64) -> u64 {
        let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) ^ x >> 31
    }

    #[test]
    fn a_key_gets_its_burst_and_then_its_rate() {
        let mut limiter = Limiter::new(RATE, 16);
        let start = 1_000;
        assert_eq!(
            (0..100).filter(|_| limiter.take(hash(1), start).is_ok()).count(),
            40
        );
        assert_eq!(limiter.take(hash(1), start), Err(50_000));
        assert!(!limiter.has_any(hash(1), start));
        assert!(limiter.has_any(hash(1), start + 50_000));
        let later = (0..1_000).filter(|i| limiter.take(hash(1), start + 10_000 * i).is_ok());
        assert_eq!(later.count(), 199);
    }

    #[test]
    fn ten_million_keys_need_no_more_memory_and_none_of_them_is_refused() {
        let mut limiter = Limiter::new(RATE, 1 << 12);
        let refused = (0..10_000_000_u64).filter(|&i| limiter.take(hash(i), 1 + i / 10).is_err());
        assert_eq!(refused.count(), 0);
        assert_eq!(limiter.sets.len() * size_of::<[u64; WAYS]>(), 256 * 1024);
    }

    #[test]
    fn a_flood_of_others_does_not_slow_an_honest_key_down() {
        let mut limiter = Limiter::new(RATE, 1 << 8);
        let honest = (0..1_000_u64).map(|turn| {
            for i in 0..500 {
                let _ = limiter.take(hash(1 + turn * 500 + i), 1 + turn * 100_000);
            }
            limiter.take(hash(0), 1 + turn * 100_000)
        });
        assert!(honest.into_iter().all(|taken| taken.is_ok()));
    }
}
