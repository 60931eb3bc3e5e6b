//! From an engine to the contents of the shard's keys.

use crate::layout::{
    CHUNK, Index, KEYED, LIVE, OVERFLOW, RECORD, REGISTERED, RESERVED, Record, Tail, write_ranges,
};
use crate::state::{State, fingerprint};
use flashsale_core::engine::Engine;
use flashsale_core::ids::{BuyerKey, RequestKey, Seq};
use flashsale_core::units::UnitRange;
use std::collections::{BTreeMap, HashMap};

/// For at most so many registrations to come, the index has room from the start.
const REGISTRATIONS_AHEAD_MAX: u64 = 1 << 16;
/// At most so many values in one write.
const VALUES: usize = 800;

/// One inner command of `fs1_put`: command, key behind the prefix, arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Put {
    pub command: &'static str,
    pub suffix: String,
    pub args: Vec<Vec<u8>>,
}

/// A number that a shard on Redis can't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("number {0} doesn't fit into a shard on Redis, which counts to 4,294,967,295: use more shards")]
pub(crate) struct TooLarge(Seq);

/// All writes that make Redis hold what `engine` holds.
pub(crate) fn puts(engine: &Engine) -> Result<Vec<Put>, TooLarge> {
    let state = State::from(engine);
    u32::try_from(state.n).map_err(|_| TooLarge(state.n))?;
    let (records, overflow) = records(engine, &state)?;
    let mut puts = Vec::new();
    let buyers = heads(&records);
    for (chunk, records) in records.chunks(CHUNK).enumerate() {
        let mut bytes = Vec::with_capacity(CHUNK * RECORD);
        records.iter().for_each(|record| record.write(&mut bytes));
        bytes.resize(CHUNK * RECORD, 0);
        puts.push(put("SET", format!("r:{chunk}"), vec![bytes]));
    }
    let free: u64 = state.stock.iter().map(|stock| u64::from(stock.free)).sum();
    let buckets = index(&buyers, to_come(&state, free), &mut puts);
    for (item, stock) in state.stock.iter().enumerate() {
        let ranges: Vec<_> = stock.ranges.iter().map(|range| write_ranges(&[*range])).collect();
        puts.extend(
            ranges
                .chunks(VALUES)
                .map(|some| put("RPUSH", format!("f:{item}"), some.to_vec())),
        );
    }
    for some in overflow.chunks(VALUES / 2) {
        let args = some
            .iter()
            .flat_map(|(n, ranges)| [digits(n), write_ranges(ranges)]);
        puts.push(put("HSET", "x".into(), args.collect()));
    }
    small(&state, &mut puts)?;
    puts.push(meta(&state, buyers.len(), free, buckets));
    Ok(puts)
}

fn put(command: &'static str, suffix: String, args: Vec<Vec<u8>>) -> Put {
    Put {
        command,
        suffix,
        args,
    }
}

fn digits(number: impl std::fmt::Display) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn number(n: Seq) -> Result<u32, TooLarge> {
    u32::try_from(n).map_err(|_| TooLarge(n))
}

/// How many buyers may come for whom there is room from the start: one per free unit, and registrations.
fn to_come(state: &State, free: u64) -> u64 {
    let registrations =
        u64::from(state.rules.registrations_max).saturating_sub(state.registered.len() as u64);
    let ahead = if state.rules.registered_only {
        registrations.min(REGISTRATIONS_AHEAD_MAX)
    } else {
        0
    };
    free + ahead
}

type Overflow = Vec<(u32, Vec<UnitRange>)>;

/// The records of all events, chained per buyer.
fn records(engine: &Engine, state: &State) -> Result<(Vec<Record>, Overflow), TooLarge> {
    let mut records = vec![Record::OTHER; state.n as usize];
    let mut overflow = Vec::new();
    let keys: HashMap<Seq, RequestKey> = engine.request_keys().map(|(key, n)| (n, key)).collect();
    for kept in &state.kept {
        let n = number(kept.ticket.n)?;
        let key = keys.get(&kept.ticket.n).copied();
        let inline = match kept.units.as_slice() {
            [one] => u8::try_from(one.len).ok().map(|quantity| (one.first, quantity)),
            _ => None,
        };
        if inline.is_none() {
            overflow.push((n, kept.units.to_vec()));
        }
        let (first, quantity) = inline.unwrap_or((0, 0));
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        records[n as usize - 1] = Record {
            buyer: kept.buyer,
            fingerprint: key.map_or(0, fingerprint),
            tail: Tail {
                prev: 0,
                place: kept.place,
                first,
                made: kept.ticket.made.0,
                item: kept.item.0,
                quantity,
                flags: RESERVED
                    | flag(kept.live, LIVE)
                    | flag(key.is_some(), KEYED)
                    | flag(inline.is_none(), OVERFLOW),
            },
        };
    }
    registrations(state, &mut records);
    chain(&mut records);
    Ok((records, overflow))
}

