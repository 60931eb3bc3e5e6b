//! A sale's objects, rendered once and pinned: an operator that is newer than the sale applies what was pinned.

mod access;
mod entry;
mod files;
mod gateway;
mod network;
mod pod;
mod redis;
mod secrets;
mod services;
mod shards;
mod worker;

pub(crate) use entry::url as entry_url;
pub(crate) use secrets::CALLBACK_KEY;
pub use secrets::secrets;

use crate::api::{FlashSaleClassSpec, SALE_LABEL, SALE_UID_LABEL};
use crate::declared::Declared;
use crate::names::Names;
use crate::observed::Kind;
use crate::sizing::Sizes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the objects are rendered from.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// What they are called.
    pub names: &'a Names,
    /// The class, as pinned.
    pub class: &'a FlashSaleClassSpec,
    /// The sale with all values filled in.
    pub declared: &'a Declared,
    /// How much is run.
    pub sizes: &'a Sizes,
    /// The host that buyers call.
    pub host: &'a str,
    /// The data plane's image.
    pub image: &'a str,
    /// The image of Redis.
    pub redis_image: &'a str,
    /// The namespace of the operator, which reads figures.
    pub operator_namespace: &'a str,
    /// The ports of the databases, each once.
    pub database_ports: &'a [u16],
    /// The networks of the proxies in front of gateways.
    pub trusted_proxies: &'a [String],
}

/// An object without owner and digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The object.
    pub object: Value,
}

/// All objects of a sale but for its revisions and Secrets, in the order in which they are applied.
#[must_use]
pub fn templates(context: &Context<'_>) -> Vec<Template> {
    let mut all = vec![files::run(context)];
    all.extend(access::control(context));
    all.extend(network::policies(context));
    all.extend(services::services(context));
    all.extend(services::budgets(context));
    let config = crate::canonical::digest(&all[0].object);
    all.extend(shards::sets(context, &config));
    all.extend(gateway::deployments(context, &config));
    all.push(worker::worker(context, &config));
    all.push(worker::payments(context, &config));
    all.push(entry::entry(context));
    all
}

/// The components of a sale, as their label has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    Gateway,
    Shard,
    Worker,
    Payments,
    Entry,
}

impl Component {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Shard => "shard",
            Self::Worker => "worker",
            Self::Payments => "payments",
            Self::Entry => "entry",
        }
    }
}

type Labels = BTreeMap<String, String>;

const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
const ROOM_LABEL: &str = "flashsale.dev/room";

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The labels of everything that belongs to a sale.
pub(crate) fn labels(names: &Names, component: Option<Component>) -> Labels {
    let mut labels = pairs([
        ("app.kubernetes.io/name", "flashsale"),
        ("app.kubernetes.io/managed-by", "flashsale-operator"),
        (SALE_LABEL, &names.sale),
        (SALE_UID_LABEL, &names.uid),
    ]);
    if let Some(component) = component {
        labels.insert(COMPONENT_LABEL.to_owned(), component.word().to_owned());
    }
    labels
}

/// The labels of what outlives a sale's teardown: found by its name, and not among its parts any more.
pub(crate) fn sale_labels(names: &Names) -> Labels {
    let mut labels = labels(names, None);
    labels.remove(SALE_UID_LABEL);
    labels
}

/// What selects a component's pods, in one room or in all.
fn selected(names: &Names, component: Component, room: Option<&str>) -> Labels {
    let mut labels = pairs([(SALE_UID_LABEL, &names.uid), (COMPONENT_LABEL, component.word())]);
    if let Some(room) = room {
        labels.insert(ROOM_LABEL.to_owned(), room.to_owned());
    }
    labels
}

fn selector(labels: Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}

impl Context<'_> {
    fn meta(&self, name: &str, component: Option<Component>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.names.namespace.clone()),
            labels: Some(labels(self.names, component)),
            ..ObjectMeta::default()
        }
    }

    fn room_meta(&self, name: &str, component: Component, room: &str) -> ObjectMeta {
        let mut meta = self.meta(name, Some(component));
        meta.labels
            .get_or_insert_default()
            .insert(ROOM_LABEL.to_owned(), room.to_owned());
        meta
    }
}

/// An object of Kubernetes as a template. Its types always have a JSON form.
fn template<T: Serialize>(kind: Kind, name: &str, object: &T) -> Template {
    let object = serde_json::to_value(object).unwrap_or_default();
    Template {
        kind,
        name: name.to_owned(),
        object,
    }
}
