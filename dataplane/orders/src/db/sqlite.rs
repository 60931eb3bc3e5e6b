//! What is particular to SQLite: files, pragmas, error codes.

use super::Pool;
use crate::error::{Error, ErrorKind, Place};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, Transaction};
use std::path::Path;
use std::time::Duration;

/// Begins a transaction that will write: takes the one write lock at once, so that what is read in it stays.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// How long a statement waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a task waits for the writer connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that only read.
const READERS_MAX: u32 = 4;
/// Prepared statements kept per connection; all that this crate has, in all their sizes.
const STATEMENTS_MAX: usize = 256;
/// Rows of an answer that may wait to be taken: few switches between the two threads.
const ROWS_AHEAD: usize = 1024;
/// Pages in the write-ahead log after which it is copied into the file: 16 MiB.
const CHECKPOINT_PAGES: &str = "4000";
/// Page cache of the writer, in KiB (negative by SQLite's convention).
const CACHE_KIB: &str = "-65536";

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_MAX)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// Opens the file, making it if need be: the one connection that writes, and those that read what is
/// committed, beside it. The schema is brought up to date.
pub(crate) async fn open(path: &Path, place: &Place) -> Result<(Pool, Pool), Error> {
    look_at(path, place)?;
    let failed = |e: sqlx::Error| Error::of(place, &e);
    let writing = options(path)
        .create_if_missing(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        .thread_name(|_| "orders-writer".into());
    // One connection made by hand first: a pool would try again until its timeout and hide the cause.
    let mut first: sqlx::SqliteConnection = writing.connect().await.map_err(failed)?;
    let foreign: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'
         AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'live_units')",
    )
    .fetch_one(&mut first)
    .await
    .map_err(failed)?;
    if foreign > 0 {
        return Err(place.foreign());
    }
    let migrated = sqlx::migrate!("migrations/sqlite").run(&mut first).await;
    migrated.map_err(|e| place.not_migrated(e))?;
    sqlx::Connection::close(first).await.map_err(failed)?;
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(writing);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(
            options(path)
                .pragma("query_only", "on")
                .thread_name(|n| format!("orders-reader-{n}")),
        );
    Ok((Pool::Sqlite(writer), Pool::Sqlite(readers)))
}

/// Begins a write. A connection that a failed write left in the middle of a transaction is thrown away.
pub(super) async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    match pool.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement | sqlx::Error::WorkerCrashed) => {
            pool.acquire().await?.close().await.ok();
            pool.begin_with(BEGIN).await
        }
        other => other,
    }
}

/// What kind of trouble an error is.
pub(super) fn classify(error: &sqlx::Error) -> ErrorKind {
    let sqlx::Error::Database(error) = error else {
        return match error {
            sqlx::Error::PoolTimedOut => ErrorKind::Busy,
            _ => ErrorKind::Unavailable,
        };
    };
    const IOERR_WRITE: i32 = 10 | (3 << 8);
    const IOERR_TRUNCATE: i32 = 10 | (6 << 8);
    const IOERR_SHMSIZE: i32 = 10 | (19 << 8);
    let code: i32 = error.code().and_then(|c| c.parse().ok()).unwrap_or(1);
    match (code, code & 0xff) {
        // EFBIG and EDQUOT come as failed writes, ENOSPC as 13.
        (IOERR_WRITE | IOERR_TRUNCATE | IOERR_SHMSIZE, _) | (_, 13) => ErrorKind::NoSpace,
        (_, 5 | 6) => ErrorKind::Busy,
        (_, 3 | 8 | 14 | 23) => ErrorKind::NotWritable,
        (_, 11 | 26) => ErrorKind::Corrupt,
        (_, 19) => ErrorKind::Broken,
        _ => ErrorKind::Unavailable,
    }
}

/// Finds out what SQLite's own errors leave unclear, without changing anything.
fn look_at(path: &Path, place: &Place) -> Result<(), Error> {
    use std::io::Read as _;
    let refuse = |kind, what: &str| Err(Error::new(kind, place, what));
    if path.is_dir() {
        return refuse(ErrorKind::Address, "is a directory");
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return refuse(
            ErrorKind::NotWritable,
            &format!("there is no directory {}", parent.display()),
        );
    }
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(mut file) => {
            let mut head = [0; 16];
            let full = file.metadata().is_ok_and(|m| m.len() > 0);
            if full && (file.read_exact(&mut head).is_err() || &head != b"SQLite format 3\0") {
                return refuse(
                    ErrorKind::Corrupt,
                    "is damaged or isn't a database (its first bytes are others)",
                );
            }
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => refuse(
            ErrorKind::NotWritable,
            &format!("can't be opened or written ({e})"),
        ),
    }
}
