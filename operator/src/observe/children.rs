//! The sale's objects, from the caches and from what was listed.

use super::{component, pods};
use crate::cache::Key;
use crate::drift::{self, print};
use crate::memory::{Memory, Named};
use crate::operator::Operator;
use flashsale_operator_core::api::HASH_ANNOTATION;
use flashsale_operator_core::observed::{Child, Kind, Replicas, RevisionSeen, Trouble};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A cache isn't behind for longer than this, as a rule.
const BEHIND_MAX: Duration = Duration::from_secs(3);

/// Whether a ControllerRevision is one of the operator's: those of StatefulSets have a controller.
pub(crate) fn is_pin(meta: &ObjectMeta) -> bool {
    let owners = meta.owner_references.iter().flatten();
    owners.into_iter().all(|owner| owner.controller != Some(true))
}

/// A revision with its data.
pub(super) fn revision(revision: &ControllerRevision) -> RevisionSeen {
    let meta = &revision.metadata;
    RevisionSeen {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        revision: revision.revision,
        data: revision
            .data
            .as_ref()
            .map(|data| data.0.clone())
            .unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
    }
}

/// All objects of a sale but for its pods and revisions.
pub(super) fn children(operator: &Operator, memory: &mut Memory, uid: &str, pods: &[Arc<Pod>]) -> Vec<Child> {
    let caches = &operator.caches;
    let mut all: Vec<Child> = memory.unwatched.values().cloned().collect();
    for set in caches.stateful_sets.of_sale(uid) {
        let mut child = seen(memory, Kind::StatefulSet, &set.metadata, whole(&*set));
        child.replicas = Some(of_set(&set));
        all.push(child);
    }
    for deployment in caches.deployments.of_sale(uid) {
        let mut child = seen(
            memory,
            Kind::Deployment,
            &deployment.metadata,
            whole(&*deployment),
        );
        child.replicas = Some(of_deployment(&deployment));
        child.troubles = refused(&deployment);
        all.push(child);
    }
    for service in caches.services.of_sale(uid) {
        let mut child = seen(memory, Kind::Service, &service.metadata, whole(&*service));
        child.admitted = balanced(&service);
        all.push(child);
    }
    for ingress in caches.ingresses.of_sale(uid) {
        let mut child = seen(memory, Kind::Ingress, &ingress.metadata, whole(&*ingress));
        child.admitted = addressed(&ingress);
        all.push(child);
    }
    for route in caches.routes.of_sale(uid) {
        let mut child = seen(memory, Kind::HttpRoute, &route.metadata, whole(&*route));
        child.admitted = accepted(&route);
        all.push(child);
    }
    for policy in caches.network_policies.of_sale(uid) {
        all.push(seen(
            memory,
            Kind::NetworkPolicy,
            &policy.metadata,
            generation(&policy.metadata),
        ));
    }
    for budget in caches.budgets.of_sale(uid) {
        all.push(seen(
            memory,
            Kind::PodDisruptionBudget,
            &budget.metadata,
            generation(&budget.metadata),
        ));
    }
    pods::troubles(pods, &mut all);
    catch_up(memory, &mut all);
    all
}

/// A cache that is behind doesn't show yet what was written: for a while the answer to the write counts.
fn catch_up(memory: &mut Memory, all: &mut Vec<Child>) {
    memory.written.retain(|(kind, name), (at, written)| {
        let seen = all
            .iter_mut()
            .find(|child| (child.kind, &child.name) == (*kind, name));
        if at.elapsed() > BEHIND_MAX
            || seen
                .as_ref()
                .is_some_and(|seen| seen.resource_version == written.resource_version)
        {
            return false;
        }
        match seen {
            Some(seen) => seen.hash.clone_from(&written.hash),
            None => all.push(written.clone()),
        }
        true
    });
}

/// What an object that is cached whole looks like.
fn whole(object: &impl Serialize) -> impl FnOnce(&ObjectMeta) -> String {
    // Objects that were read as JSON have a JSON form.
    let value = serde_json::to_value(object).unwrap_or_default();
    move |meta| print(&value, component(meta) == "gateway")
}

/// What an object looks like of which only the metadata is cached.
fn generation(meta: &ObjectMeta) -> impl FnOnce(&ObjectMeta) -> String + use<> {
    let generation = meta.generation.unwrap_or_default();
    move |_| generation.to_string()
}

