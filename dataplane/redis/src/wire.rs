//! What goes into `fs1_purchase` and what comes out, byte by byte as `lua/purchase.lua` has it.

use crate::layout::{OVERFLOW, Reader, Tail};
use flashsale_core::attempt::{Answer, Attempt, Refusal, Ticketed, Verdict};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, ItemIx, Millis, Seq};
use flashsale_core::units::{self, UnitRange};

/// At most so many attempts in one call.
pub const ATTEMPTS_MAX: usize = 512;
/// At most so many bytes in a buyer's id.
pub const BUYER_ID_BYTES_MAX: usize = 255;
/// Bytes of one attempt.
pub(crate) const ATTEMPT: usize = 40;

/// The result codes of `lua/shared.lua`.
pub(crate) mod codes {
    pub(crate) const OK: u8 = 0;
    pub(crate) const ABSENT: u8 = 1;
    pub(crate) const WRONG_SALE: u8 = 2;
    pub(crate) const WRONG_EPOCH: u8 = 3;
    pub(crate) const WRONG_OWNER: u8 = 4;
    pub(crate) const CLOSED: u8 = 5;
    pub(crate) const MALFORMED: u8 = 6;
    pub(crate) const FULL: u8 = 7;
}

const TAKEN: u8 = 0;
const EXISTING: u8 = 1;
const KEY_CONFLICT: u8 = 2;
const NOT_OPEN: u8 = 3;
const SALE_CLOSED: u8 = 4;
const NOT_ENTITLED: u8 = 5;
const LIMIT: u8 = 6;
const EMPTY: u8 = 7;

/// The attempts and the buyers' ids as two blobs; what is wrong with them otherwise.
pub(crate) fn encode(attempts: &[Attempt]) -> Result<(Vec<u8>, Vec<u8>), String> {
    if attempts.len() > ATTEMPTS_MAX {
        return Err(format!(
            "{} attempts in one call, at most {ATTEMPTS_MAX} fit: send several",
            attempts.len()
        ));
    }
    let mut requests = Vec::with_capacity(attempts.len() * ATTEMPT);
    let mut ids = Vec::with_capacity(attempts.len() * 16);
    for attempt in attempts {
        let id = attempt.buyer_id.as_bytes();
        let length = u8::try_from(id.len()).map_err(|_| {
            format!(
                "a buyer's id has {} bytes, at most {BUYER_ID_BYTES_MAX} fit",
                id.len()
            )
        })?;
        requests.extend_from_slice(&attempt.buyer.0.to_be_bytes());
        requests.extend_from_slice(&attempt.key.map_or(0, |key| key.0).to_be_bytes());
        requests.extend_from_slice(&attempt.item.0.to_be_bytes());
        requests.extend_from_slice(&attempt.quantity.to_be_bytes());
        requests.extend_from_slice(&[u8::from(attempt.key.is_some()), length]);
        ids.extend_from_slice(id);
    }
    Ok((requests, ids))
}

/// The answers behind the result code: the time of the decision, and a verdict per attempt.
pub(crate) fn decode(body: &[u8], epoch: Epoch, attempts: &[Attempt]) -> Option<(Millis, Vec<Verdict>)> {
    let mut reader = Reader(body);
    let at = reader.u64()?;
    let mut n = reader.u64()?;
    let verdicts = attempts
        .iter()
        .map(|attempt| verdict(&mut reader, epoch, &mut n, attempt))
        .collect::<Option<Vec<_>>>()?;
    reader.0.is_empty().then_some((at, verdicts))
}

