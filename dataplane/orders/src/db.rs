//! What is particular to one database: types, placeholders, locking, pragmas. All other SQL of this crate is
//! written so that SQLite and PostgreSQL read it alike.

use crate::error::{Error, ErrorKind};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, SqlitePool, Transaction};
use std::path::Path;
use std::time::Duration;

/// The database driver in use.
pub(crate) type Db = Sqlite;
/// A row of an answer.
pub(crate) type DbRow = SqliteRow;
/// A statement's parameters.
pub(crate) type Args = SqliteArguments;
/// Connections.
pub(crate) type Pool = SqlitePool;
/// One connection.
pub(crate) type Conn = sqlx::SqliteConnection;
/// A transaction that owns its connection.
pub(crate) type Tx = Transaction<'static, Db>;

/// Begins a transaction that will write: takes the one write lock at once, so that what is read in it stays.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Locks the rows that a SELECT reads. Here the transaction already holds the only write lock.
pub(crate) const FOR_UPDATE: &str = "";
/// Most parameters of one statement.
pub(crate) const PARAMETERS_MAX: usize = 32_766;

/// The n-th parameter of a statement with very many. A numbered parameter costs SQLite a search among all
/// names, which makes thousands of them quadratic; the unnamed ones are counted.
pub(crate) fn placeholder(_n: usize) -> String {
    "?".into()
}

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

/// The one connection that writes, making the file if need be.
pub(crate) async fn writer(path: &Path) -> Result<Pool, sqlx::Error> {
    let options = options(path)
        .create_if_missing(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        .thread_name(|_| "orders-writer".into());
    // One connection made by hand first: a pool would try again until its timeout and hide the cause.
    let first: sqlx::SqliteConnection = options.connect().await?;
    sqlx::Connection::close(first).await?;
    Ok(SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options))
}

/// Connections that read what is committed, beside the writer.
pub(crate) fn readers(path: &Path) -> Pool {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(
            options(path)
                .pragma("query_only", "on")
                .thread_name(|n| format!("orders-reader-{n}")),
        )
}

/// What kind of trouble an error of the database is.
pub(crate) fn classify(error: &sqlx::Error) -> ErrorKind {
    let sqlx::Error::Database(error) = error else {
        return match error {
            sqlx::Error::PoolTimedOut => ErrorKind::Busy,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                ErrorKind::Corrupt
            }
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

/// Begins a write. A connection that a failed write left in the middle of a transaction is thrown away.
pub(crate) async fn begin(pool: &Pool) -> Result<Tx, sqlx::Error> {
    match pool.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement | sqlx::Error::WorkerCrashed) => {
            pool.acquire().await?.close().await.ok();
            pool.begin_with(BEGIN).await
        }
        other => other,
    }
}

/// Refuses a file that something else has written, before anything is written to it.
pub(crate) async fn check_ours(pool: &Pool, place: &str) -> Result<(), Error> {
    let foreign: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table'
         AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')",
    )
    .fetch_one(pool)
    .await
    .map_err(|e| Error::of(place, &e))?;
    if foreign > 0 {
        return Err(Error::new(
            ErrorKind::Foreign,
            place,
            "holds the tables of another program",
        ));
    }
    Ok(())
}
