//! The records accepted and not yet written: where appenders and the committer meet.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{AppendError, Committed, Failure, Options, Position};

/// A bounded queue. Nothing here waits for the disk.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    queue_bytes_max: u64,
    record_bytes_max: u64,
}

struct State {
    records: VecDeque<Committed>,
    /// The position of the next record.
    next: Position,
    /// What is accepted and not yet settled, the batch in flight included.
    queued_bytes: u64,
    /// Whether the committer waits for a record.
    idle: bool,
    closing: bool,
    failed: Option<Failure>,
}

/// What the committer got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    /// Nothing now.
    Nothing,
    /// Nothing, and nothing will come.
    Closing,
}

fn cost(record: &Bytes) -> u64 {
    record.len() as u64 + Options::RECORD_OVERHEAD_BYTES
}

impl Queue {
    pub(crate) fn new(next: Position, options: &Options) -> Queue {
        let state = State {
            records: VecDeque::new(),
            next,
            queued_bytes: 0,
            idle: false,
            closing: false,
            failed: None,
        };
        Queue {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            queue_bytes_max: options.queue_bytes_max,
            record_bytes_max: options.record_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is still in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts all of `records` under consecutive positions, or none.
    pub(crate) fn push<R>(&self, records: R) -> Result<Range<Position>, AppendError>
    where
        R: AsRef<[(u16, Bytes)]> + IntoIterator<Item = (u16, Bytes)>,
    {
        let mut added = 0;
        for (_, record) in records.as_ref() {
            let bytes = record.len() as u64;
            if bytes > self.record_bytes_max {
                return Err(AppendError::TooLarge {
                    bytes,
                    record_bytes_max: self.record_bytes_max,
                });
            }
            added += cost(record);
        }
        let mut state = self.lock();
        if let Some(failure) = &state.failed {
            return Err(AppendError::Stopped(failure.clone()));
        }
        if state.closing {
            return Err(AppendError::Closed);
        }
        if state.queued_bytes + added > self.queue_bytes_max {
            let (queued_bytes, queue_bytes_max) = (state.queued_bytes, self.queue_bytes_max);
            return Err(AppendError::Full {
                queued_bytes,
                queue_bytes_max,
            });
        }
        let first = state.next;
        for (partition, record) in records {
            let position = state.next;
            state.records.push_back(Committed {
                position,
                partition,
                record,
            });
            state.next = position.plus(1);
        }
        state.queued_bytes += added;
        let range = first..state.next;
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(range)
    }

    /// Moves all that arrived to the empty `into`; does not wait.
    pub(crate) fn take(&self, into: &mut VecDeque<Committed>) -> Taken {
        let mut state = self.lock();
        if !state.records.is_empty() {
            std::mem::swap(&mut state.records, into);
            Taken::Some
        } else if state.closing {
            Taken::Closing
        } else {
            Taken::Nothing
        }
    }

    /// Returns when there is something to take or the journal is closing.
    pub(crate) fn wait(&self) {
        let mut state = self.lock();
        while state.records.is_empty() && !state.closing {
            state.idle = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
    }

    /// Frees the room of records that are durable.
    pub(crate) fn settle(&self, records: &[Committed]) {
        let bytes: u64 = records.iter().map(|record| cost(&record.record)).sum();
        self.lock().queued_bytes -= bytes;
    }

    /// Refuses all further records; what was accepted is still written.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Refuses all further records, and drops those accepted.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.failed = Some(failure);
        state.records = VecDeque::new();
    }

    pub(crate) fn queued_bytes(&self) -> u64 {
        self.lock().queued_bytes
    }
}
