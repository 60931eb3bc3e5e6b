//! What the database says of each ticket's order, kept in memory for the gateways: a million buyers
//! who ask for their ticket cost the database nothing.

use crate::link::Feed;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Epoch, Millis, ShardId};
use flashsale_core::order::State;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const CHUNK: usize = 8 * 1024;
const CHUNKS: usize = 8 * 1024;

/// An order's state, and until when it may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The state.
    pub state: State,
    /// The payment deadline, in milliseconds with the precision of a second; 0 before the order is made.
    pub pay_by: Millis,
}

/// The states of all orders of a sale; 8 bytes each, without locks.
#[derive(Debug)]
pub struct Board {
    shards: Vec<Vec<OnceLock<Box<[AtomicU64]>>>>,
    /// What was posted, for those who keep a copy elsewhere.
    news: OnceLock<Feed<(ShardId, u32)>>,
}

impl Board {
    /// An empty board for `shards` shards of up to 67 million events each.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        let empty = || (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Self {
            shards: (0..shards).map(|_| empty()).collect(),
            news: OnceLock::new(),
        }
    }

    /// Posts what the database has committed.
    pub fn post(&self, shard: ShardId, ticket: TicketNo, posted: Posted) {
        self.set(shard, ticket.n as usize, pack(ticket.made, posted));
        if let Some(news) = self.news.get() {
            news.push((shard, ticket.n as u32));
        }
    }

    fn set(&self, shard: ShardId, ix: usize, bits: u64) -> bool {
        let Some(chunk) = self.shards.get(shard.ix()).and_then(|s| s.get(ix / CHUNK)) else {
            return false;
        };
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        chunk[ix % CHUNK].store(bits, Ordering::Release);
        true
    }

    /// From now on, the place of each post is told, too.
    pub(crate) fn news(&self) -> &Feed<(ShardId, u32)> {
        self.news.get_or_init(Feed::new)
    }

    /// What stands at a place now, as another board takes it.
    pub(crate) fn bits(&self, shard: ShardId, ix: u32) -> u64 {
        let ix = ix as usize;
        let chunk = self.shards.get(shard.ix()).and_then(|s| s.get(ix / CHUNK));
        chunk
            .and_then(OnceLock::get)
            .map_or(0, |chunk| chunk[ix % CHUNK].load(Ordering::Acquire))
    }

    /// The board in pieces, as (shard, first place, what stands there).
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (ShardId, u32, Vec<u64>)> {
        let shards = (0..).map(ShardId).zip(&self.shards);
        shards.flat_map(|(shard, chunks)| {
            let begun = chunks
                .iter()
                .zip((0..).step_by(CHUNK))
                .filter_map(|(c, at)| c.get().map(|c| (c, at)));
            begun.map(move |(chunk, at)| {
                let bits = chunk.iter().map(|bits| bits.load(Ordering::Acquire)).collect();
                (shard, at, bits)
            })
        })
    }

    /// Takes over what stands on another board from a place on; `false` if it can't be one of the same sale.
    #[must_use]
    pub(crate) fn copy(&self, shard: ShardId, at: u32, bits: &[u64]) -> bool {
        let standing = bits.iter().zip(at as usize..).filter(|(bits, _)| **bits != 0);
        standing.fold(true, |fits, (bits, ix)| self.set(shard, ix, *bits) && fits)
    }

    /// What is known of this very ticket's order.
    #[must_use]
    pub fn read(&self, shard: ShardId, ticket: TicketNo) -> Option<Posted> {
        let ix = ticket.n as usize;
        let chunk = self.shards.get(shard.ix())?.get(ix / CHUNK)?.get()?;
        unpack(ticket.made, chunk[ix % CHUNK].load(Ordering::Acquire))
    }
}

/// Seconds in 32 bits, the epoch's low 24 bits, the state in 8.
fn pack(made: Epoch, posted: Posted) -> u64 {
    let state = match posted.state {
        State::Reserved => 1,
        State::Pending => 2,
        State::Paid => 3,
        State::Closed(ReleaseReason::Cancelled) => 4,
        State::Closed(ReleaseReason::Unpaid) => 5,
        State::Closed(ReleaseReason::Backlog) => 6,
        State::Closed(ReleaseReason::Refused) => 7,
    };
    (posted.pay_by / 1000) << 32 | u64::from(made.0 & 0xff_ffff) << 8 | state
}

fn unpack(made: Epoch, bits: u64) -> Option<Posted> {
    let state = match bits & 0xff {
        1 => State::Reserved,
        2 => State::Pending,
        3 => State::Paid,
        4 => State::Closed(ReleaseReason::Cancelled),
        5 => State::Closed(ReleaseReason::Unpaid),
        6 => State::Closed(ReleaseReason::Backlog),
        7 => State::Closed(ReleaseReason::Refused),
        _ => return None,
    };
    let same = (bits >> 8) & 0xff_ffff == u64::from(made.0 & 0xff_ffff);
    same.then_some(Posted {
        state,
        pay_by: (bits >> 32) * 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_is_read_by_the_same_ticket_only() {
        let board = Board::new(2);
        let ticket = TicketNo {
            made: Epoch(3),
            n: 20_000,
        };
        let posted = Posted {
            state: State::Closed(ReleaseReason::Unpaid),
            pay_by: 1_796_126_400_000,
        };
        board.post(ShardId(1), ticket, posted);
        assert_eq!(board.read(ShardId(1), ticket), Some(posted));
        assert_eq!(board.read(ShardId(0), ticket), None);
        assert_eq!(
            board.read(
                ShardId(1),
                TicketNo {
                    made: Epoch(4),
                    ..ticket
                }
            ),
            None
        );
        assert_eq!(board.read(ShardId(1), TicketNo { n: 20_001, ..ticket }), None);
        let copy = Board::new(2);
        assert!(
            board
                .pieces()
                .all(|(shard, at, bits)| copy.copy(shard, at, &bits))
        );
        assert_eq!(copy.read(ShardId(1), ticket), Some(posted));
        assert!(!copy.copy(ShardId(2), 0, &[1]), "a shard of another sale");
    }
}
