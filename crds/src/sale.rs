//! The FlashSale resource, `flashsale.dev/v1alpha1`.
//!
//! No field has a default here: what a sale leaves open stays open, so that tools which compare files with
//! the cluster see no drift. [`effective`](crate::effective) says what an open field means.

mod buyers;
mod items;
mod meta;
mod operations;
mod orders;
mod switches;

pub use buyers::*;
pub use items::*;
pub use meta::*;
pub use operations::*;
pub use orders::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
pub use switches::*;

use crate::{
    patterns::{CURRENCY, OBJECT_NAME},
    time::Timestamp,
};

/// One flash sale: what is sold, when, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSale {
    /// The version of this resource's format.
    pub api_version: ApiVersion,
    /// The kind of the resource.
    pub kind: Kind,
    /// Its name and labels.
    pub metadata: ObjectMeta,
    /// What is asked for.
    pub spec: FlashSaleSpec,
}

/// The one version there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// `flashsale.dev/v1alpha1`
    #[serde(rename = "flashsale.dev/v1alpha1")]
    V1alpha1,
}

/// The one kind this file format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A sale.
    FlashSale,
}

/// What a sale asks for. Only the window, the currency and the items are required.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleSpec {
    /// When buying starts.
    pub open_time: Timestamp,
    /// When buying ends, 10 seconds to 7 days after it starts.
    pub close_time: Timestamp,
    /// Registration ahead of the sale; left out, there is none.
    pub registration: Option<Registration>,
    /// The FlashSaleClass it runs on; left out, the default class.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub class_name: Option<String>,
    /// The ISO 4217 currency of all prices.
    #[schemars(length(max = 3), regex(pattern = CURRENCY))]
    pub currency: String,
    /// What is sold, up to 128 items. Either this or `itemsFrom`.
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub items: Option<Vec<Item>>,
    /// Where a longer list of items is read from.
    pub items_from: Option<ItemsFrom>,
    /// The address and pages that buyers see.
    pub entry: Option<Entry>,
    /// How buyers prove who they are.
    pub buyers: Option<Buyers>,
    /// Who gets a unit.
    pub admission: Option<Admission>,
    /// How orders are made.
    pub orders: Option<Orders>,
    /// How payments come in, and what follows them.
    pub payments: Option<Payments>,
    /// How much is run.
    pub data_plane: Option<DataPlane>,
    /// Limits on what a buyer or an address may do.
    pub risk: Option<Risk>,
    /// Degradation switches set from the start.
    pub switches: Option<Switches>,
    /// What happens after the sale has settled.
    pub teardown: Option<Teardown>,
    /// Calls the sale off. It can't be taken back.
    pub cancellation: Option<Cancellation>,
}

/// Registration ahead of the sale: a buyer registers once and gets an entitlement.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// When registration starts, before the sale does.
    pub open_time: Timestamp,
    /// When registration ends, at the latest when the sale starts.
    pub close_time: Option<Timestamp>,
    /// Whether only registered buyers may buy.
    pub mode: Option<RegistrationMode>,
    /// How many may register, in percent of the sale's stock.
    #[schemars(range(min = 100, max = 10_000))]
    pub max_percent_of_stock: Option<i32>,
}

/// Whether a registration is needed for buying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RegistrationMode {
    /// Everybody may buy.
    Optional,
    /// Registered buyers only.
    Required,
}

/// Who gets a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// The policy.
    pub policy: AdmissionPolicy,
}

/// The policy by which units go to buyers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdmissionPolicy {
    /// In the order of arrival.
    FirstCome,
    /// By lot.
    Draw,
}