/// An object as the plan sees it. One that isn't any more as it was applied has no hash, so that it is applied again; one
/// that is seen for the first time counts as changed if its managers say so.
fn seen(
    memory: &mut Memory,
    kind: Kind,
    meta: &ObjectMeta,
    print: impl FnOnce(&ObjectMeta) -> String,
) -> Child {
    let mut child = child(kind, meta);
    let named: Named = (kind, child.name.clone());
    let now = print(meta);
    let drifted = match memory.prints.get(&named) {
        Some(applied) => *applied != now,
        // It stays so until it is applied.
        None if drift::intruder(meta).is_some() => true,
        None => {
            memory.prints.insert(named, now);
            false
        }
    };
    if drifted {
        child.hash = None;
    }
    child
}

/// Identity and hash.
pub(crate) fn child(kind: Kind, meta: &ObjectMeta) -> Child {
    let hash = meta
        .annotations
        .as_ref()
        .and_then(|all| all.get(HASH_ANNOTATION))
        .cloned();
    let uid = meta.uid.clone().unwrap_or_default();
    let mut child = Child::new(kind, meta.name.clone().unwrap_or_default(), uid, hash);
    child.resource_version = meta.resource_version.clone().unwrap_or_default();
    child.deleting = meta.deletion_timestamp.is_some();
    child
}

/// What a watched object looks like now, and who has changed it.
pub(crate) fn now(operator: &Operator, kind: Kind, key: &Key) -> Option<(String, Option<drift::Intruder>)> {
    let caches = &operator.caches;
    let of = |meta: &ObjectMeta, print: String| Some((print, drift::intruder(meta)));
    match kind {
        Kind::StatefulSet => caches
            .stateful_sets
            .get(key)
            .and_then(|o| of(&o.metadata, whole(&*o)(&o.metadata))),
        Kind::Deployment => caches
            .deployments
            .get(key)
            .and_then(|o| of(&o.metadata, whole(&*o)(&o.metadata))),
        Kind::Service => caches
            .services
            .get(key)
            .and_then(|o| of(&o.metadata, whole(&*o)(&o.metadata))),
        Kind::Ingress => caches
            .ingresses
            .get(key)
            .and_then(|o| of(&o.metadata, whole(&*o)(&o.metadata))),
        Kind::HttpRoute => caches
            .routes
            .get(key)
            .and_then(|o| of(&o.metadata, whole(&*o)(&o.metadata))),
        Kind::NetworkPolicy => caches
            .network_policies
            .get(key)
            .and_then(|o| of(&o.metadata, generation(&o.metadata)(&o.metadata))),
        Kind::PodDisruptionBudget => caches
            .budgets
            .get(key)
            .and_then(|o| of(&o.metadata, generation(&o.metadata)(&o.metadata))),
        _ => None,
    }
}

/// What an object looks like that an apply has answered with.
pub(crate) fn applied(kind: Kind, object: &DynamicObject) -> Option<String> {
    match kind {
        Kind::StatefulSet | Kind::Deployment | Kind::Service | Kind::Ingress | Kind::HttpRoute => {
            typed(kind, object).map(|value| print(&value, component(&object.metadata) == "gateway"))
        }
        Kind::NetworkPolicy | Kind::PodDisruptionBudget => {
            Some(generation(&object.metadata)(&object.metadata))
        }
        _ => None,
    }
}

/// The object by way of the type that the cache holds it in, so that both have the same form.
fn typed(kind: Kind, object: &DynamicObject) -> Option<serde_json::Value> {
    fn by<T: serde::de::DeserializeOwned + Serialize>(value: serde_json::Value) -> Option<serde_json::Value> {
        serde_json::to_value(serde_json::from_value::<T>(value).ok()?).ok()
    }
    let value = serde_json::to_value(object).ok()?;
    match kind {
        Kind::StatefulSet => by::<StatefulSet>(value),
        Kind::Deployment => by::<Deployment>(value),
        Kind::Service => by::<Service>(value),
        Kind::Ingress => by::<Ingress>(value),
        _ => Some(value),
    }
}

fn of_set(set: &StatefulSet) -> Replicas {
    let status = set.status.as_ref();
    Replicas {
        wanted: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
        updated: status.and_then(|status| status.updated_replicas).unwrap_or(0),
        observed: status.and_then(|status| status.observed_generation) == set.metadata.generation,
    }
}

fn of_deployment(deployment: &Deployment) -> Replicas {
    let status = deployment.status.as_ref();
    Replicas {
        wanted: deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1),
        ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
        updated: status.and_then(|status| status.updated_replicas).unwrap_or(0),
        observed: status.and_then(|status| status.observed_generation) == deployment.metadata.generation,
    }
}

