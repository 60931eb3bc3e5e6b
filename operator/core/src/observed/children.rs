//! The sale's objects as the caches have them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of objects that belong to a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// apps/v1
    ControllerRevision,
    /// v1
    ConfigMap,
    /// v1
    Secret,
    /// v1
    ServiceAccount,
    /// rbac.authorization.k8s.io/v1
    Role,
    /// rbac.authorization.k8s.io/v1
    RoleBinding,
    /// networking.k8s.io/v1
    NetworkPolicy,
    /// v1
    Service,
    /// policy/v1
    PodDisruptionBudget,
    /// apps/v1
    StatefulSet,
    /// apps/v1
    Deployment,
    /// gateway.networking.k8s.io/v1
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// networking.k8s.io/v1
    Ingress,
    /// v1
    PersistentVolumeClaim,
    /// v1
    Pod,
}

impl Kind {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Self; 15] = [
        Self::ControllerRevision,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::NetworkPolicy,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::Deployment,
        Self::HttpRoute,
        Self::Ingress,
        Self::PersistentVolumeClaim,
        Self::Pod,
    ];

    /// The kind as objects write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControllerRevision => "ControllerRevision",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
            Self::Deployment => "Deployment",
            Self::HttpRoute => "HTTPRoute",
            Self::Ingress => "Ingress",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Pod => "Pod",
        }
    }

    /// Group and version as objects write them.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ConfigMap
            | Self::Secret
            | Self::ServiceAccount
            | Self::Service
            | Self::PersistentVolumeClaim
            | Self::Pod => "v1",
            Self::ControllerRevision | Self::StatefulSet | Self::Deployment => "apps/v1",
            Self::Role | Self::RoleBinding => "rbac.authorization.k8s.io/v1",
            Self::NetworkPolicy | Self::Ingress => "networking.k8s.io/v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::HttpRoute => "gateway.networking.k8s.io/v1",
        }
    }

    /// The kind as paths write it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ControllerRevision => "controllerrevisions",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
            Self::Role => "roles",
            Self::RoleBinding => "rolebindings",
            Self::NetworkPolicy => "networkpolicies",
            Self::Service => "services",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::StatefulSet => "statefulsets",
            Self::Deployment => "deployments",
            Self::HttpRoute => "httproutes",
            Self::Ingress => "ingresses",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::Pod => "pods",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A ControllerRevision of the sale.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionSeen {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its number, from 1; the highest counts.
    pub revision: i64,
    /// Its data, as [`PinRevision`](crate::Step::PinRevision) wrote it.
    pub data: serde_json::Value,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// An object of the sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// The annotation [`HASH_ANNOTATION`](crate::api::HASH_ANNOTATION), if it has it.
    pub hash: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Of a Deployment or StatefulSet: its pods.
    pub replicas: Option<Replicas>,
    /// What keeps its pods from running.
    pub troubles: Vec<Trouble>,
    /// Of a Secret: whether it still is what the class' own credentials make of it; true where they don't matter.
    pub current: bool,
    /// Of an HTTPRoute, Ingress or Service of type LoadBalancer: whether it is accepted and has an address; `None` if it says nothing of it yet.
    pub admitted: Option<bool>,
}

impl Child {
    /// An object of which no more than its identity and its hash is known.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>, uid: impl Into<String>, hash: Option<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            uid: uid.into(),
            resource_version: String::new(),
            hash,
            deleting: false,
            replicas: None,
            troubles: Vec::new(),
            current: true,
            admitted: None,
        }
    }
}

/// The pods of a Deployment or StatefulSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// `spec.replicas`.
    pub wanted: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods made from the newest template.
    pub updated: i32,
    /// Whether `status.observedGeneration` is the object's generation; the other figures are old if not.
    pub observed: bool,
}

/// What keeps pods from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No node takes the pod.
    Unschedulable {
        /// Which pod.
        pod: String,
        /// What the scheduler says.
        message: String,
    },
    /// A quota refuses the pod.
    Quota {
        /// What the controller says.
        message: String,
    },
    /// An image can't be had.
    Image {
        /// Which pod.
        pod: String,
        /// Which image, and why.
        message: String,
    },
    /// A Secret or ConfigMap that the pod mounts is missing.
    Mount {
        /// Which pod.
        pod: String,
        /// What is missing.
        message: String,
    },
    /// A container ends again and again.
    Crashing {
        /// Which pod.
        pod: String,
        /// Which container, its exit code and its last words.
        message: String,
    },
}

/// A pod of the sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// `app.kubernetes.io/component`.
    pub component: String,
    /// The annotation [`HASH_ANNOTATION`](crate::api::HASH_ANNOTATION) of its template.
    pub hash: Option<String>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}
