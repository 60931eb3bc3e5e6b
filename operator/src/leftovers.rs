//! What sales have left behind that are gone: whoever takes a finalizer off by hand leaves pods that nobody looks after.

use crate::cache::{Key, label};
use crate::operator::Operator;
use crate::queue::Again;
use flashsale_operator_core::api::SALE_UID_LABEL;
use flashsale_operator_core::observed::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(120);
/// For so long a sale must have been gone. Caches of different kinds don't stand at the same moment.
const GONE_FOR: Duration = Duration::from_secs(240);
/// Objects removed in one look.
const AT_ONCE: usize = 100;

/// Since when each sale is known to be gone.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<HashMap<String, Instant>>);

/// An object without a sale.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Orphan {
    kind: Kind,
    key: Key,
    uid: String,
}

impl Leftovers {
    /// Looks, and removes what has been without its sale for long enough.
    pub(crate) async fn look(&self, operator: &Operator) -> Again {
        let orphans = orphans(operator);
        let due = self.due(orphans.keys().cloned().collect(), Instant::now());
        let removed = orphans
            .into_iter()
            .filter(|(sale, _)| due.contains(sale))
            .flat_map(|(_, orphans)| orphans);
        for orphan in removed.take(AT_ONCE) {
            remove(operator, &orphan).await;
        }
        Again::In(EVERY)
    }

    fn due(&self, now_orphaned: BTreeSet<String>, now: Instant) -> BTreeSet<String> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|sale, _| now_orphaned.contains(sale));
        for sale in now_orphaned {
            since.entry(sale).or_insert(now);
        }
        let due = since
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= GONE_FOR);
        due.map(|(sale, _)| sale.clone()).collect()
    }
}

/// The objects that belong to no sale, by the uid of the sale that they belonged to.
fn orphans(operator: &Operator) -> BTreeMap<String, Vec<Orphan>> {
    let caches = &operator.caches;
    let living: BTreeSet<String> = caches
        .sales
        .all()
        .iter()
        .filter_map(|sale| sale.metadata.uid.clone())
        .collect();
    let mut found: BTreeMap<String, Vec<Orphan>> = BTreeMap::new();
    let mut add = |kind: Kind, meta: &ObjectMeta| {
        let sale = label(meta, SALE_UID_LABEL).filter(|uid| !living.contains(*uid));
        let (Some(sale), Some(uid), None) = (sale, &meta.uid, &meta.deletion_timestamp) else {
            return;
        };
        found.entry(sale.to_owned()).or_default().push(Orphan {
            kind,
            key: Key::of(meta),
            uid: uid.clone(),
        });
    };
    // The revision owns the others: removing it removes them. What has lost its owner is removed by itself.
    caches
        .revisions
        .all()
        .iter()
        .filter(|o| crate::observe::is_pin(&o.metadata))
        .for_each(|o| add(Kind::ControllerRevision, &o.metadata));
    caches
        .stateful_sets
        .all()
        .iter()
        .for_each(|o| add(Kind::StatefulSet, &o.metadata));
    caches
        .deployments
        .all()
        .iter()
        .for_each(|o| add(Kind::Deployment, &o.metadata));
    caches
        .services
        .all()
        .iter()
        .for_each(|o| add(Kind::Service, &o.metadata));
    caches
        .network_policies
        .all()
        .iter()
        .for_each(|o| add(Kind::NetworkPolicy, &o.metadata));
    caches
        .budgets
        .all()
        .iter()
        .for_each(|o| add(Kind::PodDisruptionBudget, &o.metadata));
    caches
        .ingresses
        .all()
        .iter()
        .for_each(|o| add(Kind::Ingress, &o.metadata));
    caches
        .routes
        .all()
        .iter()
        .for_each(|o| add(Kind::HttpRoute, &o.metadata));
    found
}

async fn remove(operator: &Operator, orphan: &Orphan) {
    let Orphan { kind, key, uid } = orphan;
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    let api = operator.hand.objects(*kind, &key.namespace);
    match operator.hand.write(api.delete(&key.name, &params)).await {
        Ok(_) => {
            tracing::warn!(%kind, namespace = key.namespace, name = key.name, "removed what a sale that is gone has left behind");
        }
        Err(error) if matches!(error.code(), Some(404 | 409)) => {}
        Err(error) => {
            tracing::warn!(%kind, namespace = key.namespace, name = key.name, %error, "can't remove what a sale has left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_without_its_sale_all_the_time_is_due() {
        let (leftovers, start) = (Leftovers::default(), Instant::now());
        let gone = |sales: &[&str]| {
            sales
                .iter()
                .map(|s| (*s).to_owned())
                .collect::<BTreeSet<String>>()
        };
        assert!(leftovers.due(gone(&["a", "b"]), start).is_empty());
        assert!(leftovers.due(gone(&["a"]), start + GONE_FOR / 2).is_empty());
        assert_eq!(leftovers.due(gone(&["a", "b"]), start + GONE_FOR), gone(&["a"]));
    }
}
