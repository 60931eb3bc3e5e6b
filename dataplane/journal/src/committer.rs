//! The one thread that writes: gathers what arrived, writes it as a batch, syncs, and only then tells anyone.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

use crate::format::{
    Chain, RECORD_HEADER_BYTES, SECTOR_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, batch_bytes_on_disk,
};
use crate::progress::{Ending, Progress};
use crate::queue::{Queue, Taken};
use crate::recovery::Segment;
use crate::spare::Spares;
use crate::storage::Storage;
use crate::{Committed, CommittedBatch, Failure, Options, batch, segment};

/// How often a committer that waits for its subscriber looks whether the journal is closing, in milliseconds.
const DELIVER_LOOK_MS: u64 = 20;

/// What appenders, readers and the committer share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Counters,
}

/// Since the journal was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) disk_bytes: AtomicU64,
    pub(crate) sync_us_total: AtomicU64,
    pub(crate) sync_us_max: AtomicU64,
}

/// The end of the journal: what the next batch is written to.
pub(crate) struct Tail {
    pub(crate) file: File,
    pub(crate) segment: Segment,
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
}

pub(crate) struct Committer<S> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: S,
    pub(crate) tail: Tail,
    pub(crate) spares: Spares,
    /// `None` once the subscriber has gone.
    pub(crate) deliver: Option<Sender<Result<CommittedBatch, Failure>>>,
    pub(crate) batch_bytes_max: u64,
    pub(crate) close_deliver_wait: Duration,
    /// Whether a seal stands at the tail.
    pub(crate) sealed: bool,
    backlog: VecDeque<Committed>,
    buffer: Vec<u8>,
}

