//! What a sale's objects are made from, pinned in ControllerRevisions: neither a newer operator nor an edited class
//! changes what a live sale runs on.

use crate::amend::{self, Amendments};
use crate::api::ClassPin;
use crate::api::{ClassDefaults, FlashSaleClassSpec, FlashSaleSpec, HASH_ANNOTATION, LockLevel, Switches};
use crate::canonical::digest;
use crate::declared::{Declared, declared};
use crate::names::Names;
use crate::observed::{Kind, Settings};
use crate::outcome::Rendered;
use crate::render::{Context, Template, labels, templates};
use crate::sizing::{Sizes, sizes};
use flashsale_crds::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The revision that owns everything else.
pub const OWNER: i64 = 1;

/// The data of a ControllerRevision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The operator that rendered it.
    pub operator_version: String,
    /// The image of the data plane.
    pub image: String,
    /// The image of Redis.
    pub redis_image: String,
    /// Which class.
    pub class: ClassPin,
    /// What it said.
    pub class_spec: FlashSaleClassSpec,
    /// The generation of the sale's spec.
    pub generation: i64,
    /// The sale's spec. Once stock is loaded, stock, end and rate stay as they were then.
    pub spec: FlashSaleSpec,
    /// How much is run.
    pub sizes: Sizes,
    /// The host that buyers call.
    pub host: String,
    /// The ports of the databases.
    pub database_ports: Vec<u16>,
    /// The networks of the proxies in front of gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// What was changed since the stock was loaded.
    pub amendments: Amendments,
    /// The objects.
    pub templates: Vec<Template>,
}

/// Who owns the objects: the first revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// What is rendered from, beside the sale itself.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// What things are called.
    pub names: &'a Names,
    /// What the operator was told.
    pub settings: &'a Settings,
    /// Which class.
    pub class: &'a ClassPin,
    /// What it says.
    pub class_spec: &'a FlashSaleClassSpec,
    /// The ports of the databases.
    pub database_ports: &'a [u16],
}

/// A sale with its class' values and its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sized {
    /// With every value filled in.
    pub declared: Declared,
    /// How much is run.
    pub sizes: Sizes,
}

/// Fills in a sale's values and plans its size.
///
/// # Errors
/// What the spec has wrong.
pub fn sized(spec: &FlashSaleSpec, class: &FlashSaleClassSpec) -> Result<Sized, Vec<Refusal>> {
    let none = ClassDefaults::default();
    let defaults = class.defaults.as_ref().unwrap_or(&none);
    // The stock decides the shards, and the shards are one of the values: so first with any number.
    let first = declared(spec, defaults, 1)?;
    let merged = FlashSaleSpec {
        data_plane: merged_plane(spec, defaults),
        ..spec.clone()
    };
    let sizes =
        sizes(&merged, class, first.effective.total_stock()).map_err(|why| vec![Refusal::new("", why)])?;
    Ok(Sized {
        declared: declared(spec, defaults, sizes.shards)?,
        sizes,
    })
}

fn merged_plane(spec: &FlashSaleSpec, defaults: &ClassDefaults) -> Option<crate::api::DataPlane> {
    let mut plane = spec.data_plane.clone().unwrap_or_default();
    let default = defaults.data_plane.clone().unwrap_or_default();
    plane.shards = plane.shards.or(default.shards);
    plane.gateways = plane.gateways.or(default.gateways);
    plane.workers = plane.workers.or(default.workers);
    plane.rooms = plane.rooms.or(default.rooms);
    Some(plane)
}

/// The host that buyers call.
#[must_use]
pub fn host(spec: &FlashSaleSpec, class: &FlashSaleClassSpec, sale: &str) -> String {
    let own = spec.entry.as_ref().and_then(|entry| entry.host.clone());
    own.unwrap_or_else(|| format!("{sale}.{}", class.entry.domain))
}

/// The images of the data plane and of Redis: the class', else the operator's.
pub(crate) fn images(ground: &Ground<'_>) -> (String, String) {
    let pods = ground.class_spec.pods.as_ref();
    let image = pods.and_then(|pods| pods.image.clone());
    let redis = ground
        .class_spec
        .redis
        .as_ref()
        .and_then(|redis| redis.image.clone());
    (
        image.unwrap_or_else(|| ground.settings.data_plane_image.clone()),
        redis.unwrap_or_else(|| ground.settings.redis_image.clone()),
    )
}

