//! What is particular to PostgreSQL: addresses, sessions, error codes.

use super::Pool;
use crate::error::{Error, ErrorKind, Place};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection};
use std::time::Duration;

/// Begins a transaction that sees one moment and changes nothing.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// The oldest server that is supported, as `server_version_num` counts.
const VERSION_MIN: i32 = 130_000;
/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a task waits for a connection: a server that is down isn't waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that write: what several roles of one process do at once.
const WRITERS_MAX: u32 = 4;
/// Connections that only read.
const READERS_MAX: u32 = 4;
/// Prepared statements kept per connection; more than this crate has.
const STATEMENTS_MAX: usize = 256;

/// What each writing session is told. A stalled process loses its rows before others have waited too long
/// for them. Every statement here finds its rows by an index: a plan made while the tables were empty
/// may stay, and must not be to read a whole table.
const WRITER: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("lock_timeout", "10s"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// Connects and brings the schema up to date: connections that write, and connections that read.
pub(crate) async fn open(options: &PgConnectOptions, place: &Place) -> Result<(Pool, Pool), Error> {
    let options = options
        .clone()
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging();
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("flashsale-orders"),
    };
    // One connection made by hand first: a pool would try again until its timeout and hide the cause.
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, options.connect());
    let mut first: PgConnection = match connecting.await {
        Ok(connected) => connected.map_err(|e| Error::of(place, &e))?,
        Err(_) => {
            let what = format!("doesn't answer within {} s", CONNECT_TIMEOUT.as_secs());
            return Err(Error::new(ErrorKind::Unavailable, place, &what));
        }
    };
    // Whatever comes of it, the connection is closed, and with it its locks.
    let prepared = prepare(&mut first, place).await;
    let closed = first.close().await;
    prepared?;
    closed.map_err(|e| Error::of(place, &e))?;
    let pool = |connections| {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
    };
    let writer = pool(WRITERS_MAX)
        .after_connect(|on, _| Box::pin(durably(on)))
        .connect_lazy_with(options.clone().options(WRITER));
    let readers = pool(READERS_MAX).connect_lazy_with(options);
    Ok((Pool::Postgres(writer), Pool::Postgres(readers)))
}

/// What a commit reports is on the disk, whatever the server or the user is set to.
async fn durably(on: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local')",
    )
    .execute(on)
    .await
    .map(|_| ())
}

async fn prepare(first: &mut PgConnection, place: &Place) -> Result<(), Error> {
    let failed = |e: sqlx::Error| Error::of(place, &e);
    let (version, shown, read_only, durable): (i32, String, bool, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool, \
         current_setting('fsync')::bool",
    )
    .fetch_one(&mut *first)
    .await
    .map_err(failed)?;
    check_version(version, &shown, place)?;
    if read_only {
        let what = "is read-only (a replica, or default_transaction_read_only is on)";
        return Err(Error::new(ErrorKind::NotWritable, place, what));
    }
    if !durable {
        tracing::warn!(%place, "this PostgreSQL runs with fsync off: a power cut loses orders");
    }
    let foreign: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename <> '_sqlx_migrations' \
         AND NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'live_units')",
    )
    .fetch_one(&mut *first)
    .await
    .map_err(failed)?;
    if foreign > 0 {
        return Err(place.foreign());
    }
    // Under an advisory lock: of several processes that start at once, one migrates.
    let migrated = sqlx::migrate!("migrations/postgres").run(first).await;
    migrated.map_err(|e| place.not_migrated(e))
}

fn check_version(version: i32, shown: &str, place: &Place) -> Result<(), Error> {
    if version >= VERSION_MIN {
        return Ok(());
    }
    let what = format!("is PostgreSQL {shown}");
    Err(Error::new(ErrorKind::TooOld, place, &what))
}

/// What kind of trouble an error is, by its SQLSTATE.
pub(super) fn classify(error: &sqlx::Error) -> ErrorKind {
    let sqlx::Error::Database(error) = error else {
        return match error {
            sqlx::Error::Tls(_) => ErrorKind::Tls,
            sqlx::Error::Configuration(_) => ErrorKind::Address,
            _ => ErrorKind::Unavailable,
        };
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        "28P01" | "28000" => ErrorKind::Denied,
        "3D000" => ErrorKind::Missing,
        // Read-only, rights that are missing, no schema that may be used.
        "25006" | "42501" | "3F000" => ErrorKind::NotWritable,
        "53100" => ErrorKind::NoSpace,
        // Serialization, deadlock, a lock waited for too long, a transaction idle for too long.
        "40001" | "40P01" | "55P03" | "25P03" => ErrorKind::Busy,
        _ => match code.get(..2).unwrap_or_default() {
            // Damaged data; a violated constraint; a table or column that isn't as it should be.
            "XX" if &*code != "XX000" => ErrorKind::Corrupt,
            "23" | "42" | "22" => ErrorKind::Broken,
            _ => ErrorKind::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_by_its_version() -> Result<(), Error> {
        let (place, _) = Place::parse("postgres://shop:s3cret@db/orders")?;
        check_version(130_000, "13.0", &place)?;
        let refusal = check_version(120_022, "12.22", &place).err();
        assert_eq!(
            refusal.map(|e| (e.kind(), e.to_string())),
            Some((
                ErrorKind::TooOld,
                "order database postgres://shop@db/orders: is PostgreSQL 12.22: use PostgreSQL 13 or newer"
                    .into()
            ))
        );
        Ok(())
    }
}
