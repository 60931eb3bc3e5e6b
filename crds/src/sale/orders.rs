//! How orders are made, paid and followed up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::KeyRef;
use crate::{
    duration::HumanDuration,
    patterns::{DNS_LABEL, HTTPS_URL},
};

/// How orders are made.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// How many orders are made a minute, steadily.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rate_per_minute: Option<i32>,
    /// Whether orders wait in a queue or are made within the purchase.
    pub flow: Option<OrderFlow>,
    /// How long a buyer may take to pay, 1m to 168h.
    pub payment_timeout: Option<HumanDuration>,
    /// What is done when orders fall behind.
    pub backlog: Option<Backlog>,
    /// How orders reach the shop.
    pub handover: Option<Handover>,
}

/// Where an order is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrderFlow {
    /// From a queue, at the set rate.
    Queue,
    /// Within the purchase.
    Direct,
}

/// What is done when orders fall behind.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// The age of a waiting reservation at which the policy sets in, 10s to 24h.
    pub after: Option<HumanDuration>,
    /// The policy.
    pub policy: BacklogPolicy,
}

/// What happens to reservations that wait for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BacklogPolicy {
    /// They keep waiting.
    Hold,
    /// Their units are sold again and the buyers are told.
    Release,
}

/// How orders reach the shop.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// The way.
    #[serde(rename = "type")]
    pub kind: HandoverType,
    /// For type `Webhook`, and needed there.
    pub webhook: Option<Webhook>,
}

/// The ways in which orders reach the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HandoverType {
    /// The shop reads the order database.
    None,
    /// An HTTP call for each order.
    Webhook,
    /// A topic of the order log.
    Topic,
}

/// How payments come in, and what follows them.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payments {
    /// The secret that signs payment callbacks.
    pub callback_secret_ref: Option<KeyRef>,
    /// Calls that follow an order's events, each delivered at least once.
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub follow_ups: Option<Vec<FollowUp>>,
}

/// A call that follows an order's event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowUp {
    /// Its name, unique in the sale.
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The event. In YAML the key needs quotes, `"on"`: kubectl reads a bare `on` as true.
    pub on: FollowUpEvent,
    /// The call.
    pub webhook: Webhook,
}

/// The events that can be followed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FollowUpEvent {
    /// The order was paid.
    Paid,
    /// The order was closed without payment.
    Closed,
    /// The order was made.
    Ordered,
}

/// An HTTP call to the shop or a service of it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The address.
    #[schemars(length(max = 512), regex(pattern = HTTPS_URL))]
    pub url: String,
    /// The secret that signs the call.
    pub signing_secret_ref: Option<KeyRef>,
    /// How long an answer is waited for, 1s to 30s.
    pub timeout: Option<HumanDuration>,
}