/// An engine doesn't keep which event registered whom, and nothing depends on it: registrations take the records of any events
/// that aren't reservations. There are enough, for each registration was one.
fn registrations(state: &State, records: &mut [Record]) {
    let others = records.iter_mut().filter(|record| **record == Record::OTHER);
    for (record, &buyer) in others.zip(&state.registered) {
        record.buyer = buyer;
        record.tail.flags = REGISTERED;
    }
}

fn chain(records: &mut [Record]) {
    let mut newest: HashMap<BuyerKey, u32> = HashMap::new();
    for (record, n) in records.iter_mut().zip(1..) {
        if record.tail.flags & (RESERVED | REGISTERED) != 0 {
            record.tail.prev = newest.insert(record.buyer, n).unwrap_or(0);
        }
    }
}

/// Each buyer's newest record.
fn heads(records: &[Record]) -> BTreeMap<BuyerKey, u32> {
    let buyers = records
        .iter()
        .zip(1..)
        .filter(|(record, _)| record.tail.flags & (RESERVED | REGISTERED) != 0);
    buyers.map(|(record, n)| (record.buyer, n)).collect()
}

/// The index of these buyers; returns how many buckets it has.
fn index(buyers: &BTreeMap<BuyerKey, u32>, to_come: u64, puts: &mut Vec<Put>) -> u64 {
    let mut index = Index::new(buyers.len() as u64 + to_come);
    for (&buyer, &n) in buyers {
        index.insert(buyer, n);
    }
    let buckets: Vec<_> = index.contents.iter().collect();
    for some in buckets.chunks(VALUES / 2) {
        let args = some
            .iter()
            .flat_map(|(field, content)| [(*field).clone(), (*content).clone()]);
        puts.push(put("HSET", "idx".into(), args.collect()));
    }
    index.buckets()
}

/// Loads and transfers.
fn small(state: &State, puts: &mut Vec<Put>) -> Result<(), TooLarge> {
    for ((load, item), n) in &state.loads {
        puts.push(put(
            "HSET",
            "loads".into(),
            vec![digits(format_args!("{load}:{}", item.0)), digits(n)],
        ));
    }
    for (to, outgoing) in &state.outgoing {
        let mut bytes = number(outgoing.number)?.to_be_bytes().to_vec();
        bytes.extend_from_slice(&outgoing.item.0.to_be_bytes());
        bytes.extend(write_ranges(&outgoing.units));
        puts.push(put("HSET", "outs".into(), vec![digits(to.0), bytes]));
    }
    for (from, (theirs, own)) in &state.incoming {
        let bytes = [number(*theirs)?.to_be_bytes(), number(*own)?.to_be_bytes()].concat();
        puts.push(put("HSET", "ins".into(), vec![digits(from.0), bytes]));
    }
    Ok(())
}

fn meta(state: &State, buyers: usize, free: u64, buckets: u64) -> Put {
    let rules = &state.rules;
    let mut args = Vec::new();
    let mut field = |name: String, value: Vec<u8>| args.extend([name.into_bytes(), value]);
    field("n".into(), digits(state.n));
    field("opens".into(), digits(rules.opens));
    field("closes".into(), digits(rules.closes));
    field("registered_only".into(), digits(u8::from(rules.registered_only)));
    field("registrations_max".into(), digits(rules.registrations_max));
    field("registered".into(), digits(state.registered.len()));
    field("buyers".into(), digits(buyers));
    field("free".into(), digits(free));
    field("buckets".into(), digits(buckets));
    field("items".into(), digits(rules.limits.len()));
    for (item, (limit, stock)) in rules.limits.iter().zip(&state.stock).enumerate() {
        let packed = [*limit, stock.free, stock.reservations]
            .map(u32::to_be_bytes)
            .concat();
        field(format!("i{item}"), packed);
    }
    put("HSET", "meta".into(), args)
}
