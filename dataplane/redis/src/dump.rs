//! From the contents of the shard's keys back to a comparable state. Everything is followed the way the functions follow it (index,
//! chain, records), so that an entry that can't be found is missed here, too.

use crate::layout::{CHUNK, Index, KEYED, LIVE, OVERFLOW, RECORD, REGISTERED, RESERVED, Reader, Record};
use crate::state::{Kept, State, Stock};
use flashsale_core::engine::{Outgoing, Rules};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Seq, ShardId};
use flashsale_core::units::{self, UnitRange};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A hash as Redis gives it.
pub(crate) type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// The raw contents of a shard's keys.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub meta: Fields,
    pub records: Vec<u8>,
    pub index: Fields,
    pub overflow: Fields,
    pub free: Vec<Vec<Vec<u8>>>,
    pub loads: Fields,
    pub outs: Fields,
    pub ins: Fields,
}

/// How many strings the records of `n` events lie in.
pub(crate) fn chunks(n: Seq) -> Seq {
    n.div_ceil(CHUNK as Seq)
}

/// A field of meta as a number.
pub(crate) fn field<T: std::str::FromStr>(meta: &Fields, name: &str) -> Result<T, String> {
    let found = meta
        .get(name.as_bytes())
        .ok_or_else(|| format!("meta has no field {name}"))?;
    parse(found)
}

fn parse<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, String> {
    let text = String::from_utf8_lossy(bytes);
    text.parse().map_err(|_| format!("{text:?} isn't a number"))
}

/// The state in `raw`; what is inconsistent in it otherwise.
pub(crate) fn state(raw: Raw) -> Result<State, String> {
    let n: Seq = field(&raw.meta, "n")?;
    let items: u16 = field(&raw.meta, "items")?;
    let (limits, stock) = stocks(&raw, items)?;
    let records = records(&raw.records, n)?;
    let (kept, registered) = kept(&records, &raw.overflow)?;
    let held = held(
        &records,
        &kept,
        &Index::of(raw.index, field(&raw.meta, "buckets")?),
        &raw.meta,
    )?;
    if registered.len() != field::<usize>(&raw.meta, "registered")? {
        return Err("meta counts other registrations than there are".into());
    }
    Ok(State {
        n,
        rules: Rules {
            opens: field(&raw.meta, "opens")?,
            closes: field(&raw.meta, "closes")?,
            limits,
            registered_only: field::<u8>(&raw.meta, "registered_only")? == 1,
            registrations_max: field(&raw.meta, "registrations_max")?,
        },
        stock,
        kept,
        held,
        registered,
        loads: loads(&raw.loads)?,
        outgoing: outgoing(&raw.outs)?,
        incoming: incoming(&raw.ins)?,
    })
}

fn stocks(raw: &Raw, items: u16) -> Result<(Vec<u32>, Vec<Stock>), String> {
    let mut limits = Vec::new();
    let mut stock = Vec::new();
    for item in 0..items {
        let bytes = raw
            .meta
            .get(format!("i{item}").as_bytes())
            .ok_or("an item is missing")?;
        let mut reader = Reader(bytes);
        let mut next = || reader.u32().ok_or("an item's field is too short");
        limits.push(next()?);
        let (free, reservations) = (next()?, next()?);
        let ranges = raw.free.get(usize::from(item)).map_or(&[][..], Vec::as_slice);
        let ranges: Vec<UnitRange> = Reader(&ranges.concat())
            .ranges(None)
            .ok_or("a free range is torn")?;
        stock.push(Stock {
            ranges,
            free,
            reservations,
        });
    }
    let free: u64 = stock.iter().map(|one| u64::from(one.free)).sum();
    if free != field::<u64>(&raw.meta, "free")? {
        return Err("meta counts other free units in all than per item".into());
    }
    Ok((limits, stock))
}

fn records(bytes: &[u8], n: Seq) -> Result<Vec<Record>, String> {
    let mut reader = Reader(bytes);
    let records = (0..n)
        .map(|_| Record::read(&mut reader))
        .collect::<Option<Vec<_>>>();
    let records = records.ok_or_else(|| {
        format!(
            "{} bytes of records for {n} events of {RECORD} bytes",
            bytes.len()
        )
    })?;
    match records.iter().position(|record| record.tail.flags == 0) {
        Some(at) => Err(format!("event {} has no record", at + 1)),
        None => Ok(records),
    }
}

