//! The local message table: what others have to be told, written with the change itself and sent afterwards,
//! until it is delivered or given up. Each is sent at least once.

use crate::codec::int;
use crate::db::{DbRow, Dialect, Tx};
use crate::error::Result;
use crate::query::query;
use crate::row::Columns;
use crate::store::Store;
use flashsale_core::ids::Millis;

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An order was made.
    Handover,
    /// An order was paid.
    Paid,
    /// An order was closed.
    Closed,
    /// Money has to be given back.
    Refund,
}

impl Kind {
    /// The word in the database and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Handover => "handover",
            Self::Paid => "paid",
            Self::Closed => "closed",
            Self::Refund => "refund",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Handover, Self::Paid, Self::Closed, Self::Refund]
            .into_iter()
            .find(|k| k.word() == word)
    }
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// To be sent from its `next_at` on.
    Due,
    /// Delivered.
    Delivered,
    /// Given up; waits for somebody to replay it.
    Dead,
}

impl Delivery {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "due" => Some(Self::Due),
            "delivered" => Some(Self::Delivered),
            "dead" => Some(Self::Dead),
            _ => None,
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number, the same each time it is sent: receivers can tell that they know it.
    pub id: u64,
    /// What it tells.
    pub kind: Kind,
    /// To whom.
    pub target: Box<str>,
    /// What, as JSON.
    pub payload: Box<str>,
    /// When it was written.
    pub created_at: Millis,
    /// How often it was tried.
    pub attempts: u32,
    /// When to try it next.
    pub next_at: Millis,
    /// Why the last try failed.
    pub last_error: Option<Box<str>>,
    /// Where it stands.
    pub state: Delivery,
}

/// What to do with a message that couldn't be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Try again at this time.
    At(Millis),
    /// Give it up.
    Dead,
}

/// Which dead messages to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay<'a> {
    /// All of them.
    All,
    /// These.
    Ids(&'a [u64]),
}

/// A message that is to be written.
#[derive(Debug)]
pub(crate) struct NewMessage {
    kind: Kind,
    target: Box<str>,
    payload: String,
    at: Millis,
}

impl NewMessage {
    pub(crate) fn new(kind: Kind, target: &str, payload: &serde_json::Value, at: Millis) -> Self {
        Self {
            kind,
            target: target.into(),
            payload: payload.to_string(),
            at,
        }
    }
}

/// Most bytes kept of an error's text.
const ERROR_BYTES_MAX: usize = 500;

