//! How much is run, what is limited, and how a sale ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{KeyRef, Webhook};
use crate::{duration::HumanDuration, patterns::DNS_LABEL};

/// How much is run.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPlane {
    /// How many shards the buyers are spread over.
    #[schemars(range(min = 1, max = 128))]
    pub shards: Option<i32>,
    /// The gateways of each room.
    pub gateways: Option<Gateways>,
    /// The order workers.
    pub workers: Option<Workers>,
    /// The rooms that serve it; left out, all of the class.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(max = 63), regex(pattern = DNS_LABEL)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub rooms: Option<Vec<String>>,
}

/// The gateways of each room.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateways {
    /// How many; left out, as planned.
    #[schemars(range(min = 1, max = 500))]
    pub replicas: Option<i32>,
}

/// The order workers.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// How many; left out, as planned.
    #[schemars(range(min = 1, max = 128))]
    pub replicas: Option<i32>,
}

/// Limits on what a buyer or an address may do.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// Attempts to buy, for each buyer over the whole sale.
    #[schemars(range(min = 1, max = 10_000))]
    pub attempts_per_buyer: Option<i32>,
    /// Requests a second for each buyer.
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second_per_buyer: Option<i32>,
    /// Requests a second for each network address.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_second_per_address: Option<i32>,
    /// Buyers and addresses that are turned away.
    pub deny_list_config_map_ref: Option<KeyRef>,
}

/// What happens after the sale has settled.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Teardown {
    /// How long after settlement, up to 720h.
    pub after: Option<HumanDuration>,
    /// Whether the sale's data goes too.
    pub policy: Option<TeardownPolicy>,
    /// How long open orders may take after the close before it is called blocked, 1m to 24h.
    pub drain_timeout: Option<HumanDuration>,
    /// What the shop is told about leftover stock.
    pub settlement: Option<Settlement>,
}

/// What becomes of a sale's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TeardownPolicy {
    /// Orders are kept.
    Retain,
    /// Orders go too.
    Delete,
}

/// What the shop is told about leftover stock.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settlement {
    /// The call with the settlement report.
    pub webhook: Option<Webhook>,
}

/// Calls a sale off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// Why; buyers are shown it.
    #[schemars(length(min = 3, max = 500))]
    pub reason: String,
    /// What becomes of orders that aren't paid yet.
    pub unpaid_orders: UnpaidOrders,
}

/// What becomes of unpaid orders when a sale is called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnpaidOrders {
    /// They can still be paid until their deadline.
    Honor,
    /// They are closed at once.
    Close,
}
