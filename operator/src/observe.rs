//! Collects what a plan is made from: the caches, what isn't watched, and what the world answered.

mod children;
mod others;
mod pods;
mod references;
mod unwatched;

pub(crate) use children::{applied, child, is_pin, now};
pub(crate) use others::{class_of, created, is_over};
pub(crate) use pods::is_ready;
pub(crate) use references::{PAGES, map_seen};

use crate::cache::{Key, label};
use crate::memory::Memory;
use crate::operator::Operator;
use flashsale_operator_core::api::{
    FlashSale, FlashSaleClass, FlashSaleClassSpec, FlashSaleSwitch, LockLevel, Phase,
};
use flashsale_operator_core::observed::{NamespaceSeen, RevisionSeen, World};
use flashsale_operator_core::pinned::Pin;
use flashsale_operator_core::{Millis, Minted, Observed};
use std::time::{Duration, Instant};

/// How often it is asked whether the operator may write in a namespace where it may.
const ENABLED_FOR: Duration = Duration::from_secs(600);
/// The same where it may not: whoever enables it waits.
const DISABLED_FOR: Duration = Duration::from_secs(20);

/// Everything about a sale.
pub(crate) async fn observe(
    operator: &Operator,
    memory: &mut Memory,
    sale: &FlashSale,
    now: Millis,
) -> Observed {
    let key = Key::of(&sale.metadata);
    let uid = sale.metadata.uid.clone().unwrap_or_default();
    let caches = &operator.caches;
    let namespace = namespace(operator, memory, &key.namespace).await;
    // StatefulSets keep revisions of their own, which carry their pods' labels.
    let revisions = caches.revisions.of_sale(&uid);
    let revisions = revisions
        .iter()
        .filter(|revision| children::is_pin(&revision.metadata));
    let revisions: Vec<RevisionSeen> = revisions.map(|revision| children::revision(revision)).collect();
    let pin = newest(&revisions).and_then(pin);
    let classes: Vec<FlashSaleClass> = caches
        .classes
        .all()
        .iter()
        .map(|c| FlashSaleClass::clone(c))
        .collect();
    let class = pin
        .as_ref()
        .map(|pin| pin.class_spec.clone())
        .or_else(|| unpinned(sale, &classes));
    if !namespace.terminating && namespace.enabled {
        if level(sale) > LockLevel::Pending || sale.metadata.deletion_timestamp.is_some() {
            unwatched::refresh(operator, memory, sale, class.as_ref()).await;
        }
        references::refresh(operator, memory, sale).await;
    }
    if let Some(class) = &class {
        operator
            .world
            .ask(operator, memory, (sale, class, pin.as_ref()), now)
            .await;
    }
    let databases = class.as_ref().map_or(0, |class| class.databases.len());
    let pods = caches.pods.of_sale(&uid);
    Observed {
        children: children::children(operator, memory, &uid, &pods),
        pods: pods.iter().map(|pod| pods::seen(pod)).collect(),
        foreign: memory.foreign.iter().cloned().collect(),
        references: memory
            .references
            .iter()
            .map(|(named, (_, found))| (named.clone(), found.clone()))
            .collect(),
        switches: switches(operator, &key.namespace, sale),
        others: others::others(
            &caches.sales.all(),
            &classes,
            sale,
            operator.settings.controller_name.as_str(),
        ),
        drill: None,
        world: World {
            log: memory.log.answer.clone(),
            databases: memory.databases.clone(),
            figures: memory.figures.answer.clone(),
            clocks: memory.clocks.answer.clone(),
            audit: memory.audit.answer.clone(),
            closing: memory.closing.answer.clone(),
            pages: memory.pages.answer.clone(),
            publishing: memory.publishing.clone(),
            purge: memory.purge.clone(),
            told: memory.told.answer.clone(),
        },
        failure: memory.failure.clone(),
        settings: operator.settings.clone(),
        minted: Minted::from_random(databases, rand::random),
        sale: sale.clone(),
        namespace,
        classes,
        revisions,
    }
}

/// How much of a sale's spec is fixed.
pub(crate) fn level(sale: &FlashSale) -> LockLevel {
    sale.status
        .as_ref()
        .and_then(|status| status.lock_level)
        .unwrap_or_default()
}

/// Where a sale stands.
pub(crate) fn phase(sale: &FlashSale) -> Phase {
    sale.status
        .as_ref()
        .and_then(|status| status.phase)
        .unwrap_or(Phase::Pending)
}

/// The revision that counts.
pub(crate) fn newest(revisions: &[RevisionSeen]) -> Option<&RevisionSeen> {
    revisions.iter().max_by_key(|revision| revision.revision)
}

/// What a revision pins.
pub(crate) fn pin(revision: &RevisionSeen) -> Option<Pin> {
    serde_json::from_value(revision.data.clone()).ok()
}

/// The class of a sale that isn't provisioned yet.
fn unpinned(sale: &FlashSale, classes: &[FlashSaleClass]) -> Option<FlashSaleClassSpec> {
    others::class_of(sale, classes).map(|class| class.spec.clone())
}

async fn namespace(operator: &Operator, memory: &mut Memory, name: &str) -> NamespaceSeen {
    let cached = operator.caches.namespaces.get(&Key {
        namespace: String::new(),
        name: name.to_owned(),
    });
    let meta = cached.as_ref().map(|namespace| &namespace.metadata);
    let asked = memory
        .enabled
        .filter(|(at, enabled)| at.elapsed() < if *enabled { ENABLED_FOR } else { DISABLED_FOR });
    let enabled = match asked {
        Some((_, enabled)) => enabled,
        None => match references::may_write(operator, name).await {
            Ok(enabled) => {
                memory.enabled = Some((Instant::now(), enabled));
                enabled
            }
            // What was so is still so until the API says otherwise.
            Err(_) => memory.enabled.is_some_and(|(_, enabled)| enabled),
        },
    };
    NamespaceSeen {
        labels: meta.and_then(|meta| meta.labels.clone()).unwrap_or_default(),
        terminating: meta.is_some_and(|meta| meta.deletion_timestamp.is_some()),
        enabled,
    }
}

fn switches(operator: &Operator, namespace: &str, sale: &FlashSale) -> Vec<FlashSaleSwitch> {
    let all = operator.caches.switches.in_namespace(namespace);
    let mine = all.iter().filter(|switch| selects(switch, sale));
    mine.map(|switch| FlashSaleSwitch::clone(switch)).collect()
}

/// Whether a switch is about a sale of its namespace.
pub(crate) fn selects(switch: &FlashSaleSwitch, sale: &FlashSale) -> bool {
    if let Some(name) = &switch.spec.sale_name {
        return sale.metadata.name.as_ref() == Some(name);
    }
    let none = std::collections::BTreeMap::new();
    let labels = sale.metadata.labels.as_ref().unwrap_or(&none);
    switch
        .spec
        .sale_selector
        .as_ref()
        .is_some_and(|selector| selector.matches(labels))
}

/// The component of one of the sale's objects.
pub(crate) fn component(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> &str {
    label(meta, "app.kubernetes.io/component").unwrap_or_default()
}
