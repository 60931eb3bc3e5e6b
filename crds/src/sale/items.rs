//! What is sold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::KeyRef;
use crate::patterns::{HTTPS_URL, ITEM_ID, PRICE, SHA256};

/// One item of a sale.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The item's id, unique in the sale.
    #[schemars(length(max = 64), regex(pattern = ITEM_ID))]
    pub id: String,
    /// What buyers read.
    #[schemars(length(min = 1, max = 200))]
    pub title: String,
    /// The shop's own number of the article.
    #[schemars(length(max = 128))]
    pub sku: Option<String>,
    /// The price of one unit as a decimal text, `"699.00"`; `"0.00"` for a free item.
    #[schemars(length(max = 16), regex(pattern = PRICE))]
    pub price: String,
    /// How many units are sold in all.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub stock: i64,
    /// How many units one buyer may have.
    #[schemars(range(min = 1, max = 1000))]
    pub limit_per_buyer: Option<i32>,
}

/// Where a list of more than 128 items is read from: exactly one of `configMap` and `http`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemsFrom {
    /// A CSV file in an immutable ConfigMap.
    pub config_map: Option<KeyRef>,
    /// A CSV file behind an address.
    pub http: Option<ItemsHttp>,
    /// What the list holds in all; a list that differs is refused.
    pub totals: ItemsTotals,
}

/// A list of items behind an address.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemsHttp {
    /// The address.
    #[schemars(length(max = 512), regex(pattern = HTTPS_URL))]
    pub url: String,
    /// The digest of what is read there.
    #[schemars(length(max = 64), regex(pattern = SHA256))]
    pub sha256: String,
    /// A Secret with an `Authorization` header to send.
    pub header_secret_ref: Option<KeyRef>,
}

/// What a list of items holds in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemsTotals {
    /// How many items.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub items: i32,
    /// How many units over all items.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub stock: i64,
}
