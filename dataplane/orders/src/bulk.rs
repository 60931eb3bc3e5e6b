//! Statements over many rows at once.
//!
//! A statement costs some ten microseconds whatever it does, so rows are sent in chunks whose sizes are
//! powers of two: few texts, each prepared once, and at most eleven statements for any remainder.

use crate::db::{self, Args, Conn, Db, DbRow, PARAMETERS_MAX};
use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use std::sync::{Arc, OnceLock};

/// Most rows in one statement, as a power of two.
const ROWS_LOG2_MAX: usize = 10;

/// A statement `head (row), (row), … tail`, kept in all its sizes.
#[derive(Debug)]
pub(crate) struct Bulk {
    head: String,
    /// One row, with `?` for each parameter.
    row: String,
    tail: String,
    parameters: usize,
    texts: [OnceLock<Arc<str>>; ROWS_LOG2_MAX + 1],
}

impl Bulk {
    pub(crate) fn new(head: impl Into<String>, row: impl Into<String>, tail: impl Into<String>) -> Self {
        let row = row.into();
        Self {
            head: head.into(),
            parameters: row.matches('?').count(),
            row,
            tail: tail.into(),
            texts: Default::default(),
        }
    }

    /// The statement for 2^`log2` rows.
    fn text(&self, log2: usize) -> Arc<str> {
        let make = || {
            let mut text = self.head.clone();
            let mut n = 0;
            for row in 0..1usize << log2 {
                text.push_str(if row == 0 { " " } else { "," });
                for (at, part) in self.row.split('?').enumerate() {
                    if at > 0 {
                        n += 1;
                        text.push_str(&db::placeholder(n));
                    }
                    text.push_str(part);
                }
            }
            text.push_str(&self.tail);
            text.into()
        };
        self.texts[log2].get_or_init(make).clone()
    }

    /// How many of `left` rows go into the next statement, as a power of two.
    fn chunk(&self, left: usize) -> usize {
        let fit = (PARAMETERS_MAX / self.parameters.max(1)).ilog2() as usize;
        (left.ilog2() as usize).min(fit).min(ROWS_LOG2_MAX)
    }

    fn query<R>(&self, rows: &[R], bind: impl Fn(&mut Row, &R)) -> Query<'static, Db, Args> {
        let log2 = rows.len().ilog2() as usize;
        let mut row = Row(Args::default());
        sqlx::Arguments::reserve(&mut row.0, rows.len() * self.parameters, 0);
        rows.iter().for_each(|r| bind(&mut row, r));
        sqlx::query_with(AssertSqlSafe(self.text(log2)), row.0)
    }

    /// Runs the statement for all `rows`; how many rows of the database it touched.
    pub(crate) async fn run<R>(
        &self,
        on: &mut Conn,
        mut rows: &[R],
        bind: impl Fn(&mut Row, &R),
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        while !rows.is_empty() {
            let (now, rest) = rows.split_at(1 << self.chunk(rows.len()));
            rows = rest;
            touched += self.query(now, &bind).execute(&mut *on).await?.rows_affected();
        }
        Ok(touched)
    }

    /// Runs the statement for all `rows` and returns what it answers.
    pub(crate) async fn fetch<R>(
        &self,
        on: &mut Conn,
        mut rows: &[R],
        bind: impl Fn(&mut Row, &R),
    ) -> Result<Vec<DbRow>, sqlx::Error> {
        let mut answer = Vec::new();
        while !rows.is_empty() {
            let (now, rest) = rows.split_at(1 << self.chunk(rows.len()));
            rows = rest;
            answer.append(&mut self.query(now, &bind).fetch_all(&mut *on).await?);
        }
        Ok(answer)
    }
}

/// The parameters being collected.
pub(crate) struct Row(Args);

impl Row {
    /// Adds the next parameter. Numbers, texts and bytes can't fail to encode.
    pub(crate) fn add<'t, T>(&mut self, value: T)
    where
        T: sqlx::Encode<'t, Db> + sqlx::Type<Db>,
    {
        let added = sqlx::Arguments::add(&mut self.0, value);
        debug_assert!(added.is_ok());
    }
}
