//! Reading durable records, while more are written.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{self, Found};
use crate::format::{Chain, SEGMENT_HEADER_BYTES};
use crate::lock::DirLock;
use crate::progress::Progress;
use crate::recovery::{Segment, open_segment};
use crate::{Committed, Failure, JournalError, Position, WaitError};

/// An iterator over durable records, in order. Many may read at once, each with its own files.
///
/// At the durable end it yields `None`, and continues after [`Reader::wait`] once there is more: it is not fused. It
/// checks every checksum; damage is an error, after which it yields that error again.
///
/// The bytes of a batch's records share one allocation, which lives as long as any of them.
pub struct Reader {
    progress: Arc<Progress>,
    file: File,
    segment: Segment,
    offset: u64,
    chain: Chain,
    /// The rest of the batch read last.
    records: VecDeque<Committed>,
    /// The next record to yield.
    next: Position,
    /// Keeps writers out while a closed journal is read.
    _lock: Option<DirLock>,
}

impl Reader {
    pub(crate) fn new(
        progress: Arc<Progress>,
        from: Position,
        lock: Option<DirLock>,
    ) -> Result<Reader, JournalError> {
        let durable = progress.durable();
        if from > durable {
            return Err(JournalError::BeyondEnd { from, durable });
        }
        let (file, segment) = open_segment(&progress.dir, progress.segment_of(from))?;
        let (offset, chain) = (SEGMENT_HEADER_BYTES, segment.header.chain);
        let records = VecDeque::new();
        Ok(Reader {
            progress,
            file,
            segment,
            offset,
            chain,
            records,
            next: from,
            _lock: lock,
        })
    }

    /// The position of the next record.
    #[must_use]
    pub fn position(&self) -> Position {
        self.next
    }

    /// The next record, or `None` at the durable end.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if durable bytes are damaged, [`JournalError::Disk`] if they can't be read.
    pub fn try_next(&mut self) -> Result<Option<Committed>, JournalError> {
        if self.next >= self.progress.durable() {
            return Ok(None);
        }
        while self.chain.position <= self.next {
            self.read_batch()?;
        }
        while let Some(record) = self.records.pop_front() {
            if record.position == self.next {
                self.next = self.next.plus(1);
                return Ok(Some(record));
            }
        }
        unreachable!("the batch read last ends after the next record, and was read from its start")
    }

    /// Waits until the next record is durable.
    ///
    /// # Errors
    /// [`WaitError`] if none came in time, or none will come.
    pub fn wait(&self, timeout: Duration) -> Result<(), WaitError> {
        self.progress.wait(self.next, timeout)
    }

    /// Reads the batch that continues the chain. It exists and is durable, since `next` is.
    fn read_batch(&mut self) -> Result<(), JournalError> {
        let header = &self.segment.header;
        let found = batch::read(
            &self.file,
            header.seed(),
            header.segment_bytes,
            self.offset,
            self.chain,
        )
        .map_err(|source| Failure::new("read a batch of", &self.segment.path, source).at(self.offset))?;
        let fault = match found {
            Found::Batch(batch) => {
                self.offset += batch.bytes_on_disk;
                self.chain = batch.chain;
                self.records = batch.records.into();
                return Ok(());
            }
            Found::Seal => None,
            Found::Bad(fault) => Some(fault),
        };
        // Either this segment ends here, and the next one says so, or the batch is damaged.
        if header.number + 1 < self.progress.segments() {
            let (file, next) = open_segment(&self.progress.dir, header.number + 1)?;
            let continues = next.header.previous_end == self.offset && next.header.chain == self.chain;
            if continues && next.header.uid == header.uid {
                self.file = file;
                self.segment = next;
                self.offset = SEGMENT_HEADER_BYTES;
                return Ok(());
            }
        }
        let (offset, what) = fault.map_or_else(
            || (self.offset, "a seal in place of a durable batch".to_owned()),
            |fault| (fault.offset, fault.what),
        );
        Err(JournalError::Corrupt {
            file: self.segment.path.clone(),
            offset,
            what,
            whole: self.chain.position,
        })
    }
}

impl Iterator for Reader {
    type Item = Result<Committed, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}
