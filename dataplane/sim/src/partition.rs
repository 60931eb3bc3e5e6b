//! A shard's partition of the order log: what is on its way to it, what has landed, and a second,
//! independent reading of what counts.

use flashsale_core::event::{Event, Record};
use flashsale_core::ids::{Epoch, OwnerId, Seq};

/// A partition. Durable, single order.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// Nothing is read while it is down.
    pub(crate) down: bool,
    /// Whether what is sent lands all the same while it is down.
    pub(crate) deaf: bool,
    /// Sent and not landed: may land in another order, twice, in part or never.
    pub(crate) flying: Vec<Record>,
    /// What has landed.
    pub(crate) records: Vec<Record>,
    /// What counts of it, by the checkers' own reading.
    pub(crate) truth: Truth,
    /// Per epoch the highest number that a publisher has a receipt for, counted or not.
    pub(crate) receipts: Vec<(Epoch, Seq)>,
}

/// The rules of the fold, written a second time, plainly, for the checkers.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) epoch: Epoch,
    owner: OwnerId,
    open: bool,
    pub(crate) list: Vec<Event>,
}

impl Truth {
    fn read(&mut self, record: &Record) {
        match record {
            Record::Barrier { epoch, owner } => {
                if *epoch > self.epoch {
                    (self.epoch, self.owner, self.open) = (*epoch, *owner, false);
                }
            }
            Record::Opened { epoch, owner, base } => {
                let current = (*epoch, *owner) == (self.epoch, self.owner);
                if current && !self.open && *base <= self.list.len() as Seq {
                    self.list.truncate(*base as usize);
                    self.open = true;
                }
            }
            Record::Batch { epoch, owner, events } => {
                if (*epoch, *owner) != (self.epoch, self.owner) || !self.open {
                    return;
                }
                for event in events {
                    if event.n == self.list.len() as Seq + 1 {
                        self.list.push(event.clone());
                    }
                }
            }
        }
    }

    /// Whether number `n` was made in `made`, as far as the log goes.
    pub(crate) fn holds(&self, n: Seq, made: Epoch) -> bool {
        n >= 1 && self.list.get(n as usize - 1).is_some_and(|e| e.made == made)
    }
}

impl Partition {
    /// A record lands at the end.
    pub(crate) fn land(&mut self, record: Record) {
        self.truth.read(&record);
        if let Record::Batch { epoch, events, .. } = &record
            && let Some(last) = events.last()
        {
            match self.receipts.iter_mut().find(|(e, _)| e == epoch) {
                Some((_, n)) => *n = (*n).max(last.n),
                None => self.receipts.push((*epoch, last.n)),
            }
        }
        self.records.push(record);
    }
}