fn kept(records: &[Record], overflow: &Fields) -> Result<(Vec<Kept>, BTreeSet<BuyerKey>), String> {
    let (mut kept, mut registered) = (Vec::new(), BTreeSet::new());
    for (record, n) in records.iter().zip(1..) {
        let tail = &record.tail;
        if tail.flags & REGISTERED != 0 {
            registered.insert(record.buyer);
        }
        if tail.flags & RESERVED == 0 {
            continue;
        }
        let units = if tail.flags & OVERFLOW != 0 {
            let bytes = overflow
                .get(Seq::to_string(&n).as_bytes())
                .ok_or("a reservation's units are missing")?;
            Reader(bytes)
                .ranges(None)
                .ok_or("a reservation's units are torn")?
        } else {
            vec![UnitRange {
                first: tail.first,
                len: u32::from(tail.quantity),
            }]
        };
        kept.push(Kept {
            ticket: TicketNo {
                made: Epoch(tail.made),
                n,
            },
            buyer: record.buyer,
            item: ItemIx(tail.item),
            units: units.into_iter().collect(),
            place: tail.place,
            live: tail.flags & LIVE != 0,
            key: (tail.flags & KEYED != 0).then_some(record.fingerprint),
        });
    }
    Ok((kept, registered))
}

type Held = BTreeMap<(BuyerKey, ItemIx), (u32, Seq)>;

/// What each buyer holds, by their chain from the index.
fn held(records: &[Record], kept: &[Kept], index: &Index, meta: &Fields) -> Result<Held, String> {
    let by_number: HashMap<Seq, &Kept> = kept.iter().map(|kept| (kept.ticket.n, kept)).collect();
    let of_buyers = records
        .iter()
        .filter(|record| record.tail.flags & (RESERVED | REGISTERED) != 0);
    let buyers: BTreeSet<BuyerKey> = of_buyers.clone().map(|record| record.buyer).collect();
    let (mut held, mut linked) = (Held::new(), 0);
    for &buyer in &buyers {
        let is = |n: u32| {
            records
                .get(n as usize - 1)
                .is_some_and(|record| record.buyer == buyer)
        };
        let mut n = index
            .find(buyer, is)
            .ok_or_else(|| format!("the index doesn't find buyer {:032x}", buyer.0))?;
        while n != 0 {
            linked += 1;
            if let Some(kept) = by_number.get(&Seq::from(n)) {
                let last = Seq::from(n);
                let one = held.entry((buyer, kept.item)).or_insert((0, last));
                one.0 += if kept.live { units::count(&kept.units) } else { 0 };
            }
            let prev = records[n as usize - 1].tail.prev;
            if prev >= n {
                return Err(format!(
                    "event {n} has event {prev} as an earlier one of its buyer"
                ));
            }
            n = prev;
        }
    }
    held.retain(|_, (units, _)| *units > 0);
    let counted: u64 = field(meta, "buyers")?;
    if (linked, index.buyers() as u64, counted)
        != (of_buyers.count(), buyers.len() as u64, buyers.len() as u64)
    {
        return Err("the index, the chains and the count of buyers don't fit each other".into());
    }
    Ok(held)
}

fn loads(fields: &Fields) -> Result<BTreeMap<(u32, ItemIx), Seq>, String> {
    fields
        .iter()
        .map(|(key, n)| {
            let text = String::from_utf8_lossy(key);
            let (load, item) = text.split_once(':').ok_or("a load's field has no item")?;
            Ok((
                (parse(load.as_bytes())?, ItemIx(parse(item.as_bytes())?)),
                parse(n)?,
            ))
        })
        .collect()
}

fn outgoing(fields: &Fields) -> Result<BTreeMap<ShardId, Outgoing>, String> {
    let one = |bytes: &[u8]| {
        let mut reader = Reader(bytes);
        Some(Outgoing {
            number: Seq::from(reader.u32()?),
            item: ItemIx(reader.u16()?),
            units: reader.ranges(None)?.into_iter().collect(),
        })
    };
    fields
        .iter()
        .map(|(to, bytes)| Ok((ShardId(parse(to)?), one(bytes).ok_or("a transfer out is torn")?)))
        .collect()
}

fn incoming(fields: &Fields) -> Result<BTreeMap<ShardId, (Seq, Seq)>, String> {
    let one = |bytes: &[u8]| {
        let mut reader = Reader(bytes);
        Some((Seq::from(reader.u32()?), Seq::from(reader.u32()?)))
    };
    fields
        .iter()
        .map(|(from, bytes)| Ok((ShardId(parse(from)?), one(bytes).ok_or("a transfer in is torn")?)))
        .collect()
}
