//! The watches: what the operator sees of the cluster without asking.

mod stream;

use crate::cache::{Cache, Key, label};
use crate::metrics::Metrics;
use flashsale_operator_core::api::{FIELD_MANAGER, FlashSale, FlashSaleClass, FlashSaleSwitch, SALE_LABEL};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::{Api, Client, Resource};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stream::Watching;

/// What is seen, by kind.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    /// Sales.
    pub(crate) sales: Cache<FlashSale>,
    /// Classes.
    pub(crate) classes: Cache<FlashSaleClass>,
    /// Switches.
    pub(crate) switches: Cache<FlashSaleSwitch>,
    /// Namespaces.
    pub(crate) namespaces: Cache<PartialObjectMeta<Namespace>>,
    /// The sales' revisions, with their data.
    pub(crate) revisions: Cache<ControllerRevision>,
    /// The sales' StatefulSets.
    pub(crate) stateful_sets: Cache<StatefulSet>,
    /// Their Deployments.
    pub(crate) deployments: Cache<Deployment>,
    /// Their pods.
    pub(crate) pods: Cache<Pod>,
    /// Their Services.
    pub(crate) services: Cache<Service>,
    /// Their NetworkPolicies.
    pub(crate) network_policies: Cache<PartialObjectMeta<NetworkPolicy>>,
    /// Their PodDisruptionBudgets.
    pub(crate) budgets: Cache<PartialObjectMeta<PodDisruptionBudget>>,
    /// Their Ingresses.
    pub(crate) ingresses: Cache<Ingress>,
    /// Their HTTPRoutes.
    pub(crate) routes: Cache<DynamicObject>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A sale, or something of it.
    Sale(Key),
    /// A class.
    Class(String),
    /// A switch.
    Switch(Key),
    /// A namespace.
    Namespace(String),
}

/// What is watched, and who is told.
pub(crate) struct Watches {
    client: Client,
    caches: Arc<Caches>,
    /// Where: one entry each, or one empty entry for everywhere.
    scopes: Vec<String>,
    tell: Arc<dyn Fn(Change) + Send + Sync>,
    metrics: Metrics,
}

/// What HTTPRoutes are called; the kind isn't part of Kubernetes itself.
pub(crate) fn http_route() -> ApiResource {
    ApiResource {
        group: "gateway.networking.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        kind: "HTTPRoute".to_owned(),
        plural: "httproutes".to_owned(),
    }
}

impl Watches {
    /// Begins to watch. `tell` hears of each change after the caches have it, which are in `seen` before the first one.
    pub(crate) fn start(
        client: Client,
        namespaces: &[String],
        metrics: Metrics,
        tell: impl Fn(Change) + Send + Sync + 'static,
        seen: &OnceLock<Arc<Caches>>,
    ) -> Self {
        let scopes = match namespaces {
            [] => vec![String::new()],
            these => these.to_vec(),
        };
        let watches = Self {
            client,
            caches: Arc::default(),
            scopes,
            tell: Arc::new(tell),
            metrics,
        };
        // Nobody else sets it.
        let _ = seen.set(Arc::clone(&watches.caches));
        watches.start_all();
        watches
    }

    fn start_all(&self) {
        let sale = |meta: &ObjectMeta| Some(Change::Sale(Key::of(meta)));
        self.each(|c| &c.sales, false, sale);
        self.each(|c| &c.switches, false, |meta| Some(Change::Switch(Key::of(meta))));
        let class = |meta: &ObjectMeta| meta.name.clone().map(Change::Class);
        self.watch(
            |c| &c.classes,
            "",
            (Api::all(self.client.clone()), ()),
            false,
            class,
        );
        let namespace = |meta: &ObjectMeta| meta.name.clone().map(Change::Namespace);
        self.watch(
            |c| &c.namespaces,
            "",
            (Api::all(self.client.clone()), ()),
            false,
            namespace,
        );
        self.each(|c| &c.revisions, true, of_sale);
        self.each(|c| &c.stateful_sets, true, of_sale);
        self.each(|c| &c.deployments, true, of_sale);
        self.each(|c| &c.pods, true, of_sale);
        self.each(|c| &c.services, true, of_sale);
        self.each(|c| &c.network_policies, true, of_sale);
        self.each(|c| &c.budgets, true, of_sale);
        self.each(|c| &c.ingresses, true, of_sale);
        let kind = http_route();
        for scope in &self.scopes {
            let api = match scope.as_str() {
                "" => Api::all_with(self.client.clone(), &kind),
                one => Api::namespaced_with(self.client.clone(), one, &kind),
            };
            self.watch(|c| &c.routes, scope, (api, kind.clone()), true, of_sale);
        }
    }

    /// What is seen.
    pub(crate) fn caches(&self) -> Arc<Caches> {
        Arc::clone(&self.caches)
    }

    /// Waits until everything was listed once.
    pub(crate) async fn listed(&self) {
        let (caches, scopes, cluster) = (&self.caches, &self.scopes, [String::new()]);
        let all = || {
            caches.sales.listed(scopes)
                && caches.switches.listed(scopes)
                && caches.classes.listed(&cluster)
                && caches.namespaces.listed(&cluster)
                && caches.revisions.listed(scopes)
                && caches.stateful_sets.listed(scopes)
                && caches.deployments.listed(scopes)
                && caches.pods.listed(scopes)
                && caches.services.listed(scopes)
                && caches.network_policies.listed(scopes)
                && caches.budgets.listed(scopes)
                && caches.ingresses.listed(scopes)
                && caches.routes.listed(scopes)
        };
        while !all() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Watches a kind in each scope.
    fn each<K>(&self, of: fn(&Caches) -> &Cache<K>, labelled: bool, change: fn(&ObjectMeta) -> Option<Change>)
    where
        K: stream::Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        for scope in &self.scopes {
            let api = match scope.as_str() {
                "" => Api::all(self.client.clone()),
                one => Api::namespaced(self.client.clone(), one),
            };
            self.watch(of, scope, (api, ()), labelled, change);
        }
    }

    fn watch<K: stream::Watched>(
        &self,
        of: fn(&Caches) -> &Cache<K>,
        scope: &str,
        (api, kind): (Api<K>, K::DynamicType),
        labelled: bool,
        change: fn(&ObjectMeta) -> Option<Change>,
    ) {
        let watching = Watching {
            api,
            kind,
            caches: Arc::clone(&self.caches),
            of,
            scope: scope.to_owned(),
            labels: labelled.then(|| format!("app.kubernetes.io/managed-by={FIELD_MANAGER}")),
            change,
            tell: Arc::clone(&self.tell),
            metrics: self.metrics.clone(),
        };
        tokio::spawn(watching.run());
    }
}

/// The sale that an object belongs to, by its label.
fn of_sale(meta: &ObjectMeta) -> Option<Change> {
    let name = label(meta, SALE_LABEL)?.to_owned();
    let namespace = meta.namespace.clone()?;
    Some(Change::Sale(Key { namespace, name }))
}
