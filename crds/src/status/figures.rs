//! Units: of each item, in all, and in the end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::time::Timestamp;

/// What the columns of `kubectl get` show.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many items are sold.
    #[schemars(range(min = 0))]
    pub items: Option<i32>,
    /// Units declared over all items, as `10000`.
    #[schemars(length(max = 24))]
    pub stock: Option<String>,
    /// Units sold over all items, paid or not, as `9871`.
    #[schemars(length(max = 24))]
    pub sold: Option<String>,
    /// Gates that hold, of all, as `9/11`.
    #[schemars(length(max = 16))]
    pub gates: Option<String>,
}

/// The units of an item. Whenever the shards are quiet, sellable + inTransfer + locked + sold = stock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemFigures {
    /// The item's id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Units loaded in all.
    #[schemars(range(min = 0))]
    pub stock: i64,
    /// Units that can be bought.
    #[schemars(range(min = 0))]
    pub sellable: i64,
    /// Units held by buyers who haven't paid yet.
    #[schemars(range(min = 0))]
    pub locked: i64,
    /// Units paid for.
    #[schemars(range(min = 0))]
    pub sold: i64,
    /// Units on their way from one shard to another.
    #[schemars(range(min = 0))]
    pub in_transfer: i64,
}

impl ItemFigures {
    /// Whether no unit is missing and none is there twice.
    pub fn adds_up(&self) -> bool {
        let parts = [self.sellable, self.locked, self.sold, self.in_transfer];
        parts.iter().map(|part| i128::from(*part)).sum::<i128>() == i128::from(self.stock)
    }
}

/// What was sold in the end, and whether it adds up.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettlementReport {
    /// When the books were compared.
    pub time: Option<Timestamp>,
    /// Whether log, database and Redis agree, and each unit is explained.
    #[serde(rename = "auditOK")]
    pub audit_ok: Option<bool>,
    /// What the audit found, in one sentence.
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When the shop's webhook took the report.
    pub told_time: Option<Timestamp>,
    /// The ConfigMap with the report.
    #[schemars(length(max = 253))]
    pub report_config_map: Option<String>,
    /// Units declared over all items.
    #[schemars(range(min = 0))]
    pub stock: Option<i64>,
    /// Units paid for.
    #[schemars(range(min = 0))]
    pub sold: Option<i64>,
    /// Units that go back to the shop.
    #[schemars(range(min = 0))]
    pub returned: Option<i64>,
    /// Orders made.
    #[schemars(range(min = 0))]
    pub orders: Option<i64>,
    /// Orders closed without payment.
    #[schemars(range(min = 0))]
    pub closed: Option<i64>,
    /// Payments that came after their order was closed.
    #[schemars(range(min = 0))]
    pub refunds_due: Option<i64>,
}
