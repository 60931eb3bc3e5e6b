//! The report of a sale that is over, as typed structs. Needs nothing but serde.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The sale's name.
    pub sale: String,
    /// The sale's uid.
    pub uid: String,
    /// The seed of the crowd.
    pub seed: u64,
    /// The verdict.
    pub audit: Audit,
    /// What became of each item.
    pub items: Vec<ReportItem>,
    /// What became of the buyers.
    pub buyers: ReportBuyers,
    /// The buyers' latency, in milliseconds.
    pub latency_ms: ReportLatency,
    /// Seconds from the opening to the last unit; absent if some were left.
    pub seconds_to_sold_out: Option<f64>,
    /// Seconds from the opening to 80 % of all units.
    pub seconds_to80_percent: Option<f64>,
    /// Orders made per second while orders were made.
    pub orders_per_second: f64,
    /// How many shards there were.
    pub shards: u16,
    /// From the opening to the end.
    pub duration_seconds: f64,
}

/// The audit's verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audit {
    /// Every check held.
    pub ok: bool,
    /// Each check by its name.
    pub checks: BTreeMap<String, Check>,
}

/// One check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Check {
    /// It held.
    pub ok: bool,
    /// What was compared, in words.
    pub detail: String,
    /// Units, tickets or orders for which it did not hold.
    pub offenders: Vec<String>,
}

/// What became of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportItem {
    /// The item's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// All units.
    pub stock: u64,
    /// Left over.
    pub sellable: u64,
    /// Held by orders that are not paid.
    pub locked: u64,
    /// Paid.
    pub sold: u64,
    /// Price × sold, a decimal number such as `6990000.00`.
    pub revenue: String,
}

/// Each buyer in exactly one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportBuyers {
    /// All buyers.
    pub total: u64,
    /// Were given a ticket.
    pub won: u64,
    /// Left with nothing because it was sold out.
    pub sold_out: u64,
    /// Had a ticket already.
    pub duplicate: u64,
    /// Were refused by a limit.
    pub limited: u64,
    /// Failed for another reason.
    pub failed: u64,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportLatency {
    /// Half of the buyers were answered within this.
    pub p50: f64,
    /// 99 % were.
    pub p99: f64,
    /// 99.9 % were.
    pub p999: f64,
    /// The slowest answer.
    pub max: f64,
}
