//! What a shard says of itself to others, and what follows from all shards' views together.
//!
//! Views of different shards are taken at different times. What is reckoned here holds all the same: a unit on its
//! way is counted until the recipient's view shows that it came in, never twice and never not at all.

use crate::event::TicketNo;
use crate::ids::{Epoch, ItemIx, Millis, Seq, ShardId};
use crate::owner::{Owner, Phase, Progress};
use crate::transfer::Situation;
use crate::units;
use serde::{Deserialize, Serialize};

/// The last transfer that left a shard for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// The recipient.
    pub to: ShardId,
    /// The number of its `TransferOut`.
    pub number: Seq,
    /// Of which item.
    pub item: ItemIx,
    /// How many units.
    pub units: u32,
}

/// One shard at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardView {
    /// Where its owner stands.
    pub phase: Phase,
    /// How far it is.
    pub progress: Progress,
    /// When the shard takes no purchases any more.
    pub closes: Millis,
    /// Free units, by item.
    pub free: Vec<u32>,
    /// Reservations ever made, by item: the shard's part of the places given out.
    pub reservations: Vec<u32>,
    /// The last transfer to each shard that got one.
    pub leaving: Vec<Leaving>,
    /// Of each shard that sent units: the number of the last transfer taken.
    pub taken: Vec<(ShardId, Seq)>,
}

impl ShardView {
    /// A shard of a sale of `items` items that nobody owns yet.
    #[must_use]
    pub fn unowned(items: usize) -> Self {
        Self {
            phase: Phase::Fencing,
            progress: Progress {
                epoch: Epoch(0),
                promised: 0,
                applied: 0,
                next: 1,
                excludes_before: Epoch(0),
                segments: Vec::new(),
            },
            closes: 0,
            free: vec![0; items],
            reservations: vec![0; items],
            leaving: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// What `owner` shows now, of a sale of `items` items.
    #[must_use]
    pub fn of(owner: &Owner, items: usize) -> Self {
        let engine = owner.engine();
        let each = || (0..items).map(|i| ItemIx(i as u16));
        let leaving = engine.outgoing().iter().map(|(&to, transfer)| Leaving {
            to,
            number: transfer.number,
            item: transfer.item,
            units: units::count(&transfer.units),
        });
        Self {
            phase: owner.phase(),
            progress: owner.progress(),
            closes: engine.rules().closes,
            free: each().map(|item| engine.free(item)).collect(),
            reservations: each().map(|item| engine.reservations(item)).collect(),
            leaving: leaving.collect(),
            taken: engine.all_incoming().collect(),
        }
    }

    /// Whether purchases are taken.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Bypass)
    }

    /// Free units over all items.
    #[must_use]
    pub fn free_total(&self) -> u64 {
        self.free.iter().map(|&units| u64::from(units)).sum()
    }

    /// Whether this very ticket is among those that are promised.
    #[must_use]
    pub fn promises(&self, ticket: TicketNo) -> bool {
        ticket.n <= self.progress.promised
            && crate::fold::made_of(&self.progress.segments, ticket.n) == Some(ticket.made)
    }

    fn has_taken(&self, from: ShardId, number: Seq) -> bool {
        self.taken
            .iter()
            .any(|&(shard, taken)| shard == from && number <= taken)
    }
}

/// Units of `item` on their way, as (recipient, units); `views` are in order of shard.
pub fn on_their_way<'v, V: AsRef<ShardView>>(
    views: &'v [V],
    item: ItemIx,
) -> impl Iterator<Item = (ShardId, u32)> + 'v {
    let donors = (0..).map(ShardId).zip(views);
    donors.flat_map(move |(from, donor)| {
        let leaving = donor.as_ref().leaving.iter().filter(move |l| l.item == item);
        leaving
            .filter(move |l| {
                let recipient = views.get(l.to.ix());
                recipient.is_some_and(|view| !view.as_ref().has_taken(from, l.number))
            })
            .map(|l| (l.to, l.units))
    })
}

/// How many units of `item` are free or on their way, an upper bound; `None` while a shard isn't open, since nobody
/// knows then.
#[must_use]
pub fn available<V: AsRef<ShardView>>(views: &[V], item: ItemIx) -> Option<u32> {
    let free = views.iter().try_fold(0_u32, |sum, view| {
        let view = view.as_ref();
        view.takes()
            .then(|| sum + view.free.get(item.ix()).copied().unwrap_or(0))
    })?;
    Some(free + on_their_way(views, item).map(|(_, units)| units).sum::<u32>())
}

/// Each shard's situation for `item`, of which `wanted(shard)` units are waited for there.
#[must_use]
pub fn situations<V: AsRef<ShardView>>(
    views: &[V],
    item: ItemIx,
    wanted: impl Fn(ShardId) -> u32,
) -> Vec<Situation> {
    let shards = (0..).map(ShardId).zip(views);
    let mut situations: Vec<Situation> = shards
        .map(|(shard, view)| {
            let view = view.as_ref();
            let free = if view.takes() {
                view.free.get(item.ix()).copied().unwrap_or(0)
            } else {
                0
            };
            Situation {
                free,
                wanted: wanted(shard),
                arriving: 0,
            }
        })
        .collect();
    for (to, units) in on_their_way(views, item) {
        situations[to.ix()].arriving += units;
    }
    situations
}

/// How many places of `item` other shards than `shard` have given out.
#[must_use]
pub fn places_elsewhere<V: AsRef<ShardView>>(views: &[V], shard: ShardId, item: ItemIx) -> u32 {
    let others = (0..).map(ShardId).zip(views).filter(|(other, _)| *other != shard);
    others
        .map(|(_, view)| view.as_ref().reservations.get(item.ix()).copied().unwrap_or(0))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: ItemIx = ItemIx(0);

    fn open(free: u32) -> Box<ShardView> {
        Box::new(ShardView {
            phase: Phase::Open,
            free: vec![free],
            ..ShardView::unowned(1)
        })
    }

    fn leaving(to: u16, number: Seq, units: u32) -> Leaving {
        Leaving {
            to: ShardId(to),
            number,
            item: ITEM,
            units,
        }
    }

    #[test]
    fn nobody_knows_what_is_available_while_a_shard_is_closed() {
        let closed = Box::new(ShardView::unowned(1));
        assert_eq!(available(&[open(3), closed], ITEM), None);
        assert_eq!(available(&[open(3), open(4)], ITEM), Some(7));
    }

    #[test]
    fn a_unit_on_its_way_counts_whichever_view_is_older() {
        let (mut donor, mut recipient) = (open(0), open(0));
        // The donor's view is newer: the unit has left, and the recipient's view doesn't show it.
        donor.leaving.push(leaving(1, 7, 2));
        assert_eq!(available(&[donor.clone(), recipient.clone()], ITEM), Some(2));
        // The recipient's view is as new.
        recipient.taken.push((ShardId(0), 7));
        recipient.free[0] = 2;
        assert_eq!(available(&[donor, recipient.clone()], ITEM), Some(2));
        // The donor's view is older: nothing had left, so the units are counted there and here, never less.
        assert_eq!(available(&[open(2), recipient], ITEM), Some(4));
    }

    #[test]
    fn what_arrives_belongs_to_the_recipients_situation() {
        let mut donor = open(5);
        donor.leaving.push(leaving(1, 3, 4));
        let all = situations(&[donor, open(0)], ITEM, |shard| u32::from(shard.0) * 9);
        assert_eq!((all[0].free, all[0].wanted, all[0].arriving), (5, 0, 0));
        assert_eq!((all[1].free, all[1].wanted, all[1].arriving), (0, 9, 4));
    }
}
