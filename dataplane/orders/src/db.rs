//! The two databases behind one face: connections, transactions, statements and rows, whichever it is.
//!
//! SQL is written so that SQLite and PostgreSQL read it alike; placeholders are `$1`, `$2`, … in both. What
//! differs is said by [`Dialect`] and in the two modules below.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use crate::error::ErrorKind;
use crate::query::Value;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection};
use std::borrow::Cow;
use std::sync::Arc;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Dialect {
    /// Locks the rows that a SELECT reads until the transaction ends. A transaction that writes to SQLite
    /// holds the only write lock from its beginning.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Locks the rows that a SELECT reads, without those that somebody else has locked: what they become is
    /// seen the next time.
    pub(crate) fn for_update_of_free(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// What kind of trouble an error is.
    pub(crate) fn classify(self, error: &sqlx::Error) -> ErrorKind {
        match (self, error) {
            (
                _,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_),
            ) => ErrorKind::Corrupt,
            (Self::Sqlite, error) => sqlite::classify(error),
            (Self::Postgres, error) => postgres::classify(error),
        }
    }
}

/// Connections.
#[derive(Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(sqlite::begin(pool).await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction that sees one moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin_with(postgres::SNAPSHOT).await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction that owns its connection. Dropped without a commit, it is rolled back.
pub(crate) enum Tx {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

/// Where a statement runs.
pub(crate) enum On<'a> {
    SqlitePool(&'a SqlitePool),
    Sqlite(&'a mut SqliteConnection),
    PostgresPool(&'a PgPool),
    Postgres(&'a mut PgConnection),
}

impl<'a> From<&'a Pool> for On<'a> {
    fn from(pool: &'a Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'a> From<&'a mut Tx> for On<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        match tx {
            Tx::Sqlite(tx) => Self::Sqlite(tx),
            Tx::Postgres(tx) => Self::Postgres(tx),
        }
    }
}

impl On<'_> {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::SqlitePool(_) | Self::Sqlite(_) => Dialect::Sqlite,
            Self::PostgresPool(_) | Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// A statement's parameters as a driver takes them.
pub(crate) enum Args {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Args {
    pub(crate) fn of(dialect: Dialect, values: Vec<Value<'_>>) -> Self {
        match dialect {
            Dialect::Sqlite => {
                let mut args = SqliteArguments::default();
                values.into_iter().for_each(|v| add_sqlite(&mut args, v));
                Self::Sqlite(args)
            }
            Dialect::Postgres => {
                let mut args = PgArguments::default();
                for value in values {
                    // Numbers, texts and bytes can't fail to encode.
                    let added = match value {
                        Value::Int(n) => args.add(n),
                        Value::Text(text) => args.add(text),
                        Value::Bytes(bytes) => args.add(bytes),
                    };
                    debug_assert!(added.is_ok());
                }
                Self::Postgres(args)
            }
        }
    }
}

pub(crate) fn add_sqlite(args: &mut SqliteArguments, value: Value<'_>) {
    let added = match value {
        Value::Int(n) => args.add(n),
        Value::Text(Some(Cow::Borrowed(text))) => args.add(text),
        Value::Text(text) => args.add(text.map(Cow::into_owned)),
        Value::Bytes(bytes) => args.add(bytes),
    };
    debug_assert!(added.is_ok());
}

/// A statement's text.
pub(crate) type Text = AssertSqlSafe<Arc<str>>;

/// Runs a statement; how many rows it touched.
pub(crate) async fn execute(on: On<'_>, text: Text, args: Args) -> Result<u64, sqlx::Error> {
    Ok(match (on, args) {
        (On::SqlitePool(on), Args::Sqlite(args)) => {
            sqlx::query_with(text, args).execute(on).await?.rows_affected()
        }
        (On::Sqlite(on), Args::Sqlite(args)) => {
            sqlx::query_with(text, args).execute(on).await?.rows_affected()
        }
        (On::PostgresPool(on), Args::Postgres(args)) => {
            sqlx::query_with(text, args).execute(on).await?.rows_affected()
        }
        (On::Postgres(on), Args::Postgres(args)) => {
            sqlx::query_with(text, args).execute(on).await?.rows_affected()
        }
        _ => return Err(mixed()),
    })
}

/// Runs a statement and gives each row of its answer to `each` as it comes, while that says `true`.
pub(crate) async fn for_each(
    on: On<'_>,
    text: Text,
    args: Args,
    mut each: impl FnMut(DbRow) -> bool,
) -> Result<(), sqlx::Error> {
    use futures_util::TryStreamExt as _;
    match (on, args) {
        (On::SqlitePool(on), Args::Sqlite(args)) => {
            let mut rows = sqlx::query_with(text, args).fetch(on);
            while let Some(row) = rows.try_next().await? {
                if !each(DbRow::Sqlite(row)) {
                    break;
                }
            }
        }
        (On::Sqlite(on), Args::Sqlite(args)) => {
            let mut rows = sqlx::query_with(text, args).fetch(on);
            while let Some(row) = rows.try_next().await? {
                if !each(DbRow::Sqlite(row)) {
                    break;
                }
            }
        }
        (On::PostgresPool(on), Args::Postgres(args)) => {
            let mut rows = sqlx::query_with(text, args).fetch(on);
            while let Some(row) = rows.try_next().await? {
                if !each(DbRow::Postgres(row)) {
                    break;
                }
            }
        }
        (On::Postgres(on), Args::Postgres(args)) => {
            let mut rows = sqlx::query_with(text, args).fetch(on);
            while let Some(row) = rows.try_next().await? {
                if !each(DbRow::Postgres(row)) {
                    break;
                }
            }
        }
        _ => return Err(mixed()),
    }
    Ok(())
}

fn mixed() -> sqlx::Error {
    sqlx::Error::Protocol("a statement for one kind of database was given to the other".into())
}

/// A row of an answer.
pub(crate) enum DbRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column can be read as, from either database.
pub(crate) trait Column<'r>:
    sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite> + sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>
{
}

impl DbRow {
    pub(crate) fn get<'r, T: Column<'r>>(&'r self, name: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
        }
    }

    /// The only column.
    pub(crate) fn first<'r, T: Column<'r>>(&'r self) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(0),
            Self::Postgres(row) => row.try_get(0),
        }
    }
}
