//! The journal as its owner sees it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Receiver;
use uuid::Uuid;

use crate::committer::{Committer, Counters, Shared, Tail};
use crate::format::{Chain, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::lock::DirLock;
use crate::progress::{Ending, Progress};
use crate::queue::Queue;
use crate::recovery::{self, Scan};
use crate::segment::{self, Spare};
use crate::storage::{Disk, Storage};
use crate::{AppendError, Failure, JournalError, Options, Position, Reader, Recovered, WaitError, spare};

/// A durable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its number in the journal.
    pub position: Position,
    /// The partition it was appended with.
    pub partition: u16,
    /// Its bytes.
    pub record: Bytes,
}

/// Records made durable by one `fdatasync`: never empty, with consecutive positions, continuing the batch before.
pub type CommittedBatch = Vec<Committed>;

/// An opened journal and what comes with it.
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The subscriber's end: every batch appended from now on, after it is durable. An error is the last message: the
    /// journal has stopped. The channel ends when the journal is closed.
    ///
    /// It is bounded, so it must be drained, or dropped if nobody wants it; a slow subscriber ends in
    /// [`AppendError::Full`] for the appenders.
    pub committed: Receiver<Result<CommittedBatch, Failure>>,
    /// What was found on the disk.
    pub recovered: Recovered,
}

/// What the journal did since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Batches made durable.
    pub batches: u64,
    /// Records made durable.
    pub records: u64,
    /// Bytes written for them, headers and padding included.
    pub disk_bytes: u64,
    /// Time spent in `fdatasync`, in microseconds.
    pub sync_us_total: u64,
    /// The longest `fdatasync`, in microseconds.
    pub sync_us_max: u64,
    /// Bytes accepted and not yet durable, now.
    pub queued_bytes: u64,
}

/// The writer of a directory. Share it by `Arc`; dropping it closes it.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: DirLock,
}

impl Journal {
    /// Opens the journal in `dir`, which is created if need be, and recovers what is there.
    ///
    /// A new journal allocates its first segment before this returns; one more follows in the background.
    ///
    /// # Errors
    /// [`JournalError`]; the files of a corrupt journal are left as they are.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Opened, JournalError> {
        Self::open_on(Disk, dir.as_ref(), &options)
    }

    pub(crate) fn open_on<S: Storage>(
        storage: S,
        dir: &Path,
        options: &Options,
    ) -> Result<Opened, JournalError> {
        options.validate()?;
        create_dir(dir)?;
        let lock = DirLock::exclusive(dir)?;
        let uid = lock.uid();
        let scan = recovery::scan(dir, uid)?;
        recovery::remove_spares(dir)?;
        let (recovered, segments, tail) = match scan {
            Some(scan) => resume(scan)?,
            None => create(dir, options.segment_bytes_max)?,
        };
        if uid.is_none() {
            lock.remember(tail.segment.header.uid)?;
        }
        let progress = Arc::new(Progress::new(dir.to_owned(), recovered.end, segments));
        let queue = Queue::new(recovered.end, options);
        let shared = Arc::new(Shared {
            queue,
            progress,
            counters: Counters::default(),
        });
        let (deliver, committed) = crossbeam_channel::bounded(options.deliver_batches_max);
        let (spares, spare_thread) = spare::start(dir.to_owned(), options.segment_bytes_max, 1)?;
        let committer = Committer::new(Arc::clone(&shared), storage, tail, spares, deliver, options);
        let committer_thread = thread::Builder::new()
            .name("journal-commit".to_owned())
            .spawn(move || committer.run())
            .map_err(|source| Failure::new("start a thread for the journal in", dir, source))?;
        let threads = Mutex::new(vec![committer_thread, spare_thread]);
        Ok(Opened {
            journal: Journal {
                shared,
                threads,
                _lock: lock,
            },
            committed,
            recovered,
        })
    }

    /// Accepts a record and returns its position; does not wait for the disk.
    ///
    /// The record is durable once it is delivered, or [`Journal::durable`] is past its position. Records of one
    /// thread keep their order.
    ///
    /// # Errors
    /// [`AppendError`]; then the record is not in the journal and takes no position.
    pub fn append(&self, partition: u16, record: impl Into<Bytes>) -> Result<Position, AppendError> {
        Ok(self.shared.queue.push([(partition, record.into())])?.start)
    }

    /// Accepts all of `records` under consecutive positions, or none; otherwise like [`Journal::append`].
    ///
    /// They may become durable in several batches, so a crash can keep a first part of them.
    ///
    /// # Errors
    /// [`AppendError`]; then none of the records is in the journal.
    pub fn append_all(&self, records: Vec<(u16, Bytes)>) -> Result<Range<Position>, AppendError> {
        self.shared.queue.push(records)
    }

    /// The first position that is not durable yet; all before it are.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.shared.progress.durable()
    }

    /// Waits until the record at `position` is durable.
    ///
    /// # Errors
    /// [`WaitError`] if it was not in time, or never will be by this opening of the journal.
    pub fn wait_durable(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.shared.progress.wait(position, timeout)
    }

    /// Reads the durable records from `from` on. The reader may outlive the journal.
    ///
    /// Finding `from` in its segment reads that segment up to it.
    ///
    /// # Errors
    /// [`JournalError::BeyondEnd`], or what the disk says.
    pub fn reader(&self, from: Position) -> Result<Reader, JournalError> {
        Reader::new(Arc::clone(&self.shared.progress), from, None)
    }

    /// What the journal did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            batches: counters.batches.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            disk_bytes: counters.disk_bytes.load(Ordering::Relaxed),
            sync_us_total: counters.sync_us_total.load(Ordering::Relaxed),
            sync_us_max: counters.sync_us_max.load(Ordering::Relaxed),
            queued_bytes: self.shared.queue.queued_bytes(),
        }
    }

    /// The failure at which the journal stopped, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self.shared.progress.ending() {
            Some(Ending::Stopped(failure)) => Some(failure),
            Some(Ending::Closed) | None => None,
        }
    }

    /// Makes durable and delivers what was accepted, seals the end, and ends the threads. The directory stays locked
    /// until the journal is dropped. Closing again does nothing.
    ///
    /// # Errors
    /// The failure at which the journal stopped, now or before.
    pub fn close(&self) -> Result<Position, Failure> {
        self.shared.queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic in the committer has become a failure already; the other thread has nothing to tell.
            let _ = thread.join();
        }
        drop(threads);
        self.failure().map_or_else(|| Ok(self.durable()), Err)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A failure was told to the subscriber, to appenders and to the log.
        let _ = self.close();
    }
}

