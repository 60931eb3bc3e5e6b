//! What fields mean that a sale leaves open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::sale::{Admission, Buyers, DataPlane, Orders, Payments, Risk, Teardown};

/// What fields mean that a sale leaves open, in the same form as there.
///
/// A Secret or ConfigMap named here is looked for in each sale's namespace.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassDefaults {
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
    /// What happens after the sale has settled.
    pub teardown: Option<Teardown>,
}
