//! How the pods of a sale are run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    patterns::{CPU, DNS_LABEL, OBJECT_NAME, SIZE},
    sale::NameRef,
    selector,
};

/// A room: a zone that can serve buyers alone.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its name, short since it is part of pods' names.
    #[schemars(length(max = 12), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The zone that its nodes are labelled with (`topology.kubernetes.io/zone`).
    #[schemars(length(max = 63))]
    pub zone: String,
    /// Its part of the shards and gateways against that of the other rooms; left out, 1.
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<i32>,
}

/// How the pods of a sale are run.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// The image of the data plane; left out, the operator's.
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// Secrets of the sale's namespace with which images are pulled.
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub image_pull_secrets: Option<Vec<NameRef>>,
    /// Labels that a node must have.
    #[serde(default)]
    #[schemars(schema_with = "selector::labels")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints of nodes that the pods bear.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Option<Vec<Toleration>>,
    /// The pods' priority.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub priority_class_name: Option<String>,
    /// Labels that the pods get.
    #[serde(default)]
    #[schemars(schema_with = "selector::labels")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations that the pods get.
    #[serde(default)]
    #[schemars(schema_with = "selector::annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// What each kind of container is given.
    pub resources: Option<PodResources>,
}

/// What each kind of container is given; what is left out is the operator's to say.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodResources {
    /// Gateways.
    pub gateway: Option<Amounts>,
    /// Sidecars.
    pub sidecar: Option<Amounts>,
    /// Redis.
    pub redis: Option<Amounts>,
    /// Order workers.
    pub worker: Option<Amounts>,
    /// Payments.
    pub payments: Option<Amounts>,
}

/// What a container is given. It is requested; memory is the limit too.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// Processor time, such as `2` or `500m`.
    #[schemars(length(max = 8), regex(pattern = CPU))]
    pub cpu: Option<String>,
    /// Memory, such as `512Mi`.
    #[schemars(length(max = 20), regex(pattern = SIZE))]
    pub memory: Option<String>,
}

/// A taint of nodes that the pods bear, in the form of Kubernetes' own.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// The taint's key; left out with `Exists`, every taint.
    #[schemars(length(max = 317))]
    pub key: Option<String>,
    /// How its value compares; left out, `Equal`.
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The taint's effect; left out, every one.
    pub effect: Option<TolerationEffect>,
}

/// How a taint's value compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// It is there, whatever its value.
    Exists,
    /// It has this value.
    Equal,
}

/// A taint's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationEffect {
    /// No new pods.
    NoSchedule,
    /// No new pods if there is room elsewhere.
    PreferNoSchedule,
    /// No pods.
    NoExecute,
}
