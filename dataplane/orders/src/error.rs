//! What can go wrong with the database, in one line: what, where, and what to do.

use crate::db;

/// What kind of trouble it is; decides the advice and the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The address can't be used.
    Address,
    /// The file or its directory can't be written.
    NotWritable,
    /// No space, or a limit on the file's size.
    NoSpace,
    /// The file is damaged, or isn't a database.
    Corrupt,
    /// The database was written by a newer version of this program.
    Newer,
    /// The database is another program's.
    Foreign,
    /// The database holds another sale.
    OtherSale,
    /// Somebody else holds the write lock.
    Busy,
    /// The database contradicts what this program guarantees.
    Broken,
    /// Anything else: try again.
    Unavailable,
}

impl ErrorKind {
    /// The exit status of a program that ends because of it, after `sysexits.h`.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Address => 64,
            Self::Corrupt | Self::Foreign => 65,
            Self::Broken => 70,
            Self::NoSpace => 74,
            Self::Busy | Self::Unavailable => 75,
            Self::NotWritable => 77,
            Self::Newer | Self::OtherSale => 78,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::NoSpace)
    }

    fn mend(self) -> &'static str {
        match self {
            Self::Address => "give a file's path, or sqlite:<path>",
            Self::NotWritable => {
                "make the directory and the file writable for this user, or choose another path"
            }
            Self::NoSpace => {
                "free space (or lift the limit on file sizes) and start again; nothing acknowledged is lost"
            }
            Self::Corrupt => {
                "put back a copy of the file, or move it away: what the order log holds is applied again"
            }
            Self::Newer => "use the program's version that wrote it, or a newer one",
            Self::Foreign => "choose another path",
            Self::OtherSale => "choose another path, or move the file away if that sale is settled",
            Self::Busy => "stop the other process that uses the file",
            Self::Broken => "this is a bug: keep the file and report it",
            Self::Unavailable => "try again",
        }
    }
}

/// A failed call to the order database. Nothing of the call was written, unless the failure was in the
/// commit itself: then it may have been, and repeating the call is safe.
#[derive(Debug, Clone, thiserror::Error)]
#[error("order database {place}: {what}: {}", kind.mend())]
pub struct Error {
    kind: ErrorKind,
    place: Box<str>,
    what: Box<str>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, place: &str, what: &str) -> Self {
        Self {
            kind,
            place: one_line(place),
            what: one_line(what),
        }
    }

    pub(crate) fn of(place: &str, error: &sqlx::Error) -> Self {
        let kind = db::classify(error);
        let what = match kind {
            ErrorKind::NotWritable => format!("can't be opened or written ({error})"),
            ErrorKind::NoSpace => format!("can't grow ({error})"),
            ErrorKind::Corrupt => format!("is damaged or isn't a database ({error})"),
            ErrorKind::Busy => format!("is in use ({error})"),
            _ => error.to_string(),
        };
        Self::new(kind, place, &what)
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

fn one_line(text: &str) -> Box<str> {
    text.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// What this crate's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
