//! What a sale's objects are called, and where its processes are found.

use crate::api::FlashSale;

/// Where buyers are served, within a gateway's pod.
pub const BUYERS_PORT: i32 = 8080;
/// Health, metrics, `live.json` and `switches.json` of every role.
pub const ADMIN_PORT: i32 = 9090;
/// The link between the roles.
pub const LINK_PORT: i32 = 7700;
/// Redis.
pub const REDIS_PORT: i32 = 6379;

/// The names that follow from a sale's own.
///
/// The longest, a StatefulSet's, has 32 + 8 + 12 = 52 characters: with the suffixes that Kubernetes adds, labels stay below 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The sale's namespace.
    pub namespace: String,
    /// The sale's name.
    pub sale: String,
    /// The sale object's uid, as the API server writes it.
    pub uid: String,
}

impl Names {
    /// The names of a sale; empty where the object says nothing, which an API server's never does.
    #[must_use]
    pub fn of(sale: &FlashSale) -> Self {
        Self {
            namespace: sale.metadata.namespace.clone().unwrap_or_default(),
            sale: sale.metadata.name.clone().unwrap_or_default(),
            uid: sale.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// `<sale>-<suffix>`.
    #[must_use]
    pub fn child(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.sale)
    }

    /// The uid in the data plane: 32 hexadecimal digits.
    #[must_use]
    pub fn data_plane_uid(&self) -> String {
        self.uid.replace('-', "")
    }

    /// The sale's schema and role in the database with this index in the class: `fs_<uid>_<index>`. Several databases may
    /// lie on one server, whose roles are the same in all of them.
    #[must_use]
    pub fn tenant(&self, index: usize) -> String {
        format!("fs_{}_{index}", self.data_plane_uid())
    }

    /// The sale's namespace in the order log, within the class' tenant: `fs-<uid>`.
    #[must_use]
    pub fn log_namespace(&self) -> String {
        format!("fs-{}", self.data_plane_uid())
    }

    /// The ConfigMap with everything that the processes are told.
    #[must_use]
    pub fn run(&self) -> String {
        self.child("run")
    }

    /// The ConfigMap with the shop's own pages, which gateways mount.
    #[must_use]
    pub fn pages(&self) -> String {
        self.child("pages")
    }

    /// A revision of the pinned templates, from 1; the first one owns all other objects.
    #[must_use]
    pub fn revision(&self, number: i64) -> String {
        format!("{}-r{number}", self.sale)
    }

    /// The StatefulSet of a room's shards, and its headless Service.
    #[must_use]
    pub fn shards(&self, room: &str) -> String {
        format!("{}-shards-{room}", self.sale)
    }

    /// The Deployment of a room's gateways.
    #[must_use]
    pub fn gateways(&self, room: &str) -> String {
        format!("{}-gateway-{room}", self.sale)
    }

    /// The Service of all gateways.
    #[must_use]
    pub fn gateway_service(&self) -> String {
        self.child("gateway")
    }

    /// The order worker's Deployment and Service.
    #[must_use]
    pub fn worker(&self) -> String {
        self.child("worker")
    }

    /// The Deployment that tells the shop.
    #[must_use]
    pub fn payments(&self) -> String {
        self.child("payments")
    }

    /// The host of a shard's pod; it resolves before the pod is ready.
    #[must_use]
    pub fn shard_host(&self, room: &str, shard: u16) -> String {
        let set = self.shards(room);
        format!("{set}-{shard}.{set}.{}.svc", self.namespace)
    }

    /// The worker's host.
    #[must_use]
    pub fn worker_host(&self) -> String {
        format!("{}.{}.svc", self.worker(), self.namespace)
    }

    /// The Secret for the database with this index in the class.
    #[must_use]
    pub fn database_secret(&self, index: usize) -> String {
        format!("{}-db-{index}", self.sale)
    }
}
