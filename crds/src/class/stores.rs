//! Where events, orders and stock are kept, and with what credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    duration::HumanDuration,
    patterns::{ADMIN_URL, DNS_LABEL, OBJECT_NAME, PULSAR_URL, SIZE, TENANT},
    sale::{KeyRef, NameRef},
};

/// Where the events of sales are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderLog {
    /// Apache Pulsar.
    pub pulsar: Pulsar,
}

/// An Apache Pulsar cluster.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pulsar {
    /// Where it serves clients.
    #[serde(rename = "serviceURL")]
    #[schemars(length(max = 512), regex(pattern = PULSAR_URL))]
    pub service_url: String,
    /// Where it serves administrators; only the operator goes there.
    #[serde(rename = "adminURL")]
    #[schemars(length(max = 512), regex(pattern = ADMIN_URL))]
    pub admin_url: String,
    /// The tenant in which each sale gets a namespace; the operator makes it if it is missing.
    #[schemars(length(max = 128), regex(pattern = TENANT))]
    pub tenant: String,
    /// The Secret with the operator's token, in the key `token`.
    pub admin_secret_ref: Option<NameRef>,
    /// The Secret with the certificate that its servers are checked against.
    pub ca_secret_ref: Option<KeyRef>,
    /// How long events are kept beyond settlement, 1h to 2160h; left out, 168h.
    pub retention: Option<HumanDuration>,
}

/// A database for orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Its name in this class.
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The Secret with the operator's address of it, in the key `url`: `postgres://user:password@host/database`.
    pub admin_secret_ref: NameRef,
}

/// The Redis of each shard.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Its image; left out, the operator's.
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// Where it keeps its file; left out, in the pod, so that a lost pod is rebuilt from the log.
    pub storage: Option<RedisStorage>,
    /// Copies of each shard's Redis beside the first.
    #[schemars(range(min = 0, max = 2))]
    pub replicas: Option<i32>,
}

/// Where Redis keeps its file.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisStorage {
    /// The StorageClass; left out, the cluster's default.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub storage_class_name: Option<String>,
    /// How much, such as `2Gi`.
    #[schemars(length(max = 20), regex(pattern = SIZE))]
    pub size: Option<String>,
}

/// Whether each sale gets credentials of its own.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// How credentials come about.
    pub mode: CredentialsMode,
    /// For mode `Shared`, and needed there: the Secret that every sale gets a copy of.
    pub shared_secret_ref: Option<NameRef>,
}

/// How a sale's credentials come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CredentialsMode {
    /// The operator makes them for each sale and revokes them at its end.
    Minted,
    /// All sales use the same.
    Shared,
}
