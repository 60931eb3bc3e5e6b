//! Reads partitions of the order log, in order, for as long as it takes.

use crate::backoff::Backoff;
use crate::error::LogError;
use crate::health::{Counters, Health, Stats, Vitals};
use crate::names::{Names, Topic};
use crate::service::Service;
use crate::session::{Came, RecordId, Session};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// A partition that is silent for so long is asked whether it holds more.
const SILENT_AFTER: Duration = Duration::from_millis(500);
/// A partition that holds more, and yet is silent for so many times [`SILENT_AFTER`], gets a new session.
const SILENT_TIMES_MAX: u32 = 6;
/// Records of all partitions that wait for whoever reads.
const DELIVERED_MAX: usize = 256;

/// A record of the order log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In which partition, which is the shard's number.
    pub partition: u16,
    /// Where in the partition.
    pub id: RecordId,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What a reader hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The partition's next record.
    Record(Record),
    /// Everything that was in this partition when the reader first reached it has been delivered; once per partition.
    CaughtUp {
        /// Which partition.
        partition: u16,
    },
}

/// Where reading a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At its first record.
    Start,
    /// Right behind this one.
    After(RecordId),
}

/// Reads some partitions until it is dropped.
///
/// # Guarantees
/// - The records of one partition are delivered in the log's order, without a gap; across connections, broker restarts
///   and topic unloads reading goes on right behind the last record delivered. The same *content* may come again,
///   because publishers send again.
/// - Memory is bounded: whoever doesn't read holds up only its own reader.
pub struct Reader {
    deliveries: mpsc::Receiver<Delivery>,
    state: ReaderState,
}

/// What can be asked of a reader, also after its deliveries were given away. Ends the reader when dropped.
pub struct ReaderState {
    health: BTreeMap<u16, watch::Receiver<Health>>,
    counters: Arc<Counters>,
    _tasks: JoinSet<()>,
}

impl Reader {
    /// Starts reading `partitions`, on the current runtime. They connect by themselves.
    #[must_use]
    pub fn start(
        service: &Service,
        names: &Names,
        partitions: impl IntoIterator<Item = (u16, From)>,
    ) -> Self {
        let (to, deliveries) = mpsc::channel(DELIVERED_MAX);
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        let mut health = BTreeMap::new();
        for (partition, from) in partitions {
            let topic = names.partition(Topic::Orders, partition);
            let (vitals, seen) = Vitals::new(format!("reader of {topic}"));
            let last = match from {
                From::Start => None,
                From::After(id) => Some(id),
            };
            let task = Task {
                service: service.clone(),
                topic,
                partition,
                last,
                caught_up: false,
                to: to.clone(),
                counters: Arc::clone(&counters),
                vitals,
            };
            tasks.spawn(task.run());
            health.insert(partition, seen);
        }
        let state = ReaderState {
            health,
            counters,
            _tasks: tasks,
        };
        Self { deliveries, state }
    }

    /// The next delivery; `None` only if the reader reads no partition. Safe to cancel.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// The next delivery, if one is there now.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// The next delivery, for a thread outside the runtime.
    pub fn blocking_next(&mut self) -> Option<Delivery> {
        self.deliveries.blocking_recv()
    }

    /// The deliveries' channel, for an own loop, and the rest, which must be kept for as long.
    #[must_use]
    pub fn into_parts(self) -> (mpsc::Receiver<Delivery>, ReaderState) {
        (self.deliveries, self.state)
    }

    /// How reading is doing; see [`ReaderState`].
    #[must_use]
    pub fn state(&self) -> &ReaderState {
        &self.state
    }
}

impl ReaderState {
    /// How reading `partition` is doing; `None` if it isn't read here.
    #[must_use]
    pub fn health(&self, partition: u16) -> Option<Health> {
        self.health.get(&partition).map(|health| health.borrow().clone())
    }

    /// The first partition that can't be read now, and why.
    #[must_use]
    pub fn trouble(&self) -> Option<(u16, LogError)> {
        self.health
            .iter()
            .find_map(|(partition, health)| match &*health.borrow() {
                Health::Down(why) => Some((*partition, why.clone())),
                Health::Starting | Health::Up => None,
            })
    }

    /// What the reader did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }
}

/// Reads one partition.
struct Task {
    service: Service,
    topic: String,
    partition: u16,
    last: Option<RecordId>,
    caught_up: bool,
    to: mpsc::Sender<Delivery>,
    counters: Arc<Counters>,
    vitals: Vitals,
}

/// Why a session ended.
enum Ended {
    /// Nobody reads any more.
    Unwanted,
    /// It can't be gone on with.
    Broken(LogError),
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let why = match Session::open(&self.service, &self.topic, self.last).await {
                Ok(session) => {
                    let before = self.last;
                    let ended = self.read(session).await;
                    if self.last > before {
                        backoff.reset();
                    }
                    match ended {
                        Ended::Unwanted => return,
                        Ended::Broken(why) => why,
                    }
                }
                Err(why) => why,
            };
            self.vitals.down(why);
            Counters::add(&self.counters.rebuilds, 1);
            tokio::select! {
                () = backoff.wait() => {}
                () = self.to.closed() => return,
            }
        }
    }

    async fn read(&mut self, mut session: Session) -> Ended {
        let opened_after = self.last;
        let mut end = match session.end().await {
            Ok(end) => end,
            Err(why) => return Ended::Broken(why),
        };
        self.vitals.up();
        let mut silent = 0;
        loop {
            if !self.caught_up && self.last >= end {
                self.caught_up = true;
                let partition = self.partition;
                if self.to.send(Delivery::CaughtUp { partition }).await.is_err() {
                    return Ended::Unwanted;
                }
            }
            match session.next(SILENT_AFTER).await {
                Ok(Came::Record(id, bytes)) => {
                    silent = 0;
                    if let Some(ended) = self.take(id, bytes, opened_after).await {
                        return ended;
                    }
                }
                Ok(Came::Nothing) => {
                    silent = if self.last < end { silent + 1 } else { 0 };
                    if silent >= SILENT_TIMES_MAX {
                        let why = format!("silent, though the partition goes on to {end:?}");
                        return Ended::Broken(LogError::lost(self.service.url(), "reading", why));
                    }
                    if self.to.is_closed() {
                        return Ended::Unwanted;
                    }
                    match session.end().await {
                        Ok(now) if self.caught_up => end = now,
                        Ok(_) => {}
                        Err(why) => return Ended::Broken(why),
                    }
                }
                Err(why) => return Ended::Broken(why),
            }
        }
    }

    /// Hands a record on, unless it had been already.
    async fn take(&mut self, id: RecordId, bytes: Bytes, opened_after: Option<RecordId>) -> Option<Ended> {
        if self.last.is_some_and(|last| id <= last) {
            Counters::add(&self.counters.again, 1);
            // The client library has connected again by itself, and starts over where this session had begun,
            // which may be hours ago. A new session begins where we stand.
            return (Some(id) > opened_after).then(|| {
                let why = "the client started over";
                Ended::Broken(LogError::lost(self.service.url(), "reading", why))
            });
        }
        let size = bytes.len();
        let record = Record {
            partition: self.partition,
            id,
            bytes,
        };
        if self.to.send(Delivery::Record(record)).await.is_err() {
            return Some(Ended::Unwanted);
        }
        self.last = Some(id);
        Counters::add(&self.counters.messages, 1);
        Counters::add(&self.counters.bytes, size);
        None
    }
}
