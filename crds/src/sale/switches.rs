//! Degradation switches; the dotted name of a switch (`orders.hold`) is its path here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{ChallengeType, OrderFlow};
use crate::patterns::DNS_LABEL;

/// The switches of a sale; what is left out is not switched.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Switches {
    /// The sale as a whole.
    pub sale: Option<SaleSwitches>,
    /// What buyers meet first.
    pub entry: Option<EntrySwitches>,
    /// The stock engine.
    pub stock: Option<StockSwitches>,
    /// The order log.
    pub order_log: Option<OrderLogSwitches>,
    /// Orders.
    pub orders: Option<OrderSwitches>,
    /// Pages.
    pub pages: Option<PageSwitches>,
    /// Follow-up calls.
    pub follow_ups: Option<FollowUpSwitches>,
    /// Rooms.
    pub rooms: Option<RoomSwitches>,
}

/// Switches of the sale as a whole.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleSwitches {
    /// No purchase is taken while it is on.
    pub paused: Option<bool>,
}

/// Switches of what buyers meet first.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntrySwitches {
    /// Every purchase is answered with "sold out".
    pub sold_out: Option<bool>,
    /// Purchases only by the hidden path.
    #[serde(rename = "hideURL")]
    pub hide_url: Option<bool>,
    /// Another challenge than the sale's.
    pub challenge: Option<ChallengeType>,
    /// Purchases a second that each gateway lets through.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub rate_limit: Option<i32>,
}

/// Switches of the stock engine.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockSwitches {
    /// What counts the stock.
    pub engine: Option<StockEngine>,
}

/// What counts the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StockEngine {
    /// The shard's Redis.
    Redis,
    /// The engine within the sidecar.
    Embedded,
}

/// Switches of the order log.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderLogSwitches {
    /// Events go straight to the database.
    pub bypass: Option<bool>,
}

/// Switches of orders.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderSwitches {
    /// Another rate than the sale's.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub rate_per_minute: Option<i32>,
    /// Another flow than the sale's.
    pub flow: Option<OrderFlow>,
    /// No order is made while it is on.
    pub hold: Option<bool>,
}

/// Switches of pages.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageSwitches {
    /// Only pages made ahead are served.
    #[serde(rename = "static")]
    pub only_static: Option<bool>,
}

/// Switches of follow-up calls.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowUpSwitches {
    /// No call is made while it is on.
    pub paused: Option<bool>,
}

/// Switches of rooms.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomSwitches {
    /// The rooms that take no new buyers.
    #[schemars(
        length(max = 8),
        inner(length(max = 63), regex(pattern = DNS_LABEL)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub drained: Option<Vec<String>>,
}
