//! The FlashSaleSwitch resource: switches that a person flips while sales run.
//!
//! It stands apart from the sale so that no pipeline which owns the sale takes the flip back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    duration::HumanDuration, patterns::OBJECT_NAME, sale::Switches, selector::LabelSelector,
    status::Condition, time::Timestamp,
};

/// Switches of one or more sales, for a time and a reason. All but `expiresAfter` is fixed once it is there.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleSwitchSpec {
    /// The sale, in this object's namespace. Either this or `saleSelector`.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub sale_name: Option<String>,
    /// The sales by their labels, in this object's namespace; `{}` is every sale there.
    pub sale_selector: Option<LabelSelector>,
    /// What is switched. The newest object wins where two set the same switch.
    pub set: Switches,
    /// Why; shown in the sales' status, in events and in the report.
    #[schemars(length(min = 3, max = 500))]
    pub reason: String,
    /// Who flips it; left out, the cluster doesn't say it in the sale's status. An admission policy holds it to the user's own name.
    #[schemars(length(max = 256))]
    pub actor: Option<String>,
    /// How long it holds from its creation on, 1m to 168h; at most as long as the sale's class allows.
    pub expires_after: HumanDuration,
}

impl FlashSaleSwitchSpec {
    /// How long it holds from its creation on, in milliseconds, where a class holds switches to `longest`.
    #[must_use]
    pub fn holds_ms(&self, longest: Option<HumanDuration>) -> u64 {
        let longest = longest.map_or(u64::MAX, HumanDuration::millis);
        self.expires_after.millis().min(longest)
    }
}

/// What became of the switches.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleSwitchStatus {
    /// The generation of the spec that this status is about.
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    pub phase: Option<SwitchPhase>,
    /// What is switched, in one line: `orders.hold=true`.
    #[schemars(length(max = 256))]
    pub summary: Option<String>,
    /// Who flipped it.
    #[schemars(length(max = 256))]
    pub actor: Option<String>,
    /// When it stops holding.
    pub expire_time: Option<Timestamp>,
    /// The sales that it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sales: Vec<SwitchedSale>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where a switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SwitchPhase {
    /// No sale has it in force yet.
    Pending,
    /// It is in force.
    Active,
    /// Newer switches set all that it sets.
    Superseded,
    /// Its time is over.
    Expired,
    /// The class or the sale doesn't allow it.
    Rejected,
}

/// A sale that a switch reaches.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchedSale {
    /// The sale's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The sale's id.
    #[schemars(length(max = 36))]
    pub uid: Option<String>,
    /// How many of the sale's processes act by it, as `12/12`.
    #[schemars(length(max = 16))]
    pub applied: Option<String>,
    /// When all of them did.
    pub applied_time: Option<Timestamp>,
}
