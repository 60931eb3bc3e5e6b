//! Attempts that wait at a gateway for units of other shards to come to their buyers' shard.

use flashsale_core::attempt::Attempt;
use flashsale_core::ids::{ItemIx, ShardId};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// An attempt waits for at most so long; then its buyer is told to come back. Well below what a gateway waits for an
/// answer, so that nobody who got nothing is told that this isn't known.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);
/// At most so many wait per shard.
const WAITING_MAX: usize = 50_000;

/// How many units are waited for, by shard and item: written by the callers, read by the planner.
#[derive(Debug)]
pub(crate) struct Wanted {
    items: usize,
    units: Vec<AtomicU32>,
}

impl Wanted {
    /// Nothing is waited for.
    pub(crate) fn new(shards: u16, items: usize) -> Self {
        let cells = usize::from(shards) * items;
        Self {
            items,
            units: (0..cells).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn cell(&self, shard: ShardId, item: ItemIx) -> &AtomicU32 {
        &self.units[shard.ix() * self.items + item.ix()]
    }

    /// How many units of `item` are waited for in `shard`.
    pub(crate) fn units(&self, shard: ShardId, item: ItemIx) -> u32 {
        self.cell(shard, item).load(Ordering::Relaxed)
    }

    /// From now on so many are.
    pub(crate) fn set(&self, shard: ShardId, item: ItemIx, units: u32) {
        self.cell(shard, item).store(units, Ordering::Relaxed);
    }
}

/// Those who wait in one shard.
#[derive(Debug)]
pub(super) struct Waits {
    shard: ShardId,
    lanes: Vec<Lane>,
    len: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(Attempt, Instant)>,
    wanted: u32,
}

/// What is to be done with one who has waited.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Units may be here: call the shard again.
    Call(Attempt),
    /// There are none anywhere.
    SoldOut(Attempt),
    /// It has taken too long.
    Late(Attempt),
}

impl Waits {
    pub(super) fn new(shard: ShardId, items: usize) -> Self {
        Self {
            shard,
            lanes: (0..items).map(|_| Lane::default()).collect(),
            len: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes an attempt in; gives it back if too many wait.
    pub(super) fn push(&mut self, attempt: Attempt, since: Instant, wanted: &Wanted) -> Result<(), Attempt> {
        if self.len >= WAITING_MAX {
            return Err(attempt);
        }
        let (item, lane) = (attempt.item, &mut self.lanes[attempt.item.ix()]);
        lane.wanted += attempt.quantity;
        lane.waiting.push_back((attempt, since));
        self.len += 1;
        wanted.set(self.shard, item, lane.wanted);
        Ok(())
    }

    /// Whose turn it is: `here(item)` units are free in this shard, `anywhere(item)` in all; `None` if nobody knows.
    pub(super) fn turns(
        &mut self,
        now: Instant,
        wanted: &Wanted,
        here: impl Fn(ItemIx) -> u32,
        anywhere: impl Fn(ItemIx) -> Option<u32>,
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (item, lane) in (0..).map(ItemIx).zip(&mut self.lanes) {
            if lane.waiting.is_empty() {
                continue;
            }
            let (mut free, all) = (here(item), anywhere(item));
            let before = lane.waiting.len();
            while let Some((attempt, since)) = lane.waiting.front() {
                let quantity = attempt.quantity;
                let turn: fn(Attempt) -> Turn = if free >= quantity {
                    free -= quantity;
                    Turn::Call
                } else if all.is_some_and(|units| units < quantity) {
                    Turn::SoldOut
                } else if now.saturating_duration_since(*since) > WAIT_MAX {
                    Turn::Late
                } else {
                    break;
                };
                if let Some((attempt, _)) = lane.waiting.pop_front() {
                    lane.wanted -= quantity;
                    turns.push(turn(attempt));
                }
            }
            self.len -= before - lane.waiting.len();
            wanted.set(self.shard, item, lane.wanted);
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_core::ids::BuyerKey;

    const ITEM: ItemIx = ItemIx(0);
    const SHARD: ShardId = ShardId(1);

    fn attempt(token: u64, quantity: u32) -> Attempt {
        Attempt {
            token,
            buyer: BuyerKey(u128::from(token)),
            buyer_id: "buyer".into(),
            item: ITEM,
            quantity,
            key: None,
        }
    }

    fn three_waiting() -> (Waits, Wanted, Instant) {
        let (mut waits, wanted, now) = (Waits::new(SHARD, 1), Wanted::new(2, 1), Instant::now());
        for (token, quantity) in [(1, 1), (2, 2), (3, 1)] {
            waits.push(attempt(token, quantity), now, &wanted).unwrap();
        }
        (waits, wanted, now)
    }

    #[test]
    fn those_who_wait_are_called_in_order_as_far_as_units_came() {
        let (mut waits, wanted, now) = three_waiting();
        assert_eq!(wanted.units(SHARD, ITEM), 4);
        let turns = waits.turns(now, &wanted, |_| 2, |_| None);
        assert_eq!(turns, [Turn::Call(attempt(1, 1))]);
        assert_eq!(wanted.units(SHARD, ITEM), 3);
    }

    #[test]
    fn nobody_is_told_sold_out_while_enough_units_are_somewhere_or_nobody_knows() {
        let (mut waits, wanted, now) = three_waiting();
        assert_eq!(waits.turns(now, &wanted, |_| 0, |_| None), []);
        assert_eq!(waits.turns(now, &wanted, |_| 0, |_| Some(2)), []);
        let turns = waits.turns(now, &wanted, |_| 0, |_| Some(0));
        assert!(turns.iter().all(|turn| matches!(turn, Turn::SoldOut(_))));
        assert_eq!(
            (turns.len(), waits.is_empty(), wanted.units(SHARD, ITEM)),
            (3, true, 0)
        );
    }

    #[test]
    fn whoever_waited_too_long_is_told_to_come_back() {
        let (mut waits, wanted, now) = three_waiting();
        let late = now + WAIT_MAX * 2;
        let turns = waits.turns(late, &wanted, |_| 0, |_| None);
        assert!(turns.iter().all(|turn| matches!(turn, Turn::Late(_))) && turns.len() == 3);
    }
}
