//! The order log as the shards' owners use it.

use crate::error::LogError;
use crate::health::{Counters, Health, Stats, Vitals};
use crate::names::{Names, Topic};
use crate::publisher::Outgoing;
use crate::publisher::{Publisher, Queue, Refused};
use crate::service::Service;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bounds of an [`OrderLog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Records that may wait for one partition's publisher.
    pub queue_records_max: usize,
    /// Their bytes.
    pub queue_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            queue_records_max: 1024,
            queue_bytes_max: 16 << 20,
        }
    }
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The partition's queue is full: the log is slow or down. Send again what isn't read back.
    #[error("the queue to partition {partition} of the order log is full: send again what isn't read back")]
    Full {
        /// Which partition.
        partition: u16,
    },
    /// This log doesn't publish to the partition, or has ended.
    #[error("this order log doesn't publish to partition {partition}")]
    NotOurs {
        /// Which partition.
        partition: u16,
    },
}

struct Lane {
    queue: Queue,
    health: watch::Receiver<Health>,
}

/// Publishes to some partitions of a sale's order log.
///
/// # Guarantees
/// - [`OrderLog::append`] never waits.
/// - Records of one partition are sent in the order in which they were appended, and after a broken connection
///   again from the first one without a receipt. So a record may be in the log once, several times or,
///   if this process ends, never.
/// - That a record was taken, sent or confirmed means nothing: only what a [`crate::Reader`] delivers counts.
pub struct OrderLog {
    lanes: BTreeMap<u16, Lane>,
    counters: Arc<Counters>,
    tasks: JoinSet<()>,
}

impl OrderLog {
    /// Starts a publisher for each of `partitions`, on the current runtime. They connect by themselves.
    #[must_use]
    pub fn start(
        service: &Service,
        names: &Names,
        partitions: impl IntoIterator<Item = u16>,
        options: LogOptions,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let bounds = (options.queue_records_max, options.queue_bytes_max);
        let mut tasks = JoinSet::new();
        let mut lanes = BTreeMap::new();
        for partition in partitions {
            let topic = names.partition(Topic::Orders, partition);
            let (vitals, health) = Vitals::new(format!("publisher of {topic}"));
            let (publisher, queue) =
                Publisher::new(service.clone(), topic, bounds, Arc::clone(&counters), vitals);
            tasks.spawn(publisher.run());
            lanes.insert(partition, Lane { queue, health });
        }
        Self {
            lanes,
            counters,
            tasks,
        }
    }

    /// Takes a record for `partition`; never waits. From any thread.
    ///
    /// # Errors
    /// The queue is full, or the partition isn't published to here.
    pub fn append(&self, partition: u16, record: impl Into<Bytes>) -> Result<(), AppendError> {
        let lane = self.lane(partition)?;
        let outgoing = Outgoing {
            bytes: record.into(),
            ..Outgoing::default()
        };
        lane.queue.push(outgoing).map_err(|refused| match refused {
            Refused::Full => {
                Counters::add(&self.counters.refused, 1);
                AppendError::Full { partition }
            }
            Refused::Closed => AppendError::NotOurs { partition },
        })
    }

    /// How the partition's publisher is doing.
    ///
    /// # Errors
    /// The partition isn't published to here.
    pub fn health(&self, partition: u16) -> Result<Health, AppendError> {
        Ok(self.lane(partition)?.health.borrow().clone())
    }

    /// Follows the health of the partition's publisher.
    ///
    /// # Errors
    /// The partition isn't published to here.
    pub fn watch(&self, partition: u16) -> Result<watch::Receiver<Health>, AppendError> {
        Ok(self.lane(partition)?.health.clone())
    }

    /// What all publishers did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    /// Sends what was taken and ends the publishers, waiting at most `patience` for the brokers.
    pub async fn close(self, patience: Duration) {
        let Self {
            lanes,
            counters: _,
            mut tasks,
        } = self;
        drop(lanes);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::warn!("the order log wasn't reached in time; what wasn't sent counts for nobody");
        }
    }

    fn lane(&self, partition: u16) -> Result<&Lane, AppendError> {
        self.lanes
            .get(&partition)
            .ok_or(AppendError::NotOurs { partition })
    }
}

/// Whether `partition` of the order log can be reached and read now: the question before a claim, and in bypass.
/// Answers where it ends.
///
/// # Errors
/// What stands in the way.
pub async fn probe(
    service: &Service,
    names: &Names,
    partition: u16,
) -> Result<Option<crate::RecordId>, LogError> {
    crate::session::Session::open(service, &names.partition(Topic::Orders, partition), None)
        .await?
        .end()
        .await
}