impl Store {
    /// Up to `limit` messages to be sent now, the longest due first. Nothing is marked: one sender at a time.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn due(&self, now: Millis, limit: u32) -> Result<Vec<Message>> {
        let rows = query(
            "SELECT * FROM messages WHERE sale = $1 AND state = 'due' AND next_at <= $2 ORDER BY next_at, id LIMIT $3",
        )
        .bind(self.id)
        .bind(int(now))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.message(row)).collect()
    }

    /// The same of messages to `target` only.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn due_to(&self, target: &str, now: Millis, limit: u32) -> Result<Vec<Message>> {
        let rows = query(
            "SELECT * FROM messages WHERE sale = $1 AND state = 'due' AND next_at <= $2 AND target = $4 \
             ORDER BY next_at, id LIMIT $3",
        )
        .bind(self.id)
        .bind(int(now))
        .bind(i64::from(limit))
        .bind(target.to_owned())
        .fetch_all(&self.readers)
        .await
        .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.message(row)).collect()
    }

    /// When the next message is due, if any is.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn next_due(&self) -> Result<Option<Millis>> {
        let row = query("SELECT min(next_at) FROM messages WHERE sale = $1 AND state = 'due'")
            .bind(self.id)
            .fetch_one(&self.readers)
            .await
            .map_err(|e| self.failed(&e))?;
        let at: Option<i64> = row.first().map_err(|e| self.failed(&e))?;
        Ok(at.map(|t| t as Millis))
    }

    /// These messages were delivered.
    ///
    /// # Errors
    /// The database can't be written: they will be sent again.
    pub(crate) async fn delivered(&self, ids: &[u64]) -> Result<()> {
        let mut tx = self.begin().await?;
        self.statements
            .delivered
            .run(&mut tx, ids, |row, id| row.add(int(*id)))
            .await
            .map_err(|e| self.failed(&e))?;
        self.commit(tx).await
    }

    /// A message couldn't be delivered. Does nothing to one that was delivered meanwhile.
    ///
    /// # Errors
    /// The database can't be written: it will be sent again.
    pub(crate) async fn undelivered(&self, id: u64, error: &str, retry: Retry) -> Result<()> {
        let (state, next_at) = match retry {
            Retry::At(at) => ("due", Some(int(at))),
            Retry::Dead => ("dead", None),
        };
        let end = (0..=ERROR_BYTES_MAX.min(error.len()))
            .rev()
            .find(|&at| error.is_char_boundary(at));
        query(
            "UPDATE messages SET attempts = attempts + 1, last_error = $1, state = $2, \
             next_at = COALESCE($3, next_at) WHERE sale = $4 AND id = $5 AND state = 'due'",
        )
        .bind(error[..end.unwrap_or(0)].replace('\0', " "))
        .bind(state)
        .bind(next_at)
        .bind(self.id)
        .bind(int(id))
        .execute(&self.writer)
        .await
        .map(|_| ())
        .map_err(|e| self.failed(&e))
    }

    /// Up to `limit` messages that were given up, the oldest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn dead_messages(&self, limit: u32) -> Result<Vec<Message>> {
        let rows = query("SELECT * FROM messages WHERE sale = $1 AND state = 'dead' ORDER BY id LIMIT $2")
            .bind(self.id)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.message(row)).collect()
    }

    /// Makes dead messages due again at `now`; how many there were.
    ///
    /// # Errors
    /// The database can't be written; none is due again.
    pub(crate) async fn replay(&self, which: Replay<'_>, now: Millis) -> Result<u64> {
        let mut tx = self.begin().await?;
        let replayed = match which {
            Replay::All => {
                query("UPDATE messages SET state = 'due', next_at = $1 WHERE sale = $2 AND state = 'dead'")
                    .bind(int(now))
                    .bind(self.id)
                    .execute(&mut tx)
                    .await
            }
            Replay::Ids(ids) => {
                let bind = |row: &mut crate::bulk::Row, id: &u64| {
                    row.add(int(*id));
                    row.add(int(now));
                };
                self.statements.replay.run(&mut tx, ids, bind).await
            }
        };
        let replayed = replayed.map_err(|e| self.failed(&e))?;
        self.commit(tx).await?;
        Ok(replayed)
    }

    pub(crate) async fn insert_messages(&self, tx: &mut Tx, messages: &[NewMessage]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        // One transaction at a time writes to SQLite, so the next number is nobody else's.
        let last: Option<i64> = match self.dialect {
            Dialect::Postgres => None,
            Dialect::Sqlite => {
                let last = query("SELECT COALESCE(max(id), 0) FROM messages WHERE sale = $1");
                let row = last.bind(self.id).fetch_one(&mut *tx).await;
                Some(row.and_then(|r| r.first()).map_err(|e| self.failed(&e))?)
            }
        };
        let numbered: Vec<(i64, &NewMessage)> = (last.unwrap_or(0) + 1..).zip(messages).collect();
        let insert = &self.statements.insert_messages;
        let inserted = insert.run(tx, &numbered, |row, (id, message)| {
            if last.is_some() {
                row.add(*id);
            }
            row.add(message.kind.word());
            row.add(&*message.target);
            row.add(&*message.payload);
            row.add(int(message.at));
            row.add(int(message.at));
        });
        if inserted.await.map_err(|e| self.failed(&e))? != messages.len() as u64 {
            return Err(self.broken("fewer messages were written than were to be"));
        }
        Ok(())
    }

    pub(crate) fn message(&self, row: &DbRow) -> Result<Message> {
        let row = Columns(row, &self.place);
        let (kind, state): (&str, &str) = (row.get("kind")?, row.get("state")?);
        Ok(Message {
            id: row.number("id")?,
            kind: Kind::from_word(kind)
                .ok_or_else(|| self.corrupt(&format!("a message of kind {kind:?}")))?,
            target: row.get::<&str>("target")?.into(),
            payload: row.get::<&str>("payload")?.into(),
            created_at: row.number("created_at")?,
            attempts: row.number("attempts")?,
            next_at: row.number("next_at")?,
            last_error: row.get::<Option<&str>>("last_error")?.map(Into::into),
            state: Delivery::from_word(state)
                .ok_or_else(|| self.corrupt(&format!("a message in state {state:?}")))?,
        })
    }
}
