//! What is pinned, what is waited for, and what was changed on the way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::time::Timestamp;

/// The class as it was when the sale was provisioned; later edits of the class don't reach this sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassPin {
    /// The class' name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The class' id.
    #[schemars(length(max = 36))]
    pub uid: String,
    /// The generation of its spec.
    #[schemars(range(min = 0))]
    pub generation: i64,
}

/// What the sale's pods are made from.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionPin {
    /// The ControllerRevision with the rendered templates; it owns all that belongs to the sale.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The version of the operator that rendered it.
    #[schemars(length(max = 64))]
    pub operator_version: Option<String>,
    /// The image of the data plane.
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// The digest of the spec that it was rendered from.
    #[schemars(length(max = 80))]
    pub spec_digest: Option<String>,
}

/// Something that must hold before the sale opens.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Its name, such as `StockLoaded`.
    #[schemars(length(max = 64))]
    pub name: String,
    /// Whether it holds.
    pub status: GateStatus,
    /// Whether the sale stays closed without it.
    pub blocking: Option<bool>,
    /// When it must hold at the latest.
    pub due_time: Option<Timestamp>,
    /// Why it doesn't hold, as one word for machines.
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Why it doesn't hold and what to do, as a sentence for people.
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// Whether a gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateStatus {
    /// It isn't known yet.
    Pending,
    /// It holds.
    Passed,
    /// It doesn't hold.
    Failed,
}

/// How far the stock is loaded.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadStatus {
    /// Where it stands.
    pub state: LoadState,
    /// The id under which the database knows this load, so that it happens once.
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The generation of the spec whose stock is loaded.
    #[schemars(range(min = 0))]
    pub generation: Option<i64>,
    /// Units loaded so far, over all items.
    #[schemars(range(min = 0))]
    pub units: Option<i64>,
    /// When the last load was complete.
    pub loaded_time: Option<Timestamp>,
}

/// Where the loading of stock stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadState {
    /// Nothing is loaded, and nothing was begun.
    #[default]
    Unseeded,
    /// It was begun. Whoever comes next goes on with it and never begins anew.
    Seeding,
    /// All is loaded.
    Seeded,
}

/// When things happen, or must have happened.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When the sale's parts are made.
    pub provision_time: Option<Timestamp>,
    /// When they must be ready, else the sale is stalled.
    pub provision_deadline: Option<Timestamp>,
    /// When the stock must be loaded, else the sale is stalled.
    pub warm_deadline: Option<Timestamp>,
    /// When registration starts.
    pub registration_open_time: Option<Timestamp>,
    /// When registration ends.
    pub registration_close_time: Option<Timestamp>,
    /// From when on the sale's parts are left alone.
    pub freeze_time: Option<Timestamp>,
    /// When buying starts.
    pub open_time: Option<Timestamp>,
    /// When a sale whose gates are still red is given up.
    pub opening_deadline: Option<Timestamp>,
    /// When buying ends.
    pub close_time: Option<Timestamp>,
    /// When open orders must be worked off, else teardown is blocked.
    pub drain_deadline: Option<Timestamp>,
    /// When the books must agree, else teardown is blocked.
    pub settle_deadline: Option<Timestamp>,
    /// When the sale's parts are removed.
    pub teardown_time: Option<Timestamp>,
}

/// A switch in force.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchInForce {
    /// The switch, such as `orders.hold`.
    #[schemars(length(max = 32))]
    pub name: String,
    /// Its value, such as `true`.
    #[schemars(length(max = 128))]
    pub value: String,
    /// What sets it.
    pub source: SwitchSource,
    /// The object that sets it.
    #[schemars(length(max = 253))]
    pub source_name: Option<String>,
    /// Why it was set.
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
    /// Who set it.
    #[schemars(length(max = 256))]
    pub actor: Option<String>,
    /// Since when it holds.
    pub since_time: Option<Timestamp>,
    /// When it stops holding.
    pub expire_time: Option<Timestamp>,
    /// How many of the sale's processes act by it, as `12/12`.
    #[schemars(length(max = 16))]
    pub applied: Option<String>,
}

/// What sets a switch, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SwitchSource {
    /// A signed call to the sidecars, while the API server was out of reach.
    BreakGlass,
    /// A FlashSaleSwitch.
    Switch,
    /// The sale's own spec.
    Sale,
    /// The class.
    Class,
}

/// Which pages buyers see.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PagesStatus {
    /// The digest of the pages that all gateways serve.
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// The digest of those of which the CDN was told last.
    #[schemars(length(max = 64))]
    pub purged_version: Option<String>,
}

/// The last change of the spec after the stock was loaded.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Amendment {
    /// The generation of the spec with the change.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// What became of it.
    pub state: AmendmentState,
    /// What was changed, or why it was not, as a sentence.
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AmendmentState {
    /// Not all of the sale's parts know it yet.
    Pending,
    /// All of the sale's parts act by it.
    Applied,
    /// It came too late.
    Rejected,
}

/// The value of a field that the spec leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveValue {
    /// The field, such as `orders.paymentTimeout`.
    #[schemars(length(max = 128))]
    pub field: String,
    /// Its value, as it would stand in the spec.
    #[schemars(length(max = 512))]
    pub value: String,
    /// Where the value comes from.
    #[schemars(length(max = 253))]
    pub source: String,
}

/// How much is run, and why.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// Shards, each with its partition of the order log.
    #[schemars(range(min = 0))]
    pub shards: Option<i32>,
    /// Gateways in each room.
    #[schemars(range(min = 0))]
    pub gateways: Option<i32>,
    /// Order workers.
    #[schemars(range(min = 0))]
    pub workers: Option<i32>,
    /// Orders made a minute.
    #[schemars(range(min = 0))]
    pub rate_per_minute: Option<i32>,
    /// How these numbers follow from stock, registrations and window.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}
