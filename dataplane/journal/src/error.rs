//! Every way in which the journal says no, and what to do about each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Position;

/// An operation on the disk that failed, with the place and a mend.
///
/// For a running journal it is final: the journal stays stopped until the process opens it anew, which reads back
/// from the disk what really got there.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was tried, as a verb phrase: "write a batch to".
    pub action: &'static str,
    /// The file or directory it was tried on.
    pub path: PathBuf,
    /// The byte offset in that file, where one applies.
    pub offset: Option<u64>,
    /// What the operating system said.
    pub source: Arc<io::Error>,
}

impl Failure {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Failure {
            action,
            path: path.to_owned(),
            offset: None,
            source: Arc::new(source),
        }
    }

    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    fn mend(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free disk space, then restart",
            io::ErrorKind::FileTooLarge => "raise the file size limit (ulimit -f), then restart",
            io::ErrorKind::ReadOnlyFilesystem => "make the file system writable, then restart",
            io::ErrorKind::PermissionDenied => "let this user write to the directory, then restart",
            _ => {
                "look for disk errors in the kernel's log, then restart: recovery reads back what got to the disk"
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {} {}", self.action, self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}; {}", self.source, self.mend())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Why a journal could not be opened or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The options contradict each other; nothing was touched.
    #[error("the journal's option {option} is {value}, but {rule}")]
    Options {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: u64,
        /// The rule it breaks.
        rule: String,
    },
    /// Another process, or another part of this one, has the directory open.
    #[error("the journal in {} is in use by another process: stop that one, or choose another directory", dir.display())]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Failure),
    /// Bytes that had been durable are damaged or missing. Nothing was changed.
    #[error(
        "the journal is corrupt: {} at byte {offset}: {what}. Nothing was changed. \
         The records before position {whole} were found whole; restore the directory from a backup", file.display()
    )]
    Corrupt {
        /// The damaged or missing file.
        file: PathBuf,
        /// Where in it the damage was noticed.
        offset: u64,
        /// What was found, and what was expected.
        what: String,
        /// The records before this position were found whole.
        whole: Position,
    },
    /// A later version of this program wrote the segment.
    #[error("{} has format version {version}, this program reads {supported}: use a newer program", file.display())]
    Version {
        /// The segment file.
        file: PathBuf,
        /// Its version.
        version: u32,
        /// The version this program reads and writes.
        supported: u32,
    },
    /// A reader was asked to start beyond the durable end.
    #[error("the journal ends before position {durable}, so a reader can't start at {from}")]
    BeyondEnd {
        /// The position asked for.
        from: Position,
        /// The durable end.
        durable: Position,
    },
}

/// Why a record was not accepted. A record refused here leaves no trace.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Backpressure: the disk, or the subscriber, is slower than the appenders. Try later.
    #[error(
        "the journal's queue holds {queued_bytes} of {queue_bytes_max} bytes: try again when some are durable"
    )]
    Full {
        /// The bytes accepted but not yet durable, bookkeeping included.
        queued_bytes: u64,
        /// The bound, [`crate::Options::queue_bytes_max`].
        queue_bytes_max: u64,
    },
    /// The record can never be accepted.
    #[error("a record of {bytes} bytes exceeds record_bytes_max = {record_bytes_max}")]
    TooLarge {
        /// The record's length.
        bytes: u64,
        /// The bound, [`crate::Options::record_bytes_max`].
        record_bytes_max: u64,
    },
    /// The journal stopped at a write error and accepts nothing until it is opened anew.
    #[error("the journal has stopped: {0}")]
    Stopped(Failure),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// Why waiting for durability ended without it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WaitError {
    /// Not yet; the record may still become durable.
    #[error("the record is not durable yet")]
    TimedOut,
    /// The journal stopped at a write error: whether the record is on the disk is known after opening anew.
    #[error("the journal has stopped: {0}")]
    Stopped(Failure),
    /// The journal was closed before such a record came.
    #[error("the journal is closed")]
    Closed,
}
