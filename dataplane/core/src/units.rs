//! Numbered units of stock, kept as ranges.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// `len` consecutive units from `first`. Never empty where it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitRange {
    /// The first unit's number.
    pub first: u32,
    /// How many units.
    pub len: u32,
}

impl UnitRange {
    /// The number behind the last one.
    #[must_use]
    pub fn end(self) -> u32 {
        self.first + self.len
    }

    /// The units' numbers.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.first..self.end()
    }
}

/// A few ranges; one in nearly every case, so it lives without an allocation.
pub type Units = SmallVec<[UnitRange; 1]>;

/// How many units `units` holds.
#[must_use]
pub fn count(units: &[UnitRange]) -> u32 {
    units.iter().map(|r| r.len).sum()
}

/// The share of `0..stock` that shard `shard` of `shards` is loaded with.
#[must_use]
pub fn share(stock: u32, shard: u16, shards: u16) -> UnitRange {
    let at = |s: u16| (u64::from(stock) * u64::from(s) / u64::from(shards)) as u32;
    UnitRange {
        first: at(shard),
        len: at(shard + 1) - at(shard),
    }
}

/// The free units of one item in one shard: a stack of ranges, so that what came back is sold first
/// and the same events always leave the same stack.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct FreeUnits {
    ranges: Vec<UnitRange>,
    count: u32,
}

impl FreeUnits {
    /// How many units are free.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The free ranges, the next one to be sold last.
    #[must_use]
    pub fn ranges(&self) -> &[UnitRange] {
        &self.ranges
    }

    /// The next `quantity` units to sell, not yet taken; `None` if fewer are free.
    #[must_use]
    pub fn peek(&self, quantity: u32) -> Option<Units> {
        (quantity > 0 && quantity <= self.count).then(|| self.peek_up_to(quantity, usize::MAX))
    }

    /// Up to `quantity` of the next units, from at most `ranges_max` ranges, not yet taken.
    #[must_use]
    pub fn peek_up_to(&self, quantity: u32, ranges_max: usize) -> Units {
        let mut left = quantity;
        let mut units = Units::new();
        for range in self.ranges.iter().rev().take(ranges_max) {
            if left == 0 {
                break;
            }
            let len = left.min(range.len);
            units.push(UnitRange {
                first: range.first,
                len,
            });
            left -= len;
        }
        units
    }

    /// Takes exactly these units; `false`, and nothing taken, if one of them isn't free.
    #[must_use]
    pub fn take(&mut self, units: &[UnitRange]) -> bool {
        for (done, range) in units.iter().enumerate() {
            if !self.take_range(*range) {
                for undo in units[..done].iter().rev() {
                    self.put_range(*undo);
                }
                return false;
            }
        }
        true
    }

    /// Gives units back, to be sold next.
    pub fn put(&mut self, units: &[UnitRange]) {
        for range in units.iter().rev() {
            self.put_range(*range);
        }
    }

    fn put_range(&mut self, range: UnitRange) {
        self.count += range.len;
        match self.ranges.last_mut() {
            Some(top) if range.end() == top.first => {
                top.first = range.first;
                top.len += range.len;
            }
            _ => self.ranges.push(range),
        }
    }

    fn take_range(&mut self, want: UnitRange) -> bool {
        let holds = |r: &UnitRange| r.first <= want.first && want.end() <= r.end();
        // Replay takes what `peek` showed, the top of the stack; the search is for a foreign history.
        let Some(at) = self.ranges.iter().rposition(holds) else {
            return false;
        };
        let range = self.ranges[at];
        let before = UnitRange {
            first: range.first,
            len: want.first - range.first,
        };
        let after = UnitRange {
            first: want.end(),
            len: range.end() - want.end(),
        };
        self.count -= want.len;
        match (before.len, after.len) {
            (0, 0) => drop(self.ranges.remove(at)),
            (0, _) => self.ranges[at] = after,
            (_, 0) => self.ranges[at] = before,
            _ => {
                self.ranges[at] = before;
                self.ranges.insert(at + 1, after);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_cover_the_stock_without_overlap() {
        for (stock, shards) in [(1, 8), (10, 3), (100_000, 64), (7, 7)] {
            let mut next = 0;
            for shard in 0..shards {
                let range = share(stock, shard, shards);
                assert_eq!(range.first, next);
                next = range.end();
            }
            assert_eq!(next, stock);
        }
    }

    #[test]
    fn a_unit_that_is_not_free_is_not_taken() {
        let mut free = FreeUnits::default();
        free.put(&[UnitRange { first: 0, len: 4 }]);
        assert!(free.take(&[UnitRange { first: 1, len: 2 }]));
        let before = free.clone();
        assert!(!free.take(&[UnitRange { first: 0, len: 1 }, UnitRange { first: 2, len: 1 }]));
        assert_eq!(free.count(), before.count());
    }

    proptest! {
        #[test]
        fn what_is_taken_and_put_back_always_adds_up(steps in prop::collection::vec((0u32..5, any::<bool>()), 1..200)) {
            let mut free = FreeUnits::default();
            free.put(&[UnitRange { first: 0, len: 50 }]);
            let mut held: Vec<Units> = Vec::new();
            for (quantity, take) in steps {
                if take {
                    if let Some(units) = free.peek(quantity) {
                        prop_assert!(free.take(&units));
                        held.push(units);
                    }
                } else if let Some(units) = held.pop() {
                    free.put(&units);
                }
                let mut all: Vec<u32> = free.ranges().iter().flat_map(|r| r.iter()).collect();
                prop_assert_eq!(all.len() as u32, free.count());
                all.extend(held.iter().flatten().flat_map(|r| r.iter()));
                all.sort_unstable();
                prop_assert_eq!(all, (0..50).collect::<Vec<_>>());
            }
        }
    }
}
