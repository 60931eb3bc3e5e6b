//! How far the journal is durable, for those who wait for it and those who read.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::recovery::Segment;
use crate::{Failure, Position, WaitError};

/// Shared by the committer, who advances it, and everybody who reads.
pub(crate) struct Progress {
    pub(crate) dir: PathBuf,
    /// The first position that is not durable. A batch's bytes never change once this has passed them.
    durable: AtomicU64,
    ending: Mutex<Option<Ending>>,
    changed: Condvar,
    /// In order. A segment is here before any position in it is durable.
    segments: RwLock<Vec<Segment>>,
}

/// Why there will be no more records.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    Closed,
    Stopped(Failure),
}

impl Progress {
    pub(crate) fn new(dir: PathBuf, durable: Position, segments: Vec<Segment>) -> Progress {
        Progress {
            dir,
            durable: AtomicU64::new(durable.0),
            ending: Mutex::new(None),
            changed: Condvar::new(),
            segments: RwLock::new(segments),
        }
    }

    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ending>> {
        // No code that can panic runs under this lock, so a poisoned one is still in order.
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the committer calls this, after its `fdatasync`.
    pub(crate) fn advance(&self, durable: Position) {
        // The lock orders this against a waiter between its look and its sleep.
        let held = self.lock();
        self.durable.store(durable.0, Ordering::Release);
        drop(held);
        self.changed.notify_all();
    }

    /// The first ending counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.lock().get_or_insert(ending);
        self.changed.notify_all();
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.lock().clone()
    }

    /// Waits until the record at `position` is durable.
    pub(crate) fn wait(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        let start = Instant::now();
        let mut ending = self.lock();
        loop {
            if self.durable() > position {
                return Ok(());
            }
            match &*ending {
                Some(Ending::Closed) => return Err(WaitError::Closed),
                Some(Ending::Stopped(failure)) => return Err(WaitError::Stopped(failure.clone())),
                None => {}
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(WaitError::TimedOut);
            }
            ending = self
                .changed
                .wait_timeout(ending, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(crate) fn add_segment(&self, segment: Segment) {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(segment);
    }

    /// The segment in which `position` is, if it is durable, or will be.
    pub(crate) fn segment_of(&self, position: Position) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.header.chain.position <= position);
        // The first segment starts at position 0, so at least one counts. Of two that start at the same position
        // the later one has the record: the earlier is empty, which only the last may be.
        after.saturating_sub(1) as u64
    }

    pub(crate) fn segments(&self) -> u64 {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}