/// Reads a journal that nobody writes, and changes nothing. A writer is kept out until the reader is dropped.
///
/// # Errors
/// [`JournalError`]; a torn batch is not an error and is not read.
pub fn read_closed(dir: impl AsRef<Path>) -> Result<(Reader, Recovered), JournalError> {
    let dir = dir.as_ref();
    let lock = DirLock::shared(dir)?;
    let Some(scan) = recovery::scan(dir, lock.uid())? else {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there are no segments");
        return Err(Failure::new("read the journal in", dir, source).into());
    };
    let progress = Progress::new(dir.to_owned(), scan.recovered.end, scan.segments);
    progress.end(Ending::Closed);
    Ok((
        Reader::new(Arc::new(progress), Position::START, Some(lock))?,
        scan.recovered,
    ))
}

/// Creates `dir` durably.
fn create_dir(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|source| Failure::new("create the directory", dir, source))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => segment::sync_dir(parent),
        _ => segment::sync_dir(&PathBuf::from(".")),
    }
}

type Start = (Recovered, Vec<recovery::Segment>, Tail);

/// Goes on where the scan ended.
fn resume(scan: Scan) -> Result<Start, JournalError> {
    let file = recovery::settle(&scan)?;
    let Scan {
        recovered,
        segments,
        tail,
    } = scan;
    if recovered.torn_bytes > 0 {
        tracing::warn!(bytes = recovered.torn_bytes, end = %recovered.end, "cut a torn batch, never delivered");
    }
    let segment = segments[segments.len() - 1].clone();
    Ok((
        recovered,
        segments,
        Tail {
            file,
            segment,
            offset: tail.offset,
            chain: tail.chain,
        },
    ))
}

/// Makes the first segment.
fn create(dir: &Path, segment_bytes: u64) -> Result<Start, JournalError> {
    let uid = Uuid::new_v4();
    let header = SegmentHeader {
        uid,
        number: 0,
        segment_bytes,
        previous_end: 0,
        chain: Chain::START,
    };
    let file = Spare::prepare(dir, 0, segment_bytes)?.install(dir, &header)?;
    let segment = recovery::Segment {
        path: segment::path(dir, 0),
        header,
    };
    let recovered = Recovered {
        records: 0,
        bytes: 0,
        segments: 1,
        end: Position::START,
        torn_bytes: 0,
        sealed: true,
    };
    let tail = Tail {
        file,
        segment: segment.clone(),
        offset: SEGMENT_HEADER_BYTES,
        chain: Chain::START,
    };
    Ok((recovered, vec![segment], tail))
}