fn verdict(reader: &mut Reader<'_>, epoch: Epoch, n: &mut Seq, attempt: &Attempt) -> Option<Verdict> {
    let answer = match reader.u8()? {
        TAKEN => {
            let (tail, _) = kept(reader)?;
            *n += 1;
            Answer::Taken(Ticketed {
                ticket: TicketNo { made: epoch, n: *n },
                item: attempt.item,
                quantity: attempt.quantity,
                place: tail.place,
            })
        }
        EXISTING => {
            let n = Seq::from(reader.u32()?);
            let (tail, ranges) = kept(reader)?;
            Answer::Existing(Ticketed {
                ticket: TicketNo {
                    made: Epoch(tail.made),
                    n,
                },
                item: ItemIx(tail.item),
                quantity: units::count(&ranges),
                place: tail.place,
            })
        }
        KEY_CONFLICT => Answer::Refused(Refusal::KeyConflict),
        NOT_OPEN => {
            let len = usize::from(reader.u8()?);
            let opens = std::str::from_utf8(reader.bytes(len)?).ok()?.parse().ok()?;
            Answer::Refused(Refusal::NotOpen { opens })
        }
        SALE_CLOSED => Answer::Refused(Refusal::Closed),
        NOT_ENTITLED => Answer::Refused(Refusal::NotEntitled),
        LIMIT => Answer::Refused(Refusal::LimitExceeded {
            limit: reader.u32()?,
            held: reader.u32()?,
        }),
        EMPTY => return Some(Verdict::Empty),
        _ => return None,
    };
    Some(Verdict::Answer(answer))
}

/// A record's tail, and the units that it stands for.
pub(crate) fn kept(reader: &mut Reader<'_>) -> Option<(Tail, Vec<UnitRange>)> {
    let tail = Tail::read(reader)?;
    let ranges = if tail.flags & OVERFLOW != 0 {
        let count = reader.u16()?;
        reader.ranges(Some(count))?
    } else {
        vec![UnitRange {
            first: tail.first,
            len: u32::from(tail.quantity),
        }]
    };
    Some((tail, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    /// The value of a constant in the library's source, which may name several in one line.
    fn in_lua(name: &str) -> Option<u64> {
        let source = crate::source();
        source.lines().find_map(|line| {
            let (names, values) = line.strip_prefix("local ")?.split_once(" = ")?;
            let at = names.split(',').position(|one| one.trim() == name)?;
            let value = values.split("--").next()?.split(',').nth(at)?;
            value.trim().parse().ok()
        })
    }

    #[test]
    fn the_library_and_this_crate_mean_the_same_by_each_number() {
        let codes = [
            ("OK", codes::OK),
            ("ABSENT", codes::ABSENT),
            ("WRONG_SALE", codes::WRONG_SALE),
            ("WRONG_EPOCH", codes::WRONG_EPOCH),
            ("WRONG_OWNER", codes::WRONG_OWNER),
            ("CLOSED", codes::CLOSED),
            ("MALFORMED", codes::MALFORMED),
            ("FULL", codes::FULL),
            ("TAKEN", TAKEN),
            ("EXISTING", EXISTING),
            ("KEY_CONFLICT", KEY_CONFLICT),
            ("NOT_OPEN", NOT_OPEN),
            ("SALE_CLOSED", SALE_CLOSED),
            ("NOT_ENTITLED", NOT_ENTITLED),
            ("LIMIT", LIMIT),
            ("EMPTY", EMPTY),
            ("RESERVED", layout::RESERVED),
            ("LIVE", layout::LIVE),
            ("KEYED", layout::KEYED),
            ("OVERFLOW", layout::OVERFLOW),
            ("REGISTERED", layout::REGISTERED),
            ("OTHER", layout::OTHER),
        ];
        for (name, value) in codes {
            assert_eq!(in_lua(name), Some(u64::from(value)), "{name}");
        }
        let sizes = [
            ("ATTEMPT", ATTEMPT),
            ("ATTEMPTS_MAX", ATTEMPTS_MAX),
            ("RECORD", layout::RECORD),
            ("CHUNK", layout::CHUNK),
        ];
        for (name, value) in sizes {
            assert_eq!(in_lua(name), Some(value as u64), "{name}");
        }
    }
}
