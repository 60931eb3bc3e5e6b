//! What can go wrong with the database, in one line: what, where, and what to do.

use crate::db::Dialect;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;

/// What kind of trouble it is; decides the advice and the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The address can't be used.
    Address,
    /// The server refuses the user or the password.
    Denied,
    /// The server has no such database.
    Missing,
    /// No secure connection could be made.
    Tls,
    /// The server is older than this program supports.
    TooOld,
    /// The file or its directory, or the database, can't be written.
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
    /// The databases aren't those, or not in the order, that this sale began with.
    OtherSet,
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
            Self::NotWritable | Self::Denied => 77,
            Self::Newer | Self::OtherSale | Self::OtherSet | Self::Missing | Self::Tls | Self::TooOld => 78,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::NoSpace)
    }

    fn mend(self, dialect: Dialect) -> &'static str {
        use Dialect::{Postgres, Sqlite};
        match (self, dialect) {
            (Self::Address, _) => {
                "give a file's path, sqlite:<path>, or postgres://user:password@host:port/database"
            }
            (Self::Denied, _) => "correct the user or the password in the address",
            (Self::Missing, _) => "create the database, or correct its name in the address",
            (Self::Tls, _) => {
                "give the server's certificate authority with sslrootcert=<file>, or choose another sslmode"
            }
            (Self::TooOld, _) => "use PostgreSQL 13 or newer",
            (Self::NotWritable, Sqlite) => {
                "make the directory and the file writable for this user, or choose another path"
            }
            (Self::NotWritable, Postgres) => {
                "give the address of the primary, and a user who may create tables in the schema"
            }
            (Self::NoSpace, Sqlite) => {
                "free space (or lift the limit on file sizes) and start again; nothing acknowledged is lost"
            }
            (Self::NoSpace, Postgres) => "free space on the server's disk; nothing acknowledged is lost",
            (Self::Corrupt, _) => {
                "restore it from a backup: what the order log holds is applied again, but payments are only here"
            }
            (Self::Newer, _) => "use the program's version that wrote it, or a newer one",
            (Self::Foreign, Sqlite) => "choose another path",
            (Self::Foreign, Postgres) => "choose another database, or another schema",
            (Self::OtherSale, Sqlite) => "choose another path, or move the file away if that sale is settled",
            (Self::OtherSale, Postgres) => "choose another database",
            (Self::OtherSet, _) => "give the same databases in the same order as at first",
            (Self::Busy, Sqlite) => "stop the other process that uses the file",
            (Self::Busy, Postgres) => "try again",
            (Self::Broken, Sqlite) => "this is a bug: keep the file and report it",
            (Self::Broken, Postgres) => "this is a bug: keep the database and report it",
            (Self::Unavailable, _) => "try again",
        }
    }
}

/// Where a database is, without any password.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) dialect: Dialect,
    text: Box<str>,
}

/// What an address names.
#[derive(Debug)]
pub(crate) enum Target {
    File(PathBuf),
    Server(Box<PgConnectOptions>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Place {
    /// What `target` names: a path, `sqlite:<path>` or `postgres://…`.
    pub(crate) fn parse(target: &str) -> Result<(Self, Target)> {
        if target.starts_with("postgres:") || target.starts_with("postgresql:") {
            return Self::server(target);
        }
        let place = |text: &str| Self {
            dialect: Dialect::Sqlite,
            text: one_line(text),
        };
        let path = match target.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            _ => target,
        };
        if path.is_empty() || path == ":memory:" || path.contains('\0') {
            let what = "isn't the path of a file";
            return Err(Error::new(ErrorKind::Address, &place(target), what));
        }
        Ok((place(path), Target::File(path.into())))
    }

    /// Where nothing is.
    pub(crate) fn none() -> Self {
        Self {
            dialect: Dialect::Sqlite,
            text: "(none)".into(),
        }
    }

    fn server(url: &str) -> Result<(Self, Target)> {
        let place = Self {
            dialect: Dialect::Postgres,
            text: one_line(&without_password(url)),
        };
        let refuse = |what: &str| Err(Error::new(ErrorKind::Address, &place, what));
        if !url.contains("://") {
            return refuse("isn't an address");
        }
        match PgConnectOptions::from_str(url) {
            Ok(options) if options.get_database().is_none_or(str::is_empty) => refuse("names no database"),
            Ok(options) => Ok((place, Target::Server(Box::new(options)))),
            Err(error) => refuse(&format!("isn't an address ({error})")),
        }
    }

    pub(crate) fn corrupt(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, self, &format!("holds {what}"))
    }

    pub(crate) fn foreign(&self) -> Error {
        Error::new(ErrorKind::Foreign, self, "holds the tables of another program")
    }

    pub(crate) fn not_migrated(&self, error: MigrateError) -> Error {
        use MigrateError::{Execute, ExecuteMigration, VersionMismatch, VersionMissing};
        match error {
            VersionMissing(version) => {
                let what = format!("has schema version {version}, which this program doesn't know");
                Error::new(ErrorKind::Newer, self, &what)
            }
            VersionMismatch(version) => {
                let what = format!("has another schema under version {version}");
                Error::new(ErrorKind::Newer, self, &what)
            }
            Execute(e) | ExecuteMigration(e, _) => Error::of(self, &e),
            e => Error::new(ErrorKind::Unavailable, self, &e.to_string()),
        }
    }
}

/// The address as people may see it: no password, and none of the options behind, which may hold one.
fn without_password(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split(':').next().unwrap_or_default().to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, at)) => format!("{scheme}://{}@{at}", user.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

/// A failed call to the order database. Nothing of the call was written, unless the failure was in the
/// commit itself: then it may have been, and repeating the call is safe.
#[derive(Debug, Clone, thiserror::Error)]
#[error("order database {place}: {what}: {}", kind.mend(place.dialect))]
pub struct Error {
    kind: ErrorKind,
    place: Place,
    what: Box<str>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, place: &Place, what: &str) -> Self {
        Self {
            kind,
            place: place.clone(),
            what: one_line(what),
        }
    }

    pub(crate) fn of(place: &Place, error: &sqlx::Error) -> Self {
        let kind = place.dialect.classify(error);
        let said = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        };
        let what = match (kind, place.dialect) {
            (ErrorKind::NotWritable, Dialect::Sqlite) => format!("can't be opened or written ({said})"),
            (ErrorKind::NotWritable, Dialect::Postgres) => format!("can't be written ({said})"),
            (ErrorKind::NoSpace, _) => format!("can't grow ({said})"),
            (ErrorKind::Corrupt, _) => format!("is damaged or isn't a database ({said})"),
            (ErrorKind::Busy, _) => format!("is in use ({said})"),
            (ErrorKind::Unavailable, Dialect::Postgres) => format!("can't be reached ({said})"),
            _ => said,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_ever_shown() {
        for (url, shown) in [
            (
                "postgres://shop:s3cret@db:5432/orders",
                "postgres://shop@db:5432/orders",
            ),
            (
                "postgresql://shop:p@ss@db/orders?password=s3cret",
                "postgresql://shop@db/orders",
            ),
            ("postgres://db/orders?user=a&password=b", "postgres://db/orders"),
            ("postgres:shop:s3cret", "postgres"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
