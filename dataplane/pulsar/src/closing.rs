//! Hints that a payment deadline has come.
//!
//! A hint may be early, late, doubled or lost: whoever gets one looks at the row, and a sweep over the rows'
//! deadlines is the truth. So nothing here is waited for.

use crate::health::{Counters, Health, Vitals};
use crate::names::{Names, Topic};
use crate::publisher::{Outgoing, Publisher, Queue};
use crate::service::Service;
use crate::subscription::Subscription;
use bytes::Bytes;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, Millis, ShardId};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Hints that may wait for the publisher, and their bytes.
const QUEUE_MAX: (usize, usize) = (16_384, 1 << 20);
/// The subscription that all closers share.
const CLOSERS: &str = "closers";

/// Look at this order: its payment deadline may have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// The order's shard.
    pub shard: ShardId,
    /// Its ticket.
    pub ticket: TicketNo,
}

impl Hint {
    /// Shard, epoch, number; big-endian.
    fn encode(self) -> Bytes {
        let mut bytes = Vec::with_capacity(14);
        bytes.extend_from_slice(&self.shard.0.to_be_bytes());
        bytes.extend_from_slice(&self.ticket.made.0.to_be_bytes());
        bytes.extend_from_slice(&self.ticket.n.to_be_bytes());
        bytes.into()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (shard, rest) = bytes.split_first_chunk()?;
        let (made, rest) = rest.split_first_chunk()?;
        let ticket = TicketNo {
            made: Epoch(u32::from_be_bytes(*made)),
            n: u64::from_be_bytes(rest.try_into().ok()?),
        };
        Some(Self {
            shard: ShardId(u16::from_be_bytes(*shard)),
            ticket,
        })
    }
}

/// Sends hints that are delivered at the deadlines.
pub struct Deadlines {
    queue: Queue,
    counters: Arc<Counters>,
    _task: JoinSet<()>,
}

impl Deadlines {
    /// Starts the publisher, on the current runtime.
    #[must_use]
    pub fn start(service: &Service, names: &Names) -> Self {
        let topic = names.partition(Topic::Close, 0);
        let counters = Arc::new(Counters::default());
        let (vitals, _) = Vitals::new(format!("publisher of {topic}"));
        let (publisher, queue) =
            Publisher::new(service.clone(), topic, QUEUE_MAX, Arc::clone(&counters), vitals);
        let mut tasks = JoinSet::new();
        tasks.spawn(publisher.run());
        Self {
            queue,
            counters,
            _task: tasks,
        }
    }

    /// Has `hint` delivered at `at`. Never waits; where there is no room, the hint is lost, and counted.
    pub fn remind(&self, hint: Hint, at: Millis) {
        let outgoing = Outgoing {
            bytes: hint.encode(),
            deliver_at: Some(at),
            ..Outgoing::default()
        };
        if self.queue.push(outgoing).is_err() {
            Counters::add(&self.counters.refused, 1);
        }
    }

    /// What was sent and refused so far.
    #[must_use]
    pub fn stats(&self) -> crate::Stats {
        self.counters.stats()
    }
}

/// Receives the hints; those of a sale are shared among all that receive them.
pub struct Hints {
    subscription: Subscription,
}

impl Hints {
    /// Starts the consumer, on the current runtime.
    #[must_use]
    pub fn start(service: &Service, names: &Names) -> Self {
        let topic = names.partition(Topic::Close, 0);
        Self {
            subscription: Subscription::start(service, topic, CLOSERS),
        }
    }

    /// The next hint. Safe to cancel, at the price of that hint at most.
    pub async fn next(&mut self) -> Option<Hint> {
        loop {
            let taken = self.subscription.next().await?;
            let hint = Hint::decode(&taken.bytes);
            taken.ack().await;
            if hint.is_some() {
                return hint;
            }
            tracing::warn!("the topic of payment deadlines holds something that isn't a hint: skipped");
        }
    }

    /// How the consumer is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.subscription.health()
    }
}

#[cfg(test)]
mod tests {
    use super::{Epoch, Hint, ShardId, TicketNo};

    #[test]
    fn a_hint_comes_back_as_it_was_and_nothing_else_is_one() {
        let ticket = TicketNo {
            made: Epoch(7),
            n: 1 << 40,
        };
        let hint = Hint {
            shard: ShardId(513),
            ticket,
        };
        assert_eq!(Hint::decode(&hint.encode()), Some(hint));
        assert_eq!(Hint::decode(b""), None);
        assert_eq!(Hint::decode(&[0; 13]), None);
        assert_eq!(Hint::decode(&[0; 15]), None);
    }
}
