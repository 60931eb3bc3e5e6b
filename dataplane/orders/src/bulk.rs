//! Statements over many rows at once.
//!
//! SQLite: a statement costs some ten microseconds whatever it does, so rows are sent in chunks whose sizes
//! are powers of two: few texts, each prepared once, and at most eleven statements for any remainder.
//! PostgreSQL: one array per column, so that one text serves any number of rows.

use crate::db::{self, Args, DbRow, Dialect, On, Tx};
use crate::query::Value;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Most rows in one statement to SQLite, as a power of two.
const ROWS_LOG2_MAX: usize = 10;
/// Most parameters of one statement to SQLite.
const PARAMETERS_MAX: usize = 32_766;
/// Most rows in one statement to PostgreSQL: a few megabytes.
const ROWS_MAX: usize = 8_192;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bytes,
}

impl Kind {
    fn array(self) -> &'static str {
        match self {
            Self::Int => "bigint[]",
            Self::Text => "text[]",
            Self::Bytes => "bytea[]",
        }
    }

    fn cast(self) -> &'static str {
        match self {
            Self::Int => "CAST(? AS BIGINT)",
            Self::Text => "CAST(? AS TEXT)",
            Self::Bytes => "?",
        }
    }
}

/// Columns of a statement, in the order in which a row's values are added.
pub(crate) type Columns = [(&'static str, Kind)];

/// A statement over a list of rows, each of the same sale.
#[derive(Debug)]
pub(crate) struct Bulk {
    dialect: Dialect,
    head: String,
    /// One row for SQLite, with `?` for each parameter; all rows for PostgreSQL.
    rows: String,
    tail: String,
    kinds: Vec<Kind>,
    texts: [OnceLock<Arc<str>>; ROWS_LOG2_MAX + 1],
}

impl Bulk {
    /// `INSERT INTO table` of these columns, with `tail` behind.
    pub(crate) fn insert(dialect: Dialect, sale: i64, table: &str, columns: &Columns, tail: &str) -> Self {
        let head = format!("INSERT INTO {table} ({}) ", names(columns));
        match dialect {
            Dialect::Sqlite => {
                let row = format!("({sale}{})", ",?".repeat(columns.len()));
                Self::new(dialect, head + "VALUES", row, tail.into(), columns)
            }
            Dialect::Postgres => Self::new(dialect, head, unnest(sale, columns), tail.into(), columns),
        }
    }

    /// `statement`, which may refer to a list `v` of the sale and these columns. The types of a list that
    /// stands alone can't be seen from a table's columns, so they are said.
    pub(crate) fn list(dialect: Dialect, sale: i64, columns: &Columns, statement: &str) -> Self {
        let head = format!("WITH v ({}) AS (", names(columns));
        let tail = format!(") {statement}");
        match dialect {
            Dialect::Sqlite => {
                let casts: Vec<&str> = columns.iter().map(|(_, kind)| kind.cast()).collect();
                let row = format!("({sale},{})", casts.join(","));
                Self::new(dialect, head + "VALUES", row, tail, columns)
            }
            Dialect::Postgres => Self::new(dialect, head, unnest(sale, columns), tail, columns),
        }
    }

    fn new(dialect: Dialect, head: String, rows: String, tail: String, columns: &Columns) -> Self {
        Self {
            dialect,
            head,
            rows,
            tail,
            kinds: columns.iter().map(|(_, kind)| *kind).collect(),
            texts: Default::default(),
        }
    }

    /// The statement for 2^`log2` rows; for PostgreSQL the same for any number.
    fn text(&self, log2: usize) -> Arc<str> {
        let make = || {
            let rows = match self.dialect {
                Dialect::Sqlite => vec![self.rows.as_str(); 1 << log2].join(","),
                Dialect::Postgres => self.rows.clone(),
            };
            format!("{} {rows}{}", self.head, self.tail).into()
        };
        self.texts[log2].get_or_init(make).clone()
    }

    /// How many of `left` rows go into the next statement, and which text it has.
    fn chunk(&self, left: usize) -> (usize, usize) {
        match self.dialect {
            Dialect::Postgres => (left.min(ROWS_MAX), 0),
            Dialect::Sqlite => {
                let fit = (PARAMETERS_MAX / self.kinds.len().max(1)).ilog2() as usize;
                let log2 = (left.ilog2() as usize).min(fit).min(ROWS_LOG2_MAX);
                (1 << log2, log2)
            }
        }
    }

    fn args<'r, R>(&self, rows: &'r [R], bind: &impl Fn(&mut Row<'r>, &'r R)) -> Args {
        let mut row = match self.dialect {
            Dialect::Sqlite => {
                let mut args = SqliteArguments::default();
                args.reserve(rows.len() * self.kinds.len(), 0);
                Row::Sqlite(args)
            }
            Dialect::Postgres => Row::Postgres {
                columns: self.kinds.iter().map(|k| Array::new(*k, rows.len())).collect(),
                next: 0,
            },
        };
        rows.iter().for_each(|r| bind(&mut row, r));
        match row {
            Row::Sqlite(args) => Args::Sqlite(args),
            Row::Postgres { columns, .. } => {
                let mut args = PgArguments::default();
                columns.into_iter().for_each(|c| c.add_to(&mut args));
                Args::Postgres(args)
            }
        }
    }

    /// Runs the statement for all `rows`; how many rows of the database it touched.
    pub(crate) async fn run<'r, R>(
        &self,
        tx: &mut Tx,
        mut rows: &'r [R],
        bind: impl Fn(&mut Row<'r>, &'r R),
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        while !rows.is_empty() {
            let (count, log2) = self.chunk(rows.len());
            let (now, rest) = rows.split_at(count);
            rows = rest;
            let args = self.args(now, &bind);
            touched += db::execute(On::from(&mut *tx), AssertSqlSafe(self.text(log2)), args).await?;
        }
        Ok(touched)
    }

    /// Runs the statement for all `rows` and returns what it answers.
    pub(crate) async fn fetch<'r, R>(
        &self,
        tx: &mut Tx,
        mut rows: &'r [R],
        bind: impl Fn(&mut Row<'r>, &'r R),
    ) -> Result<Vec<DbRow>, sqlx::Error> {
        let mut answer = Vec::new();
        while !rows.is_empty() {
            let (count, log2) = self.chunk(rows.len());
            let (now, rest) = rows.split_at(count);
            rows = rest;
            let args = self.args(now, &bind);
            let keep = |row| {
                answer.push(row);
                true
            };
            db::for_each(On::from(&mut *tx), AssertSqlSafe(self.text(log2)), args, keep).await?;
        }
        Ok(answer)
    }
}