impl<S: Storage> Committer<S> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        storage: S,
        tail: Tail,
        spares: Spares,
        deliver: Sender<Result<CommittedBatch, Failure>>,
        options: &Options,
    ) -> Self {
        Committer {
            shared,
            storage,
            tail,
            spares,
            deliver: Some(deliver),
            batch_bytes_max: options.batch_bytes_max,
            close_deliver_wait: Duration::from_millis(options.close_deliver_wait_ms_max),
            sealed: true,
            backlog: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// Runs until the journal is closed or a write fails. A panic counts as a failure: nobody waits in vain.
    pub(crate) fn run(mut self) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work()));
        let outcome = outcome.unwrap_or_else(|_| {
            Err(self.failure(
                "go on with",
                std::io::Error::other("a bug: the committer panicked"),
            ))
        });
        match outcome {
            Ok(()) => self.shared.progress.end(Ending::Closed),
            Err(failure) => {
                tracing::error!(%failure, "the journal has stopped");
                // Appends are refused before waiters wake, so that whoever was told of the failure can't append.
                self.shared.queue.fail(failure.clone());
                self.shared.progress.end(Ending::Stopped(failure.clone()));
                self.send(Err(failure));
            }
        }
    }

    fn work(&mut self) -> Result<(), Failure> {
        loop {
            let batch = self.gather();
            if !batch.is_empty() {
                self.commit(&batch)?;
                self.send(Ok(batch));
                continue;
            }
            self.seal()?;
            if self.shared.queue.take(&mut self.backlog) == Taken::Closing {
                return self.sync();
            }
            if self.backlog.is_empty() {
                self.shared.queue.wait();
            }
        }
    }

    /// All that arrived and fits one batch; empty if nothing did.
    fn gather(&mut self) -> CommittedBatch {
        let mut batch = CommittedBatch::new();
        let mut bytes = 0;
        loop {
            while let Some(record) = self.backlog.front() {
                bytes += RECORD_HEADER_BYTES + record.record.len() as u64;
                if bytes > self.batch_bytes_max && !batch.is_empty() {
                    return batch;
                }
                batch.extend(self.backlog.pop_front());
            }
            if self.shared.queue.take(&mut self.backlog) != Taken::Some {
                return batch;
            }
        }
    }

    /// Writes the batch, syncs it, and lets the world know.
    fn commit(&mut self, records: &[Committed]) -> Result<(), Failure> {
        let body: u64 = records
            .iter()
            .map(|record| RECORD_HEADER_BYTES + record.record.len() as u64)
            .sum();
        // One sector is left for a seal.
        let end = self.tail.offset + batch_bytes_on_disk(body) + SECTOR_BYTES;
        if end > self.tail.segment.header.segment_bytes {
            self.rotate()?;
        }
        let seed = self.tail.segment.header.seed();
        let crc = batch::encode(&mut self.buffer, seed, self.tail.offset, self.tail.chain, records);
        let written = self
            .storage
            .write(&self.tail.file, &self.buffer, self.tail.offset);
        written.map_err(|source| self.failure("write a batch to", source))?;
        self.sync()?;
        self.tail.offset += self.buffer.len() as u64;
        let count = records.len() as u64;
        self.tail.chain = Chain {
            position: self.tail.chain.position.plus(count),
            previous_crc: crc,
        };
        self.sealed = false;
        let counters = &self.shared.counters;
        counters.batches.fetch_add(1, Ordering::Relaxed);
        counters.records.fetch_add(count, Ordering::Relaxed);
        counters
            .disk_bytes
            .fetch_add(self.buffer.len() as u64, Ordering::Relaxed);
        self.shared.queue.settle(records);
        self.shared.progress.advance(self.tail.chain.position);
        Ok(())
    }

    /// Once it fails it is never tried again on this file: the caller stops for good.
    fn sync(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        self.storage
            .sync(&self.tail.file)
            .map_err(|source| self.failure("sync", source))?;
        let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared
            .counters
            .sync_us_total
            .fetch_add(took_us, Ordering::Relaxed);
        self.shared
            .counters
            .sync_us_max
            .fetch_max(took_us, Ordering::Relaxed);
        Ok(())
    }

    /// Says on the disk, without waiting for it, that all before the tail was durable. The next batch overwrites it.
    fn seal(&mut self) -> Result<(), Failure> {
        if self.sealed || self.tail.offset + SECTOR_BYTES > self.tail.segment.header.segment_bytes {
            return Ok(());
        }
        let seal = batch::encode_seal(self.tail.segment.header.seed(), self.tail.offset, self.tail.chain);
        let written = self.storage.write(&self.tail.file, &seal, self.tail.offset);
        written.map_err(|source| self.failure("write a seal to", source))?;
        self.sealed = true;
        Ok(())
    }

    /// Goes on in a new segment. All batches so far are durable.
    fn rotate(&mut self) -> Result<(), Failure> {
        let header = &self.tail.segment.header;
        let gone = || {
            let source = std::io::Error::other("a bug: the thread that prepares segments has ended");
            Failure::new("get a new segment in", &self.shared.progress.dir, source)
        };
        // The first answer may be an old failure; the second is a fresh attempt.
        let mut spare = self.spares.recv().map_err(|_| gone())?;
        if spare.is_err() {
            spare = self.spares.recv().map_err(|_| gone())?;
        }
        let spare = spare?;
        let next = SegmentHeader {
            uid: header.uid,
            number: header.number + 1,
            segment_bytes: spare.bytes(),
            previous_end: self.tail.offset,
            chain: self.tail.chain,
        };
        let dir = &self.shared.progress.dir;
        let path = segment::path(dir, next.number);
        let file = spare.install(dir, &next)?;
        let segment = Segment { path, header: next };
        self.shared.progress.add_segment(segment.clone());
        self.tail = Tail {
            file,
            segment,
            offset: SEGMENT_HEADER_BYTES,
            chain: self.tail.chain,
        };
        Ok(())
    }

    /// Hands over to the subscriber, at its pace; while the journal is closing only for a bounded time.
    fn send(&mut self, mut message: Result<CommittedBatch, Failure>) {
        let Some(deliver) = &self.deliver else { return };
        let mut closing_since = None;
        loop {
            match deliver.send_timeout(message, Duration::from_millis(DELIVER_LOOK_MS)) {
                Ok(()) => return,
                Err(SendTimeoutError::Disconnected(_)) => break,
                Err(SendTimeoutError::Timeout(unsent)) => message = unsent,
            }
            if self.shared.queue.is_closing() {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.close_deliver_wait {
                    tracing::warn!(
                        "closing: the subscriber takes nothing, the rest can be read from the journal"
                    );
                    break;
                }
            }
        }
        self.deliver = None;
    }

    fn failure(&self, action: &'static str, source: std::io::Error) -> Failure {
        Failure::new(action, &self.tail.segment.path, source).at(self.tail.offset)
    }
}
