//! The outbox: from its entries back to exact events.

use crate::layout::Reader;
use crate::wire::kept;
use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Millis, OwnerId, RequestKey, Seq, ShardId};
use flashsale_core::units::UnitRange;
use std::collections::HashMap;

/// What an older owner left in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its epoch.
    pub epoch: Epoch,
    /// Itself.
    pub owner: OwnerId,
    /// The events that its outbox still holds, in order of number.
    pub events: Vec<Event>,
}

/// Reasons travel as their place in this list.
pub(crate) const REASONS: [ReleaseReason; 4] = [
    ReleaseReason::Cancelled,
    ReleaseReason::Unpaid,
    ReleaseReason::Backlog,
    ReleaseReason::Refused,
];

/// A reason's place in [`REASONS`].
pub(crate) fn reason_code(reason: ReleaseReason) -> u8 {
    match reason {
        ReleaseReason::Cancelled => 0,
        ReleaseReason::Unpaid => 1,
        ReleaseReason::Backlog => 2,
        ReleaseReason::Refused => 3,
    }
}

struct Header {
    first: Seq,
    made: Epoch,
    at: Millis,
    count: u64,
}

/// The events of one entry of the outbox, from its fields; `None` if they can't be understood.
#[must_use]
#[expect(
    clippy::implicit_hasher,
    reason = "this is how the client gives an entry's fields"
)]
pub fn decode_entry(fields: &HashMap<String, Vec<u8>>) -> Option<Vec<Event>> {
    let field = |name: &str| fields.get(name).map(Vec::as_slice);
    let mut reader = Reader(field("h")?);
    let header = Header {
        first: Seq::from(reader.u32()?),
        made: Epoch(reader.u32()?),
        at: reader.u64()?,
        count: u64::from(reader.u16()?),
    };
    let kind = field("k")?;
    let changes = if kind == b"p" {
        reserved(&header, field("q")?, field("i")?, field("a")?)?
    } else {
        let mut body = Reader(field("b")?);
        let one = (0..header.count)
            .map(|_| change(kind, &mut body))
            .collect::<Option<Vec<_>>>()?;
        body.0.is_empty().then_some(one)?
    };
    let events = changes.into_iter().zip(header.first..).map(|(change, n)| Event {
        n,
        made: header.made,
        change,
    });
    Some(events.collect())
}

fn reserved(header: &Header, requests: &[u8], ids: &[u8], answers: &[u8]) -> Option<Vec<Change>> {
    let (mut requests, mut ids, mut answers) = (Reader(requests), Reader(ids), Reader(answers));
    (0..header.count)
        .map(|_| {
            let buyer = BuyerKey(requests.u128()?);
            let key = RequestKey(requests.u128()?);
            let item = ItemIx(requests.u16()?);
            let _quantity = requests.u32()?;
            let keyed = requests.u8()? == 1;
            let length = usize::from(requests.u8()?);
            let _taken = answers.u8()?;
            let (tail, units) = kept(&mut answers)?;
            Some(Change::Reserved(Reservation {
                buyer,
                buyer_id: std::str::from_utf8(ids.bytes(length)?).ok()?.into(),
                item,
                units: units.into_iter().collect(),
                key: keyed.then_some(key),
                at: header.at,
                place: tail.place,
            }))
        })
        .collect()
}

fn change(kind: &[u8], body: &mut Reader<'_>) -> Option<Change> {
    Some(match kind {
        b"g" => Change::Registered {
            buyer: BuyerKey(body.u128()?),
        },
        b"l" => Change::Loaded {
            load: body.u32()?,
            item: ItemIx(body.u16()?),
            units: UnitRange {
                first: body.u32()?,
                len: body.u32()?,
            },
        },
        b"s" => Change::Released {
            ticket: TicketNo {
                made: Epoch(body.u32()?),
                n: Seq::from(body.u32()?),
            },
            reason: *REASONS.get(usize::from(body.u8()?))?,
        },
        b"o" => Change::TransferOut {
            to: ShardId(body.u16()?),
            item: ItemIx(body.u16()?),
            units: body.ranges(None)?.into_iter().collect(),
        },
        b"i" => Change::TransferIn {
            from: ShardId(body.u16()?),
            number: Seq::from(body.u32()?),
            item: ItemIx(body.u16()?),
            units: body.ranges(None)?.into_iter().collect(),
        },
        _ => return None,
    })
}
