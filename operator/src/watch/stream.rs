//! One watch: a list and what changes after it, for as long as the process lives.

use super::{Caches, Change};
use crate::cache::Cache;
use crate::metrics::Metrics;
use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// After this time the API server ends a watch, which is begun again from where it was.
const WATCH_SECONDS: u32 = 1_500;
/// The first wait after an error, doubled up to the longest.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait after an error.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether a kind exists that didn't.
const MISSING_WAIT: Duration = Duration::from_secs(600);

/// What can be watched.
pub(super) trait Watched:
    Resource<DynamicType: Send + Sync> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K> Watched for K where
    K: Resource<DynamicType: Send + Sync> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// One watch.
pub(super) struct Watching<K: Watched> {
    pub(super) api: Api<K>,
    pub(super) kind: K::DynamicType,
    pub(super) caches: Arc<Caches>,
    pub(super) of: fn(&Caches) -> &Cache<K>,
    /// The namespace; empty for all.
    pub(super) scope: String,
    pub(super) labels: Option<String>,
    pub(super) change: fn(&ObjectMeta) -> Option<Change>,
    pub(super) tell: Arc<dyn Fn(Change) + Send + Sync>,
    pub(super) metrics: Metrics,
}

impl<K: Watched> Watching<K> {
    /// Watches to the end of the process.
    pub(super) async fn run(self) {
        let plural = K::plural(&self.kind).into_owned();
        let mut config = Config::default().timeout(WATCH_SECONDS);
        config.label_selector.clone_from(&self.labels);
        let mut events = Box::pin(watcher(self.api.clone(), config));
        let mut wait = WAIT_MIN;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    wait = WAIT_MIN;
                    self.take(event);
                }
                Err(error) if missing(&error) => {
                    tracing::debug!(resource = plural, "this cluster doesn't know the kind");
                    (self.of)(&self.caches).none(&self.scope);
                    tokio::time::sleep(MISSING_WAIT).await;
                }
                Err(error) => {
                    self.metrics.watch_broke(&plural);
                    tracing::warn!(resource = plural, namespace = self.scope, error = %told(&error), "a watch broke; trying again");
                    tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
    }

    fn take(&self, event: Event<K>) {
        let event = event.modify(|object| strip(object, &self.kind));
        for object in (self.of)(&self.caches).take(&self.scope, event) {
            if let Some(change) = (self.change)(object.meta()) {
                (self.tell)(change);
            }
        }
    }
}

/// What nobody here reads and everybody would keep in memory. Who made a switch is read from there.
fn strip<K: Resource>(object: &mut K, kind: &K::DynamicType) {
    if K::kind(kind) != "FlashSaleSwitch" {
        object.meta_mut().managed_fields = None;
    }
}

fn missing(error: &watcher::Error) -> bool {
    let of = match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => e,
        Error::WatchError(status) => return status.code == 404,
        _ => return false,
    };
    crate::error::code(of) == Some(404)
}

fn told(error: &watcher::Error) -> String {
    match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => {
            crate::error::brief(e)
        }
        other => other.to_string(),
    }
}
