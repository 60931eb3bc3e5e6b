//! How a shard lies in Redis: records and the buyers' index, as `lua/records.lua` and `lua/index.lua` have them.

use flashsale_core::ids::BuyerKey;
use flashsale_core::units::UnitRange;
use std::collections::HashMap;

/// Bytes of a record.
pub(crate) const RECORD: usize = 44;
/// Records in one string.
pub(crate) const CHUNK: usize = 186;
/// Bytes of an entry in a bucket of the index.
const ENTRY: usize = 6;
/// The index has at least so many buckets.
const BUCKETS_MIN: u64 = 16;
/// And at most so many.
const BUCKETS_MAX: u64 = 1 << 24;
/// Buyers in a bucket when the index is made.
const FILL: u64 = 20;

pub(crate) const RESERVED: u8 = 1;
pub(crate) const LIVE: u8 = 2;
pub(crate) const KEYED: u8 = 4;
pub(crate) const OVERFLOW: u8 = 8;
pub(crate) const REGISTERED: u8 = 16;
pub(crate) const OTHER: u8 = 32;

/// The last 20 bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    pub prev: u32,
    pub place: u32,
    pub first: u32,
    pub made: u32,
    pub item: u16,
    pub quantity: u8,
    pub flags: u8,
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub buyer: BuyerKey,
    /// The first half of the request key.
    pub fingerprint: u64,
    pub tail: Tail,
}

impl Record {
    /// The record of an event without a buyer.
    pub(crate) const OTHER: Self = Self {
        buyer: BuyerKey(0),
        fingerprint: 0,
        tail: Tail {
            prev: 0,
            place: 0,
            first: 0,
            made: 0,
            item: 0,
            quantity: 0,
            flags: OTHER,
        },
    };

    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        let tail = &self.tail;
        into.extend_from_slice(&self.buyer.0.to_be_bytes());
        into.extend_from_slice(&self.fingerprint.to_be_bytes());
        for number in [tail.prev, tail.place, tail.first, tail.made] {
            into.extend_from_slice(&number.to_be_bytes());
        }
        into.extend_from_slice(&tail.item.to_be_bytes());
        into.extend_from_slice(&[tail.quantity, tail.flags]);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            buyer: BuyerKey(reader.u128()?),
            fingerprint: reader.u64()?,
            tail: Tail::read(reader)?,
        })
    }
}

impl Tail {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            prev: reader.u32()?,
            place: reader.u32()?,
            first: reader.u32()?,
            made: reader.u32()?,
            item: reader.u16()?,
            quantity: reader.u8()?,
            flags: reader.u8()?,
        })
    }
}

/// Reads big-endian integers off bytes; `None` at their end.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&[u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_be_bytes)
    }

    /// `count` ranges, or all that is left.
    pub(crate) fn ranges(&mut self, count: Option<u16>) -> Option<Vec<UnitRange>> {
        let count = count.map_or(self.0.len() / 8, usize::from);
        (0..count)
            .map(|_| {
                Some(UnitRange {
                    first: self.u32()?,
                    len: self.u32()?,
                })
            })
            .collect()
    }
}

/// Ranges as bytes.
pub(crate) fn write_ranges(ranges: &[UnitRange]) -> Vec<u8> {
    ranges
        .iter()
        .flat_map(|r| [r.first.to_be_bytes(), r.len.to_be_bytes()].concat())
        .collect()
}

/// The buyers' index: buckets by field.
#[derive(Debug)]
pub(crate) struct Index {
    /// What is in each bucket.
    pub contents: HashMap<Vec<u8>, Vec<u8>>,
    buckets: u64,
}

impl Index {
    /// An empty index for `buyers`.
    pub(crate) fn new(buyers: u64) -> Self {
        let buckets = (buyers / FILL + 1).next_power_of_two();
        Self {
            contents: HashMap::new(),
            buckets: buckets.clamp(BUCKETS_MIN, BUCKETS_MAX),
        }
    }

    /// The index with these contents.
    pub(crate) fn of(contents: HashMap<Vec<u8>, Vec<u8>>, buckets: u64) -> Self {
        Self { contents, buckets }
    }

    /// How many buckets there may be.
    pub(crate) fn buckets(&self) -> u64 {
        self.buckets
    }

    /// How many buyers are in it.
    pub(crate) fn buyers(&self) -> usize {
        self.contents.values().map(|content| content.len() / ENTRY).sum()
    }

    /// Adds a buyer who isn't in it.
    pub(crate) fn insert(&mut self, buyer: BuyerKey, n: u32) {
        let content = self.contents.entry(self.field(buyer)).or_default();
        content.extend_from_slice(&tag(buyer));
        content.extend_from_slice(&n.to_be_bytes());
    }

    /// The number of the buyer's newest record, which `is` confirms.
    pub(crate) fn find(&self, buyer: BuyerKey, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut reader = Reader(self.contents.get(&self.field(buyer))?);
        while let (Some(tagged), Some(n)) = (reader.take::<2>(), reader.u32()) {
            if tagged == tag(buyer) && is(n) {
                return Some(n);
            }
        }
        None
    }

    /// The last bytes of the key, as many as it takes to tell the buckets apart, and of the first of them only a part.
    fn field(&self, buyer: BuyerKey) -> Vec<u8> {
        let low = buyer.0 as u64 & (self.buckets - 1);
        let width = match self.buckets {
            0..=256 => 1,
            257..=65_536 => 2,
            _ => 3,
        };
        low.to_be_bytes()[8 - width..].to_vec()
    }
}

/// Bytes 11 and 12 of the key, counted from 1.
fn tag(buyer: BuyerKey) -> [u8; 2] {
    ((buyer.0 >> 32) as u16).to_be_bytes()
}
