//! The FlashSaleClass resource: on what sales run. The platform team says it once, for the whole cluster.

mod defaults;
mod entry;
mod pods;
mod policies;
mod stores;

pub use defaults::ClassDefaults;
pub use entry::{ClassEntry, EntryType, GatewayRef, TlsSource};
pub use pods::{Amounts, PodResources, Pods, Room, Toleration, TolerationEffect, TolerationOperator};
pub use policies::{
    AllowedNamespaces, DrillPolicy, LateOpening, Lifecycle, Limits, LiveDeletion, NamespacesFrom, Policies,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
pub use stores::{Credentials, CredentialsMode, Database, OrderLog, Pulsar, Redis, RedisStorage};

use crate::{
    patterns::{CONTROLLER_NAME, HOST_PATTERN},
    status::Condition,
};

/// On what sales run. A sale keeps the class as it was when it was provisioned; edits reach new sales only.
///
/// Secrets that it names are the operator's, in the operator's own namespace; no sale gets at them.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleClassSpec {
    /// The operator that this class is for; left out, `flashsale.dev/operator`. It never changes.
    #[schemars(length(max = 253), regex(pattern = CONTROLLER_NAME))]
    pub controller_name: Option<String>,
    /// Where the events of sales are kept.
    pub order_log: OrderLog,
    /// Where orders are kept: shard s uses the database with index s modulo their number.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub databases: Vec<Database>,
    /// The Redis of each shard.
    pub redis: Option<Redis>,
    /// Whether each sale gets credentials of its own; left out, it does.
    pub credentials: Option<Credentials>,
    /// How buyers reach a sale.
    pub entry: ClassEntry,
    /// The rooms that sales are spread over.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rooms: Vec<Room>,
    /// How the pods of a sale are run.
    pub pods: Option<Pods>,
    /// Who may use this class; left out, every namespace that the operator may write to.
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Hosts that a sale may ask for beside those below the entry's domain; `*.` stands for all below.
    #[schemars(
        length(max = 16),
        inner(length(max = 253), regex(pattern = HOST_PATTERN)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_hosts: Option<Vec<String>>,
    /// How much a sale may ask for.
    pub limits: Option<Limits>,
    /// What fields mean that a sale leaves open.
    pub defaults: Option<ClassDefaults>,
    /// What must hold before a sale opens, and what may be done to it.
    pub policies: Option<Policies>,
    /// When things are done, and how long they may take.
    pub lifecycle: Option<Lifecycle>,
}

/// What the operator reports of a class.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashSaleClassStatus {
    /// The generation of the spec that this status is about.
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// How many sales use it that aren't settled yet.
    #[schemars(range(min = 0, max = 100_000))]
    pub sales: Option<i32>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
