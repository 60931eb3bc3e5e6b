//! Names, labels and references that resources share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::patterns::{DATA_KEY, DNS_LABEL, OBJECT_NAME, SALE_NAME};

/// The part of an object's metadata that a sale's file may set.
///
/// Fields that an API server fills in (`resourceVersion`, `managedFields` …) are passed over when a file is read.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// The name, at most 32 characters so that the names of what belongs to the sale fit.
    #[schemars(length(max = 32), regex(pattern = SALE_NAME))]
    pub name: String,
    /// The namespace; left out, `default`.
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: Option<String>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    pub annotations: Option<BTreeMap<String, String>>,
    /// The id that the API server gave the object.
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
}

impl ObjectMeta {
    /// The namespace, `default` when none is given.
    pub fn namespace_or_default(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// A key of a Secret or ConfigMap in the sale's namespace.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The object's name.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// The key in it; left out, the one its use expects.
    #[schemars(length(max = 253), regex(pattern = DATA_KEY))]
    pub key: Option<String>,
}

/// An object in the sale's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// The object's name.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}
