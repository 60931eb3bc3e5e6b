//! What the order log, the databases and the data plane answered.

use crate::api::LoadState;
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// What somebody answered, if they were asked and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Nobody asked: there is no reason to yet.
    NotAsked,
    /// There was no answer.
    Failed {
        /// Why, in one line, without anything secret.
        error: String,
        /// Since when there is none.
        since: Millis,
    },
    /// The answer.
    Told {
        /// When it was given.
        at: Millis,
        /// What it was.
        value: T,
    },
}

impl<T> Answer<T> {
    /// The answer, however old.
    pub fn told(&self) -> Option<&T> {
        match self {
            Self::Told { value, .. } => Some(value),
            Self::NotAsked | Self::Failed { .. } => None,
        }
    }

    /// Why there is none, if somebody was asked.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::NotAsked | Self::Told { .. } => None,
        }
    }
}

/// What the world answered.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The order log.
    pub log: Answer<LogState>,
    /// The databases of the sale's class.
    pub databases: Databases,
    /// The worker's figures.
    pub figures: Answer<Figures>,
    /// How far the clocks of the sale's processes are off.
    pub clocks: Answer<Vec<ClockOffset>>,
    /// The last audit since the data plane said that the sale is settled.
    pub audit: Answer<Audit>,
    /// How far closing the sale from its log has come; asked when [`CloseFromLog`](crate::Step::CloseFromLog) ran.
    pub closing: Answer<Closing>,
    /// What each gateway that is ready serves as pages; asked where the sale has its own, or a CDN keeps copies.
    pub pages: Answer<Vec<PagesServed>>,
    /// Why the shop's pages can't be published; filled when [`PublishPages`](crate::Step::PublishPages) ran.
    pub publishing: Option<Setback>,
    /// How far the CDN was told; filled when [`PurgeCdn`](crate::Step::PurgeCdn) ran.
    pub purge: Purged,
    /// Whether the shop has taken the report; asked when [`TellShop`](crate::Step::TellShop) ran.
    pub told: Answer<()>,
}

impl World {
    /// Nobody was asked anything.
    #[must_use]
    pub fn unasked() -> Self {
        Self {
            log: Answer::NotAsked,
            databases: Databases::default(),
            figures: Answer::NotAsked,
            clocks: Answer::NotAsked,
            audit: Answer::NotAsked,
            closing: Answer::NotAsked,
            pages: Answer::NotAsked,
            publishing: None,
            purge: Purged::default(),
            told: Answer::NotAsked,
        }
    }
}

/// The sale's namespace and topics in the order log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// What differs from what the sale needs, one sentence each; empty: all is as it should be.
    pub drift: Vec<String>,
}

/// The databases of the sale's class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Databases {
    /// Each, in the class' order. Empty before anybody asked.
    pub each: Vec<DatabaseSeen>,
    /// How far the sale's stock is loaded, by what the databases hold.
    pub load: LoadState,
    /// A sale of the same namespace and name with another uid that isn't settled, if a database knows one.
    pub predecessor: Option<Predecessor>,
}

impl Databases {
    /// The names of those that were asked and don't answer.
    pub fn away(&self) -> impl Iterator<Item = &str> {
        let away = self.each.iter().filter(|seen| seen.answer.error().is_some());
        away.map(|seen| seen.name.as_str())
    }
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSeen {
    /// Its name in the class.
    pub name: String,
    /// Its port, by the class' Secret; `None` while that can't be read.
    pub port: Option<u16>,
    /// What it answered.
    pub answer: Answer<DatabaseState>,
}

/// What a database holds of the sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseState {
    /// Whether the sale's role and schema are there, up to date, and the sale is entered.
    pub ready: bool,
    /// Reservations that wait for their order.
    pub backlog: u64,
    /// Orders that are neither paid nor closed.
    pub pending: u64,
}

/// A sale of the same namespace and name that isn't settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its uid, as the API server had written it, or as the database has it.
    pub uid: String,
    /// The database that knows it.
    pub database: String,
}

/// Where the data plane stands, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataPhase {
    /// Before the opening.
    Armed,
    /// Selling.
    Open,
    /// Closed; reservations become orders.
    Draining,
    /// Orders are paid or closed.
    Settling,
    /// Nothing is pending any more.
    Settled,
}

/// The worker's figures (`live.json`).
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Where the sale stands.
    pub phase: DataPhase,
    /// The units of each item, in the sale's order.
    pub items: Vec<crate::api::ItemFigures>,
    /// Each shard.
    pub shards: Vec<ShardFigures>,
    /// Reservations that wait for their order.
    pub waiting: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_waiting_ms: u64,
    /// Whether all of the stock that the sale was declared with is loaded, as the worker has it.
    pub loaded: bool,
    /// The highest revision in `amendments.json` that has been applied; 0 for none.
    pub amended: i64,
    /// Orders made.
    pub orders: u64,
    /// Orders closed without payment.
    pub closed: u64,
    /// Payments to give back.
    pub refunds_due: u64,
}

/// A shard as the worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFigures {
    /// Its number.
    pub id: u16,
    /// Its owner's epoch.
    pub epoch: u32,
    /// Where its owner stands, in one word of the data plane's.
    pub state: String,
    /// Whether it takes purchases, or would within the window.
    pub open: bool,
    /// The last event that the database has applied.
    pub applied: u64,
}

/// How far a process' clock is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Which process: its pod's name.
    pub process: String,
    /// Its clock minus the operator's, in milliseconds.
    pub offset_ms: i64,
    /// How much of that may be the way there and back, in milliseconds.
    pub uncertain_ms: u64,
}

/// The pages of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagesServed {
    /// Which one: its pod's name.
    pub gateway: String,
    /// The digest of all pages.
    pub version: String,
    /// The digest of the shop's own files among them; empty if there are none.
    pub own: String,
    /// How often each path was asked for.
    pub hits: BTreeMap<String, u64>,
}

/// How far a CDN was told that pages have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Of which pages: the digest of all of them.
    pub version: String,
    /// The paths that it has dropped.
    pub taken: BTreeSet<String>,
    /// What the last call came to, if it wasn't taken.
    pub refused: Option<Setback>,
}

/// Something that holds nothing else up doesn't work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// How often in a row.
    pub times: u32,
    /// When it was tried last.
    pub at: Millis,
    /// Why, in one line.
    pub error: String,
}

impl Setback {
    /// Once more, after those `before`.
    #[must_use]
    pub fn after(before: Option<Self>, at: Millis, error: String) -> Self {
        Self {
            times: before.map_or(0, |before| before.times).saturating_add(1),
            at,
            error,
        }
    }
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// When it ended.
    pub at: Millis,
    /// What doesn't add up, one sentence each; empty: all does.
    pub findings: Vec<String>,
    /// Units loaded over all items.
    pub stock: u64,
    /// Units paid for.
    pub sold: u64,
    /// Orders made.
    pub orders: u64,
    /// Orders closed without payment.
    pub closed: u64,
    /// Payments to give back.
    pub refunds_due: u64,
    /// The whole report as JSON, for the ConfigMap.
    pub report: serde_json::Value,
}

/// How far closing a sale from its log has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// Events of the log that no database has applied yet.
    pub unapplied: u64,
    /// Reservations that wait for their order.
    pub backlog: u64,
    /// Orders that are neither paid nor closed.
    pub pending: u64,
}