fn names(columns: &Columns) -> String {
    let mut names = String::from("sale");
    for (name, _) in columns {
        names.push_str(", ");
        names.push_str(name);
    }
    names
}

fn unnest(sale: i64, columns: &Columns) -> String {
    let arrays: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(ix, (_, kind))| format!("${}::{}", ix + 1, kind.array()))
        .collect();
    format!(
        "SELECT {sale}::bigint, list.* FROM unnest({}) AS list",
        arrays.join(", ")
    )
}

/// The parameters being collected.
pub(crate) enum Row<'r> {
    Sqlite(SqliteArguments),
    Postgres { columns: Vec<Array<'r>>, next: usize },
}

impl<'r> Row<'r> {
    /// Adds the next parameter.
    pub(crate) fn add(&mut self, value: impl Into<Value<'r>>) {
        match self {
            Self::Sqlite(args) => db::add_sqlite(args, value.into()),
            Self::Postgres { columns, next } => {
                columns[*next].push(value.into());
                *next = (*next + 1) % columns.len();
            }
        }
    }
}

/// One column of all rows.
pub(crate) enum Array<'r> {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<Cow<'r, str>>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl<'r> Array<'r> {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Int => Self::Int(Vec::with_capacity(rows)),
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
            Kind::Bytes => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value<'r>) {
        match (self, value) {
            (Self::Int(all), Value::Int(n)) => all.push(n),
            (Self::Text(all), Value::Text(text)) => all.push(text),
            (Self::Bytes(all), Value::Bytes(bytes)) => all.push(bytes),
            // A shorter column fails the statement: nothing is written into the wrong place.
            _ => debug_assert!(false, "a value of another kind than its column"),
        }
    }

    fn add_to(self, args: &mut PgArguments) {
        let added = match self {
            Self::Int(all) => args.add(all),
            Self::Text(all) => args.add(all),
            Self::Bytes(all) => args.add(all),
        };
        debug_assert!(added.is_ok());
    }
}