impl Pin {
    /// Renders a sale that has none yet, or has to be rendered anew.
    #[must_use]
    pub fn new(ground: &Ground<'_>, spec: &FlashSaleSpec, sized: &Sized, generation: i64) -> Self {
        let (image, redis_image) = images(ground);
        let mut pin = Self {
            operator_version: ground.settings.operator_version.clone(),
            image,
            redis_image,
            class: ground.class.clone(),
            class_spec: ground.class_spec.clone(),
            generation,
            spec: spec.clone(),
            sizes: sized.sizes.clone(),
            host: host(spec, ground.class_spec, &ground.names.sale),
            database_ports: ground.database_ports.to_vec(),
            trusted_proxies: ground.settings.trusted_proxies.clone(),
            amendments: Amendments::default(),
            templates: Vec::new(),
        };
        pin.templates = templates(&Context {
            names: ground.names,
            class: &pin.class_spec,
            declared: &sized.declared,
            sizes: &pin.sizes,
            host: &pin.host,
            image: &pin.image,
            redis_image: &pin.redis_image,
            operator_namespace: &ground.settings.operator_namespace,
            database_ports: &pin.database_ports,
            trusted_proxies: &pin.trusted_proxies,
        });
        pin
    }

    /// The same with other amendments.
    #[must_use]
    pub fn amended(&self, amendments: Amendments, generation: i64) -> Self {
        Self {
            amendments,
            generation,
            ..self.clone()
        }
    }

    /// The sale as pinned.
    ///
    /// # Errors
    /// It passed before, so only a pin that somebody changed doesn't.
    pub fn declared(&self) -> Result<Declared, Vec<Refusal>> {
        let none = ClassDefaults::default();
        declared(
            &self.spec,
            self.class_spec.defaults.as_ref().unwrap_or(&none),
            self.sizes.shards,
        )
    }

    /// The digest of what changes make new templates necessary at a lock level.
    #[must_use]
    pub fn digest(&self, level: LockLevel) -> String {
        self.declared()
            .map_or_else(|_| String::new(), |declared| amend::digest(&declared, level))
    }

    /// The digest of the templates.
    #[must_use]
    pub fn templates_digest(&self) -> String {
        digest(&json!(self.templates))
    }

    /// The pin as a ControllerRevision. The first one has no owner, so that deleting the sale's object deletes nothing.
    #[must_use]
    pub fn revision(&self, names: &Names, number: i64, owner: Option<&Owner>) -> Rendered {
        let name = names.revision(number);
        let mut object = json!({
            "apiVersion": Kind::ControllerRevision.api_version(),
            "kind": Kind::ControllerRevision.as_str(),
            "metadata": {"name": name, "namespace": names.namespace, "labels": labels(names, None)},
            "revision": number,
            "data": self,
        });
        if let Some(owner) = owner {
            object["metadata"]["ownerReferences"] = json!([reference(owner)]);
        }
        finished(Kind::ControllerRevision, &name, object)
    }

    /// The objects, as they are to be applied.
    #[must_use]
    pub fn objects(&self, names: &Names, owner: &Owner, standing: &Standing<'_>) -> Vec<Rendered> {
        let run = names.run();
        let each = self.templates.iter().map(|template| {
            let mut object = template.object.clone();
            if template.kind == Kind::ConfigMap && template.name == run {
                object["data"]["amendments.json"] = json!(pretty(&self.amendments));
                object["data"]["switches.json"] = json!(pretty(standing));
            }
            object["metadata"]["ownerReferences"] = json!([reference(owner)]);
            finished(template.kind, &template.name, object)
        });
        each.collect()
    }
}

/// What the control sidecars are told of the sale's own switches (`switches.json`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing<'a> {
    /// The labels of the sale's object, for switches that select by them.
    pub labels: &'a BTreeMap<String, String>,
    /// `spec.switches`.
    pub spec: &'a Switches,
    /// The class' switches: none yet.
    pub class: Switches,
    /// How long the class lets a FlashSaleSwitch hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_duration: Option<crate::api::HumanDuration>,
}

fn pretty(value: &impl Serialize) -> String {
    // Plain structs always have a JSON form.
    let value = serde_json::to_value(value).unwrap_or_default();
    format!("{value:#}\n")
}

fn reference(owner: &Owner) -> Value {
    json!({
        "apiVersion": Kind::ControllerRevision.api_version(),
        "kind": Kind::ControllerRevision.as_str(),
        "name": owner.name,
        "uid": owner.uid,
    })
}

/// Puts an owner into a Secret's metadata.
#[must_use]
pub fn owned(mut object: Value, owner: &Owner) -> Value {
    object["metadata"]["ownerReferences"] = json!([reference(owner)]);
    object
}

/// Adds the digest.
#[must_use]
pub fn finished(kind: Kind, name: &str, mut object: Value) -> Rendered {
    let hash = digest(&object);
    object["metadata"]["annotations"][HASH_ANNOTATION] = json!(hash);
    Rendered {
        kind,
        name: name.to_owned(),
        hash,
        object,
    }
}
