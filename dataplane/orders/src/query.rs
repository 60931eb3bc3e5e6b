//! One statement with its parameters, for either database.

use crate::db::{self, Args, DbRow, On};
use sqlx::AssertSqlSafe;
use std::borrow::Cow;
use std::sync::Arc;

/// A parameter; `None` is NULL.
#[derive(Debug, Clone)]
pub(crate) enum Value<'v> {
    Int(Option<i64>),
    Text(Option<Cow<'v, str>>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($from:ty => $value:expr;)+) => {
        $(impl<'v> From<$from> for Value<'v> {
            fn from(from: $from) -> Self {
                let make: fn($from) -> Self = $value;
                make(from)
            }
        })+
    };
}

value_from! {
    i64 => |n| Self::Int(Some(n));
    Option<i64> => Self::Int;
    &'v str => |t| Self::Text(Some(t.into()));
    Option<&'v str> => |t| Self::Text(t.map(Into::into));
    &'v String => |t| Self::Text(Some(t.as_str().into()));
    String => |t| Self::Text(Some(t.into()));
    Option<String> => |t| Self::Text(t.map(Into::into));
    Vec<u8> => |b| Self::Bytes(Some(b));
    Option<Vec<u8>> => Self::Bytes;
}

/// A statement that is being put together.
pub(crate) struct Query<'v> {
    text: Arc<str>,
    values: Vec<Value<'v>>,
}

/// The statement `text`, whose parameters follow with [`Query::bind`].
pub(crate) fn query<'v>(text: impl Into<Arc<str>>) -> Query<'v> {
    Query {
        text: text.into(),
        values: Vec::new(),
    }
}

impl<'v> Query<'v> {
    /// Adds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value<'v>>) -> Self {
        self.values.push(value.into());
        self
    }

    fn ready(self, on: &On<'_>) -> (db::Text, Args) {
        (AssertSqlSafe(self.text), Args::of(on.dialect(), self.values))
    }

    /// Runs it; how many rows it touched.
    pub(crate) async fn execute(self, on: impl Into<On<'_>>) -> Result<u64, sqlx::Error> {
        let on = on.into();
        let (text, args) = self.ready(&on);
        db::execute(on, text, args).await
    }

    /// Gives each row of the answer to `each` as it comes, while that says `true`.
    pub(crate) async fn for_each(
        self,
        on: impl Into<On<'_>>,
        each: impl FnMut(DbRow) -> bool,
    ) -> Result<(), sqlx::Error> {
        let on = on.into();
        let (text, args) = self.ready(&on);
        db::for_each(on, text, args, each).await
    }

    /// All rows of the answer.
    pub(crate) async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<DbRow>, sqlx::Error> {
        let mut rows = Vec::new();
        let keep = |row| {
            rows.push(row);
            true
        };
        self.for_each(on, keep).await?;
        Ok(rows)
    }

    /// The first row of the answer, if it has any.
    pub(crate) async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<DbRow>, sqlx::Error> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The first row of the answer.
    pub(crate) async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<DbRow, sqlx::Error> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }
}