/// What the API server refuses the Deployment's pods for.
fn refused(deployment: &Deployment) -> Vec<Trouble> {
    let conditions = deployment
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref())
        .flatten();
    let refused = conditions.filter(|c| c.type_ == "ReplicaFailure" && c.status == "True");
    let message = refused.filter_map(|condition| condition.message.clone());
    message.map(|message| Trouble::Quota { message }).collect()
}

fn balanced(service: &Service) -> Option<bool> {
    if service.spec.as_ref()?.type_.as_deref() != Some("LoadBalancer") {
        return None;
    }
    let status = service.status.as_ref()?.load_balancer.as_ref()?;
    status
        .ingress
        .as_ref()
        .filter(|all| !all.is_empty())
        .map(|_| true)
}

fn addressed(ingress: &Ingress) -> Option<bool> {
    let status = ingress.status.as_ref()?.load_balancer.as_ref()?;
    status
        .ingress
        .as_ref()
        .filter(|all| !all.is_empty())
        .map(|_| true)
}

/// By the conditions of the route's parents: refused by one is refused.
fn accepted(route: &DynamicObject) -> Option<bool> {
    let parents = route.data.pointer("/status/parents")?.as_array()?;
    let conditions = parents
        .iter()
        .filter_map(|parent| parent["conditions"].as_array())
        .flatten();
    let accepted: Vec<bool> = conditions
        .filter(|condition| matches!(condition["type"].as_str(), Some("Accepted" | "ResolvedRefs")))
        .map(|condition| condition["status"] == "True")
        .collect();
    (!accepted.is_empty()).then(|| accepted.iter().all(|fine| *fine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meta(version: &str, generation: i64, manager: &str) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "a", "uid": "1", "resourceVersion": version, "generation": generation,
            "annotations": {HASH_ANNOTATION: "h"},
            "managedFields": [{"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:podSelector": {}}}}],
        }))
        .unwrap()
    }

    fn hash(memory: &mut Memory, meta: &ObjectMeta) -> Option<String> {
        seen(memory, Kind::NetworkPolicy, meta, generation(meta)).hash
    }

    #[test]
    fn what_somebody_else_has_set_isnt_as_it_was_applied() {
        let mut memory = Memory::of("1");
        let mine = meta("1", 1, "flashsale-operator");
        assert_eq!(hash(&mut memory, &mine).as_deref(), Some("h"));
        assert_eq!(
            hash(&mut memory, &meta("2", 1, "flashsale-operator")).as_deref(),
            Some("h")
        );
        assert_eq!(hash(&mut memory, &meta("3", 2, "kubectl-edit")), None);
        // While no operator ran.
        let mut fresh = Memory::of("1");
        assert_eq!(hash(&mut fresh, &meta("3", 2, "kubectl-edit")), None);
        assert_eq!(hash(&mut fresh, &meta("3", 2, "kubectl-edit")), None);
        // Applied with the same value, both own it.
        fresh.prints.insert((Kind::NetworkPolicy, "a".into()), "2".into());
        assert_eq!(
            hash(&mut fresh, &meta("3", 2, "kubectl-edit")).as_deref(),
            Some("h")
        );
    }

    #[test]
    fn a_stateful_sets_own_revision_pins_nothing() {
        let owned = |kind: &str, controller: Option<bool>| -> ObjectMeta {
            let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": "a", "uid": "1", "controller": controller});
            serde_json::from_value(json!({"name": "a-r2", "ownerReferences": [owner]})).unwrap()
        };
        assert!(is_pin(&ObjectMeta::default()) && is_pin(&owned("ControllerRevision", None)));
        assert!(!is_pin(&owned("StatefulSet", Some(true))));
    }

    #[test]
    fn an_answer_counts_until_the_cache_has_caught_up() {
        let mut memory = Memory::of("1");
        let mut written = child(Kind::Service, &meta("5", 1, "flashsale-operator"));
        written.hash = Some("new".into());
        memory
            .written
            .insert((Kind::Service, "a".into()), (std::time::Instant::now(), written));
        let mut none = Vec::new();
        catch_up(&mut memory, &mut none);
        assert_eq!(none[0].hash.as_deref(), Some("new"));
        let mut old = vec![child(Kind::Service, &meta("4", 1, "flashsale-operator"))];
        catch_up(&mut memory, &mut old);
        assert_eq!(old[0].hash.as_deref(), Some("new"));
        let mut caught_up = vec![child(Kind::Service, &meta("5", 1, "flashsale-operator"))];
        catch_up(&mut memory, &mut caught_up);
        assert!(memory.written.is_empty());
        assert_eq!(caught_up[0].hash.as_deref(), Some("h"));
    }
}
