//! A shard's state in a form that can be compared, wherever it comes from.

use flashsale_core::engine::{Engine, Outgoing, Rules};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{BuyerKey, ItemIx, RequestKey, Seq, ShardId};
use flashsale_core::units::{UnitRange, Units};
use std::collections::{BTreeMap, BTreeSet};

/// A reservation, released or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its ticket.
    pub ticket: TicketNo,
    /// Whose.
    pub buyer: BuyerKey,
    /// Of which item.
    pub item: ItemIx,
    /// Which units.
    pub units: Units,
    /// Its place in the item's queue.
    pub place: u32,
    /// Whether it still holds its units.
    pub live: bool,
    /// The first half of its request key, if it had one: as much as a shard on Redis keeps.
    pub key: Option<u64>,
}

/// One item's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Free ranges, the next one to be sold last.
    pub ranges: Vec<UnitRange>,
    /// Free units.
    pub free: u32,
    /// Reservations ever made.
    pub reservations: u32,
}

/// A shard's whole state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The number of its last event.
    pub n: Seq,
    /// Its rules.
    pub rules: Rules,
    /// Per item.
    pub stock: Vec<Stock>,
    /// Every reservation ever made, in order of number.
    pub kept: Vec<Kept>,
    /// What buyers hold: how many units, and by which reservation last.
    pub held: BTreeMap<(BuyerKey, ItemIx), (u32, Seq)>,
    /// Who is registered.
    pub registered: BTreeSet<BuyerKey>,
    /// Loads that came in, with their events' numbers.
    pub loads: BTreeMap<(u32, ItemIx), Seq>,
    /// The last transfer to each shard.
    pub outgoing: BTreeMap<ShardId, Outgoing>,
    /// The last transfer from each shard: the donor's number, and the own.
    pub incoming: BTreeMap<ShardId, (Seq, Seq)>,
}

/// As much of a request key as a shard on Redis keeps. The buyer is part of the key's hash, and keys are looked for among one buyer's
/// reservations only, so 64 bits are plenty.
pub(crate) fn fingerprint(key: RequestKey) -> u64 {
    (key.0 >> 64) as u64
}

impl From<&Engine> for State {
    fn from(engine: &Engine) -> Self {
        let keys: BTreeMap<Seq, RequestKey> = engine.request_keys().map(|(key, n)| (n, key)).collect();
        let kept = engine.kept().map(|kept| Kept {
            ticket: kept.ticket,
            buyer: kept.buyer,
            item: kept.item,
            units: kept.units.clone(),
            place: kept.place,
            live: kept.live,
            key: keys.get(&kept.ticket.n).copied().map(fingerprint),
        });
        let items = (0..engine.rules().limits.len() as u16).map(ItemIx);
        let stock = items.map(|item| Stock {
            ranges: engine.free_ranges(item).to_vec(),
            free: engine.free(item),
            reservations: engine.reservations(item),
        });
        Self {
            n: engine.len(),
            rules: engine.rules().clone(),
            stock: stock.collect(),
            kept: kept.collect(),
            held: engine.held().collect(),
            registered: engine.registered().collect(),
            loads: engine.loads().collect(),
            outgoing: engine.outgoing().clone(),
            incoming: engine.taken_from().collect(),
        }
    }
}
