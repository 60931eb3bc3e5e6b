//! What was seen of a sale and of the world around it, before a plan is made.

mod children;
mod world;

pub use children::{Child, Kind, PodSeen, Replicas, RevisionSeen, Trouble};
pub use world::{
    Answer, Audit, ClockOffset, Closing, DataPhase, DatabaseSeen, DatabaseState, Databases, Figures,
    LogState, PagesServed, Predecessor, Purged, Setback, ShardFigures, World,
};

use crate::api::{FlashSale, FlashSaleClass, FlashSaleSwitch};
use crate::failure::Failure;
use crate::minted::Minted;
use crate::time::Millis;
use std::collections::BTreeMap;

/// All that a plan is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The sale, as the cache has it.
    pub sale: FlashSale,
    /// The sale's namespace.
    pub namespace: NamespaceSeen,
    /// All classes, whichever controller they are for.
    pub classes: Vec<FlashSaleClass>,
    /// The sale's ControllerRevisions, found by the label with its uid.
    pub revisions: Vec<RevisionSeen>,
    /// Everything else that carries the label with the sale's uid, but for pods.
    pub children: Vec<Child>,
    /// The sale's pods, by the same label.
    pub pods: Vec<PodSeen>,
    /// Objects without that label which have a name that one of the sale's parts needs.
    pub foreign: Vec<(Kind, String)>,
    /// Secrets and ConfigMaps that the sale names, each with what was found. One that isn't in here wasn't looked at.
    pub references: BTreeMap<(Kind, String), Reference>,
    /// The switches of the sale's namespace that select this sale, expired ones included.
    pub switches: Vec<FlashSaleSwitch>,
    /// What other sales have taken.
    pub others: Others,
    /// The verdict of the newest drill of this sale that came to an end.
    pub drill: Option<DrillVerdict>,
    /// What the world answered.
    pub world: World,
    /// The step at which the last plan stopped, if it did.
    pub failure: Option<Failure>,
    /// What the operator was told when it was started.
    pub settings: Settings,
    /// Fresh secrets, in case some are missing.
    pub minted: Minted,
}

/// The sale's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSeen {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether the operator may write there: the RoleBinding that enables the namespace is there.
    pub enabled: bool,
}

/// A Secret or ConfigMap that the sale names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// It isn't there.
    Missing,
    /// It is there.
    There {
        /// The keys that it holds.
        keys: Vec<String>,
        /// Of a ConfigMap: the digest of what it holds, as gateways reckon it of their pages.
        version: String,
    },
}

/// What other sales have taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// The hosts that other sales ask for, whether they got them or not. Sales that are settled or failed aren't in here.
    pub hosts: Vec<HostClaim>,
    /// Provisioned sales of the same class that aren't settled, in all namespaces, without this one.
    pub sales_of_class: u32,
    /// The same in this sale's namespace.
    pub sales_of_class_in_namespace: u32,
}

/// A host that another sale asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostClaim {
    /// The host.
    pub host: String,
    /// The other sale's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Millis,
    /// Whether it has the host: its `status.lockLevel` is 1 or more.
    pub claimed: bool,
}

/// How a drill of the sale ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillVerdict {
    /// The drill's name.
    pub name: String,
    /// When it ended.
    pub at: Millis,
    /// Whether its objectives were met.
    pub passed: bool,
}

/// What the operator was told when it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The operator's version.
    pub operator_version: String,
    /// The namespace that it runs in.
    pub operator_namespace: String,
    /// The controller's name, by which classes are its own.
    pub controller_name: String,
    /// The data plane's image where the class names none.
    pub data_plane_image: String,
    /// The image of Redis where the class names none.
    pub redis_image: String,
    /// The domain of the cluster's Services, `cluster.local`.
    pub cluster_domain: String,
    /// The networks of the proxies through which buyers reach gateways, such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
}
