//! `/live.json` of the admin port, as typed structs. Needs nothing but serde.
//!
//! Unknown fields are ignored and missing ones are empty, so that a screen and a server of different versions
//! understand each other.

use serde::{Deserialize, Serialize};

/// One look at a running sale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Live {
    /// The sale's name.
    pub sale: String,
    /// Its namespace.
    pub namespace: String,
    /// `Armed`, `Open`, `Draining`, `Settling` or `Settled`.
    pub phase: String,
    /// The server's clock, milliseconds of the Unix epoch.
    pub now_ms: u64,
    /// The opening, milliseconds of the Unix epoch.
    pub open_time_ms: u64,
    /// The closing, milliseconds of the Unix epoch.
    pub close_time_ms: u64,
    /// The items; for each `sellable + inTransfer + locked + sold = stock`.
    pub items: Vec<LiveItem>,
    /// How many came how far, since the start.
    pub funnel: Funnel,
    /// The rates of the last moment.
    pub rates: Rates,
    /// Tickets waiting for their order.
    pub queue: Queue,
    /// The shards.
    pub shards: Vec<LiveShard>,
    /// The server's own latency, in milliseconds.
    pub latency_ms: LiveLatency,
}

/// The units of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveItem {
    /// The item's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// All units.
    pub stock: u64,
    /// Free to be bought.
    pub sellable: u64,
    /// On the way from one shard to another.
    pub in_transfer: u64,
    /// Held by tickets and orders that are not paid.
    pub locked: u64,
    /// Paid.
    pub sold: u64,
    /// Tickets waiting for their order.
    pub waiting: u64,
}

/// Counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Funnel {
    /// Requests of any kind.
    pub requests: u64,
    /// Purchases tried.
    pub attempts: u64,
    /// Purchases accepted.
    pub won: u64,
    /// Refused: sold out.
    pub sold_out: u64,
    /// Answered with the ticket that was there already.
    pub duplicate: u64,
    /// Refused: over the buyer's limit.
    pub limited: u64,
    /// Refused: before the opening.
    pub not_open: u64,
    /// Refused: busy.
    pub busy: u64,
    /// Failed for another reason.
    pub failed: u64,
    /// Tickets reserved.
    pub reserved: u64,
    /// Orders made.
    pub ordered: u64,
    /// Orders paid.
    pub paid: u64,
    /// Orders closed unpaid or cancelled.
    pub closed: u64,
    /// Payments to be paid back.
    pub refund_due: u64,
}

/// Rates per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rates {
    /// Requests of any kind.
    pub requests_per_second: f64,
    /// Purchases accepted.
    pub won_per_second: f64,
    /// Orders made.
    pub orders_per_second: f64,
}

/// The line between ticket and order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Tickets in it.
    pub waiting: u64,
    /// How long the first one has waited, in seconds.
    pub oldest_seconds: f64,
    /// Orders made a minute.
    pub rate_per_minute: u64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveShard {
    /// Its number.
    pub id: u16,
    /// The epoch of its owner.
    pub epoch: u64,
    /// `Open` if it sells; anything else says why not.
    pub state: String,
    /// The number of the next event.
    pub next: u64,
    /// Events below this number are promised.
    pub promised: u64,
    /// Events below this number are applied.
    pub applied: u64,
    /// Units free to be bought here.
    pub free: u64,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveLatency {
    /// Half of all answers took at most this.
    pub p50: f64,
    /// 99 % did.
    pub p99: f64,
    /// 99.9 % did.
    pub p999: f64,
}
