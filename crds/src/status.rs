//! What the operator reports of a sale.
//!
//! Lists are empty rather than missing in these types; an empty list isn't written.

mod condition;
mod figures;
mod phase;
mod places;
mod progress;

pub use condition::{Condition, ConditionStatus, condition, set_condition};
pub use figures::{ItemFigures, SettlementReport, Summary};
pub use phase::{LockLevel, Outcome, Phase};
pub use places::{RoomState, RoomStatus, ShardState, ShardStatus};
pub use progress::{
    Amendment, AmendmentState, ClassPin, EffectiveValue, Gate, GateStatus, LoadState, LoadStatus,
    PagesStatus, PlanSummary, RevisionPin, Schedule, SwitchInForce, SwitchSource,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::time::Timestamp;

/// What the operator reports of a sale.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleStatus {
    /// The generation of the spec that this status is about.
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Where the sale stands.
    pub phase: Option<Phase>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// How much of the spec is fixed; it only grows.
    pub lock_level: Option<LockLevel>,
    /// The class as it was when the sale was provisioned.
    pub class: Option<ClassPin>,
    /// What the sale's pods are made from.
    pub revision: Option<RevisionPin>,
    /// Where buyers go.
    #[serde(rename = "entryURL")]
    #[schemars(length(max = 512))]
    pub entry_url: Option<String>,
    /// What the columns of `kubectl get` show.
    pub summary: Option<Summary>,
    /// What must hold before the sale opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gates: Vec<Gate>,
    /// How far the stock is loaded.
    pub load: Option<LoadStatus>,
    /// When things happen, or must have happened.
    pub schedule: Option<Schedule>,
    /// The units of each item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub items: Vec<ItemFigures>,
    /// When the figures were read.
    pub figures_time: Option<Timestamp>,
    /// The rooms that serve the sale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rooms: Vec<RoomStatus>,
    /// The shards of the sale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub shards: Vec<ShardStatus>,
    /// The switches in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub switches: Vec<SwitchInForce>,
    /// The last change of the spec after the stock was loaded.
    pub amendment: Option<Amendment>,
    /// The values of fields that the spec leaves open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub effective: Vec<EffectiveValue>,
    /// How much is run, and why.
    pub plan: Option<PlanSummary>,
    /// Which pages buyers see, where the sale has its own or a CDN keeps copies.
    pub pages: Option<PagesStatus>,
    /// What was sold in the end, and whether it adds up.
    pub settlement: Option<SettlementReport>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
