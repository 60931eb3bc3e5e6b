//! What a sale may ask for, what must hold before it opens, and how long things may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{duration::HumanDuration, selector::LabelSelector};

/// Who may use a class.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Which namespaces.
    pub from: NamespacesFrom,
    /// For `Selector`, and needed there: the labels of the namespaces.
    pub selector: Option<LabelSelector>,
}

/// Which namespaces may use a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// All that the operator may write to.
    All,
    /// Those with certain labels.
    Selector,
}

/// How much a sale may ask for; what is left out is not limited.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Items of a sale.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub items: Option<i32>,
    /// Units of a sale over all items.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub stock_per_sale: Option<i64>,
    /// Shards of a sale.
    #[schemars(range(min = 1, max = 128))]
    pub shards: Option<i32>,
    /// Gateways of a sale in each room.
    #[schemars(range(min = 1, max = 500))]
    pub gateways: Option<i32>,
    /// Sales at one time, in all namespaces.
    #[schemars(range(min = 1, max = 1000))]
    pub concurrent_sales: Option<i32>,
    /// Sales at one time in one namespace.
    #[schemars(range(min = 1, max = 1000))]
    pub concurrent_sales_per_namespace: Option<i32>,
    /// How long a FlashSaleSwitch may hold, 1m to 168h: one that says more ends then.
    pub switch_duration: Option<HumanDuration>,
}

/// What must hold before a sale opens, and what may be done to it.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// Whether a sale needs a drill that it passed; left out, it doesn't.
    pub drill: Option<DrillPolicy>,
    /// How old that drill may be, 1h to 720h; left out, 168h.
    pub drill_max_age: Option<HumanDuration>,
    /// How long before its opening a sale's pods are left alone, 0s to 72h; left out, 30m.
    pub freeze_before: Option<HumanDuration>,
    /// What happens when a sale isn't ready at its opening; left out, it opens late.
    pub late_opening: Option<LateOpening>,
    /// How late it may open, 0s to 24h; left out, 10m.
    pub late_opening_grace: Option<HumanDuration>,
    /// What deleting a live sale does; left out, it closes and drains first.
    pub live_deletion: Option<LiveDeletion>,
}

/// Whether a sale needs a drill that it passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrillPolicy {
    /// It doesn't.
    Optional,
    /// It stays closed without one.
    Required,
}

/// What happens when a sale isn't ready at its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LateOpening {
    /// It opens as soon as it is, within the grace.
    Open,
    /// It fails.
    Fail,
}

/// What deleting a live sale does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LiveDeletion {
    /// The sale closes, what was taken is worked off, then it goes.
    Drain,
    /// It is refused until the sale is annotated with its own uid.
    Refuse,
}

/// When things are done, and how long they may take.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// How long before its opening, or its registration's, a sale's parts are made, 1m to 168h; left out, 60m.
    pub provision_before: Option<HumanDuration>,
    /// How long they may take, 1m to 24h; left out, 15m.
    pub provision_timeout: Option<HumanDuration>,
    /// How long loading the stock may take, 10s to 6h; left out, 10m.
    pub warm_timeout: Option<HumanDuration>,
    /// How long the books may take to agree, 1m to 720h; left out, 24h.
    pub settle_timeout: Option<HumanDuration>,
}
