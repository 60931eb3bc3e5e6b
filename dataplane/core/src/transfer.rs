//! Which shard sends units to which, so that no buyer is told "sold out" while another shard has some.

use crate::ids::{ItemIx, ShardId};

/// One shard's situation for one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Free units.
    pub free: u32,
    /// Units that buyers are waiting for here.
    pub wanted: u32,
    /// Units on their way to this shard.
    pub arriving: u32,
}

/// A transfer worth making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who sends.
    pub donor: ShardId,
    /// Who receives.
    pub to: ShardId,
    /// Of which item.
    pub item: ItemIx,
    /// How many units.
    pub units: u32,
}

/// The transfers that serve waiting buyers of `item`.
///
/// A donor keeps what its own waiting buyers want and, while it has plenty, half of the rest: its next
/// buyer is served at once, and a hot shard still gets everything within a few rounds. When nobody has
/// anything to spare, units may lie scattered among shards whose buyers each want more than is there:
/// then the shard that has most gets the others' units, so that somebody is served. To be called when
/// no waiting buyer can be served with the units that are where they are.
#[must_use]
pub fn plan(item: ItemIx, shards: &[Situation]) -> Vec<Ask> {
    let mut spare: Vec<u32> = shards.iter().map(|s| s.free.saturating_sub(s.wanted)).collect();
    let mut asks = Vec::new();
    for (to, situation) in shards.iter().enumerate() {
        let mut need = situation
            .wanted
            .saturating_sub(situation.free + situation.arriving);
        let donors = spare.iter().filter(|&&s| s > 0).count() as u32;
        if need == 0 || donors == 0 {
            continue;
        }
        let fair = need.div_ceil(donors);
        for (donor, spare) in spare.iter_mut().enumerate() {
            let units = spare.div_ceil(2).min(fair).min(need);
            if donor == to || units == 0 {
                continue;
            }
            *spare -= units;
            need -= units;
            asks.push(Ask {
                donor: ShardId(donor as u16),
                to: ShardId(to as u16),
                item,
                units,
            });
        }
    }
    if asks.is_empty() {
        asks = gather(item, shards);
    }
    asks
}

/// All scattered units to the waiting shard that has most already, unless some are on their way.
fn gather(item: ItemIx, shards: &[Situation]) -> Vec<Ask> {
    let waiting = (0..shards.len()).filter(|&s| shards[s].wanted > 0);
    let most = waiting.max_by_key(|&s| (shards[s].free, std::cmp::Reverse(s)));
    let Some(to) = most.filter(|_| shards.iter().all(|s| s.arriving == 0)) else {
        return Vec::new();
    };
    let donors = (0..shards.len()).filter(|&s| s != to && shards[s].free > 0);
    donors
        .map(|donor| Ask {
            donor: ShardId(donor as u16),
            to: ShardId(to as u16),
            item,
            units: shards[donor].free,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(free: u32, wanted: u32) -> Situation {
        Situation {
            free,
            wanted,
            arriving: 0,
        }
    }

    #[test]
    fn an_empty_shard_with_waiting_buyers_gets_units_from_all_that_have_some() {
        let asks = plan(ItemIx(0), &[shard(0, 10), shard(4, 0), shard(100, 0)]);
        assert_eq!(asks.iter().map(|a| a.units).collect::<Vec<_>>(), [2, 5]);
        assert!(asks.iter().all(|a| a.to == ShardId(0)));
    }

    #[test]
    fn the_last_unit_moves() {
        assert_eq!(plan(ItemIx(0), &[shard(0, 3), shard(1, 0)])[0].units, 1);
    }

    #[test]
    fn a_donor_keeps_what_its_own_buyers_wait_for() {
        let asks = plan(ItemIx(0), &[shard(0, 3), shard(1, 1), shard(2, 0)]);
        assert_eq!(asks.iter().map(|a| a.donor).collect::<Vec<_>>(), [ShardId(2)]);
    }

    #[test]
    fn units_scattered_among_shards_whose_buyers_want_more_each_are_gathered() {
        let asks = plan(ItemIx(0), &[shard(1, 2), shard(1, 3), shard(1, 2)]);
        let moved: Vec<_> = asks.iter().map(|a| (a.donor.0, a.to.0, a.units)).collect();
        assert_eq!(moved, [(1, 0, 1), (2, 0, 1)]);
    }

    #[test]
    fn nothing_is_gathered_while_units_are_on_their_way() {
        let arriving = Situation {
            free: 1,
            wanted: 2,
            arriving: 1,
        };
        assert!(plan(ItemIx(0), &[arriving, shard(1, 2)]).is_empty());
    }

    #[test]
    fn what_is_on_its_way_is_not_asked_for_again() {
        let arriving = Situation {
            free: 0,
            wanted: 3,
            arriving: 3,
        };
        assert!(plan(ItemIx(0), &[arriving, shard(9, 0)]).is_empty());
    }
}
