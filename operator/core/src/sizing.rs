//! How much is run: shards, gateways and workers from the stock, within the class' limits.

use crate::api::{FlashSaleClassSpec, FlashSaleSpec, Room};
use serde::{Deserialize, Serialize};

/// Units of stock for each shard at most, unless limits or the sale say otherwise. A shard takes tens of thousands of
/// purchases a second, so this is about how long a takeover reads: some hundred thousand events.
const UNITS_PER_SHARD: u64 = 50_000;
/// Most shards that are planned where the class sets no limit.
const SHARDS_MAX: u64 = 16;
/// Calls a second for each unit of stock at the opening: 80 % is gone within ten seconds, and five buyers want each unit.
const CALLS_PER_UNIT_PERCENT: u64 = 40;
/// Calls a second that one gateway is planned for; it takes several times as many.
const CALLS_PER_GATEWAY: u64 = 10_000;
/// Gateways of each room at the least, so that one can be lost.
const GATEWAYS_MIN: u64 = 2;
/// Most gateways that are planned for each room where the class sets no limit.
const GATEWAYS_MAX: u64 = 20;
/// The name of the only room of a class without rooms.
const ONLY_ROOM: &str = "main";

/// How much is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// Shards in all.
    pub shards: u16,
    /// The rooms, each with its part of the shards.
    pub rooms: Vec<RoomSize>,
    /// Gateways in each room.
    pub gateways: i32,
    /// Why so many, in one sentence.
    pub reason: String,
}

/// A room's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSize {
    /// Its name in the class.
    pub name: String,
    /// The zone of its nodes, if the class has rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its first shard.
    pub first: u16,
    /// How many shards.
    pub shards: u16,
}

impl RoomSize {
    /// The numbers of its shards.
    pub fn numbers(&self) -> std::ops::Range<u16> {
        self.first..self.first + self.shards
    }
}

impl Sizes {
    /// The room of a shard.
    #[must_use]
    pub fn room_of(&self, shard: u16) -> Option<&RoomSize> {
        self.rooms.iter().find(|room| room.numbers().contains(&shard))
    }
}

/// What is planned for a sale with this much stock. The sale's own numbers, which `spec` has with the class' defaults, win.
///
/// # Errors
/// The rooms that the sale names, of which the class has none.
pub fn sizes(spec: &FlashSaleSpec, class: &FlashSaleClassSpec, stock: u64) -> Result<Sizes, String> {
    let plane = spec.data_plane.clone().unwrap_or_default();
    let limits = class.limits.clone().unwrap_or_default();
    let rooms = rooms(plane.rooms.as_deref(), &class.rooms)?;
    let count = rooms.len() as u64;
    let limit =
        |limit: Option<i32>, otherwise: u64| limit.and_then(|l| u64::try_from(l).ok()).unwrap_or(otherwise);
    let planned = stock
        .div_ceil(UNITS_PER_SHARD)
        .max(count)
        .min(limit(limits.shards, SHARDS_MAX))
        .min(stock.max(1));
    let shards = plane
        .shards
        .and_then(|shards| u64::try_from(shards).ok())
        .unwrap_or(planned);
    let shards = u16::try_from(shards).unwrap_or(u16::MAX);
    let calls = stock.saturating_mul(CALLS_PER_UNIT_PERCENT) / 100;
    let gateways = calls
        .div_ceil(CALLS_PER_GATEWAY)
        .div_ceil(count)
        .max(GATEWAYS_MIN);
    let gateways = gateways.min(limit(limits.gateways, GATEWAYS_MAX));
    let own = plane.gateways.as_ref().and_then(|gateways| gateways.replicas);
    let gateways = own.unwrap_or_else(|| i32::try_from(gateways).unwrap_or(i32::MAX));
    let reason = format!(
        "{stock} units over {count} room{}: {shards} shard{} ({}), {gateways} gateway{} in each room ({}), for {calls} calls a second at the opening",
        if count == 1 { "" } else { "s" },
        if shards == 1 { "" } else { "s" },
        if plane.shards.is_some() {
            "as set".to_owned()
        } else {
            format!("one for each {UNITS_PER_SHARD} units, one a room at least")
        },
        if gateways == 1 { "" } else { "s" },
        if own.is_some() {
            "as set".to_owned()
        } else {
            format!("one for each {CALLS_PER_GATEWAY} calls a second, {GATEWAYS_MIN} at least")
        },
    );
    Ok(Sizes {
        shards,
        rooms: spread(shards, &rooms),
        gateways,
        reason,
    })
}

fn rooms(wanted: Option<&[String]>, all: &[Room]) -> Result<Vec<Room>, String> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        let only = Room {
            name: ONLY_ROOM.to_owned(),
            zone: String::new(),
            weight: None,
        };
        return Ok(if all.is_empty() { vec![only] } else { all.to_vec() });
    };
    if let Some(unknown) = wanted
        .iter()
        .find(|name| all.iter().all(|room| room.name != **name))
    {
        let known: Vec<&str> = all.iter().map(|room| room.name.as_str()).collect();
        return Err(format!(
            "spec.dataPlane.rooms: the class has no room \"{unknown}\"; its rooms are {}",
            known.join(", ")
        ));
    }
    Ok(all
        .iter()
        .filter(|room| wanted.contains(&room.name))
        .cloned()
        .collect())
}

/// Shards over rooms by weight; what doesn't divide goes to the rooms with the largest remainders, the first of equals first.
/// Rooms that get none are left out.
fn spread(shards: u16, rooms: &[Room]) -> Vec<RoomSize> {
    let weight = |room: &Room| u64::try_from(room.weight.unwrap_or(1).max(1)).unwrap_or(1);
    let total: u64 = rooms.iter().map(weight).sum();
    let all = u64::from(shards);
    let mut parts: Vec<u64> = rooms.iter().map(|room| all * weight(room) / total).collect();
    let mut order: Vec<usize> = (0..rooms.len()).collect();
    order.sort_by_key(|&ix| (std::cmp::Reverse(all * weight(&rooms[ix]) % total), ix));
    let mut left = all - parts.iter().sum::<u64>();
    for ix in order {
        if left > 0 {
            parts[ix] += 1;
            left -= 1;
        }
    }
    let mut first = 0;
    let mut sized = Vec::new();
    for (room, part) in rooms.iter().zip(parts) {
        let shards = u16::try_from(part).unwrap_or(u16::MAX);
        if shards > 0 {
            let zone = Some(room.zone.clone()).filter(|zone| !zone.is_empty());
            sized.push(RoomSize {
                name: room.name.clone(),
                zone,
                first,
                shards,
            });
            first += shards;
        }
    }
    sized
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str, weight: i32) -> Room {
        Room {
            name: name.to_owned(),
            zone: format!("zone-{name}"),
            weight: Some(weight),
        }
    }

    #[test]
    fn shards_run_on_over_the_rooms_and_none_is_lost() {
        for shards in 1..=128 {
            for rooms in [
                vec![room("a", 1)],
                vec![room("a", 1), room("b", 1)],
                vec![room("a", 3), room("b", 2), room("c", 100)],
            ] {
                let sized = spread(shards, &rooms);
                let numbers: Vec<u16> = sized.iter().flat_map(RoomSize::numbers).collect();
                assert_eq!(numbers, (0..shards).collect::<Vec<_>>());
            }
        }
        let sized = spread(5, &[room("a", 2), room("b", 1)]);
        assert_eq!((sized[0].shards, sized[1].shards, sized[1].first), (3, 2, 3));
    }
}
