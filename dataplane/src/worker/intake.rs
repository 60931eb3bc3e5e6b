//! What the worker reads: the log's durable records, folded shard by shard.

use bytes::Bytes;
use flashsale_core::event::{self, Event};
use flashsale_core::fold::{Fold, Step};
use flashsale_core::ids::{Epoch, SaleUid, Seq, ShardId};
use flashsale_journal::{JournalError, Reader};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// One record that counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// An owner opened.
    Opened {
        /// The owner's epoch.
        epoch: Epoch,
        /// The length of the list that stands.
        base: Seq,
    },
    /// Events that extended the list.
    Events {
        /// The publisher's epoch.
        epoch: Epoch,
        /// In order of number.
        events: Vec<Event>,
    },
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The journal can't be read.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// A record isn't this sale's, or is damaged.
    #[error("shard {shard}: {source}")]
    Record {
        /// Which shard's.
        shard: u16,
        /// What is wrong.
        source: event::DecodeError,
    },
}

/// A record and the partition that holds it.
pub type Stored = (u16, Bytes);

/// Records of all partitions, each partition's in order, from the log's start.
pub trait Records: Send {
    /// The next one that is there now.
    ///
    /// # Errors
    /// The log can't be read.
    fn try_next(&mut self) -> Result<Option<Stored>, JournalError>;
}

impl Records for Reader {
    fn try_next(&mut self) -> Result<Option<Stored>, JournalError> {
        let next = Self::try_next(self)?;
        Ok(next.map(|committed| (committed.partition, committed.record)))
    }
}

impl Records for mpsc::Receiver<Stored> {
    fn try_next(&mut self) -> Result<Option<Stored>, JournalError> {
        Ok(self.try_recv().ok())
    }
}

impl Records for VecDeque<Stored> {
    fn try_next(&mut self) -> Result<Option<Stored>, JournalError> {
        Ok(self.pop_front())
    }
}

/// A reader of all shards.
pub struct Intake {
    uid: SaleUid,
    records: Box<dyn Records>,
    folds: Vec<Fold>,
}

impl Intake {
    /// Reads `records`, which stand at the log's start.
    #[must_use]
    pub fn new(uid: SaleUid, shards: u16, records: Box<dyn Records>) -> Self {
        Self {
            uid,
            records,
            folds: vec![Fold::default(); usize::from(shards)],
        }
    }

    /// What has counted since the last call, by shard, about `events_max` events at most; empty at the
    /// journal's durable end.
    ///
    /// # Errors
    /// See [`IntakeError`].
    pub fn take(&mut self, events_max: usize) -> Result<Vec<(ShardId, Vec<Counted>)>, IntakeError> {
        let mut taken: Vec<Vec<Counted>> = vec![Vec::new(); self.folds.len()];
        let mut events = 0;
        while events < events_max {
            let Some((partition, bytes)) = self.records.try_next()? else {
                break;
            };
            let shard = ShardId(partition);
            let record = event::decode(self.uid, shard, &bytes).map_err(|source| IntakeError::Record {
                shard: shard.0,
                source,
            })?;
            let (Some(fold), Some(taken)) = (self.folds.get_mut(shard.ix()), taken.get_mut(shard.ix()))
            else {
                continue;
            };
            match fold.read(&record) {
                Step::Opened { base } => taken.push(Counted::Opened {
                    epoch: fold.head().0,
                    base,
                }),
                Step::Counted(counted) => {
                    events += counted.len();
                    extend(taken, fold.head().0, counted);
                }
                Step::Fenced | Step::Skipped(_) => {}
            }
        }
        let by_shard = (0..).map(ShardId).zip(taken);
        Ok(by_shard.filter(|(_, counted)| !counted.is_empty()).collect())
    }
}

fn extend(taken: &mut Vec<Counted>, epoch: Epoch, counted: &[Event]) {
    match taken.last_mut() {
        Some(Counted::Events { epoch: last, events }) if *last == epoch => events.extend_from_slice(counted),
        _ => taken.push(Counted::Events {
            epoch,
            events: counted.to_vec(),
        }),
    }
}
