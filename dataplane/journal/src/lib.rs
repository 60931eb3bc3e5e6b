//! A segmented, checksummed, group-committed journal on disk.
//!
//! One journal lives in one directory and is written by one process. It holds opaque records, each tagged with a
//! partition (a shard's number); the records of all partitions share one order, numbered by [`Position`] from 0
//! without gaps. One committer thread writes everything that arrived meanwhile as one *batch* and makes it durable
//! with one `fdatasync`.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use flashsale_journal::{Journal, Options, Position};
//!
//! let opened = Journal::open("data/journal", Options::default())?;
//! for record in opened.journal.reader(Position::START)? {
//!     println!("{:?}", record?); // Rebuild the state from what is durable.
//! }
//! let position = opened.journal.append(7, b"sold".to_vec())?;
//! let batch = opened.committed.recv()??; // Durable, in order, with their bytes.
//! assert_eq!(batch[0].position, position);
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! - A record is delivered, readable or counted by [`Journal::durable`] only after the `fdatasync` that covers it
//!   returned without an error.
//! - After any crash, [`Journal::open`] finds every such record, in order, and at most one whole batch, appended and
//!   in flight at the crash, beyond them; it never makes up a record.
//! - After a failed write or `fdatasync` nothing more is written: the kernel may have dropped the data and marked its
//!   pages clean, so a retry that succeeds proves nothing. Every later append gets the same [`Failure`].
//!
//! # What a crash may leave, and what is corruption
//!
//! Batch *n + 1* is written only after the `fdatasync` of batch *n* returned, so a crash can only damage the last
//! batch, though its sectors in any order and any subset. A batch carries its own length, checksums bound to the
//! journal, segment, offset and position, and the checksum of the batch before it. At the first place where no whole
//! batch is found, recovery searches the rest of the segment:
//!
//! - nothing valid follows: this was the batch in flight; it is cut (overwritten by zeros) and reported;
//! - a valid batch or seal follows, or a later segment exists: what is damaged here had been durable. That is
//!   corruption; opening is refused, says file and offset, and changes nothing.
//!
//! One gap remains in that rule: damage to a *durable* last batch looks like a torn one. A *seal* narrows it: whenever
//! the committer runs dry it writes (without waiting for the disk) a small block after the last batch that says "all
//! before this was durable"; the next batch overwrites it. Closing and opening write it durably. So the gap is open
//! only for the very last batch, until the disk got the seal.
//!
//! If the headers of the last *two* batches and the seal are damaged at once, both are taken for one torn batch.
//! Not detected, because nothing on the disk could tell: the last batches of the last segment, all of them, replaced
//! by zeros (a disk that lied about `fdatasync`), and a directory replaced by an older copy of itself.
//!
//! Deliberately absent: trimming, compaction, encryption, more than one writer.

mod batch;
mod committer;
mod error;
#[cfg(test)]
mod faults;
mod format;
mod journal;
mod lock;
mod options;
mod position;
mod progress;
mod queue;
mod reader;
mod recovery;
mod segment;
mod spare;
mod storage;

pub use error::{AppendError, Failure, JournalError, WaitError};
pub use journal::{Committed, CommittedBatch, Journal, Opened, Stats, read_closed};
pub use options::Options;
pub use position::Position;
pub use reader::Reader;
pub use recovery::Recovered;

// Offsets and lengths are u64 on disk and usize in memory.
const _: () = assert!(usize::BITS >= 64, "the journal needs a 64-bit target");
