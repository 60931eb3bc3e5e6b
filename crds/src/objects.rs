//! The resources as objects of an API server, with all of their metadata.
//!
//! [`objects::FlashSale`](FlashSale) is what a client gets and lists; the file that a person writes is
//! [`crate::FlashSale`], which knows only the metadata that a person may set. Both share the spec.

mod file;

use std::borrow::Cow;

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube_core::{Resource, object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeStruct};

use crate::{
    class::{FlashSaleClassSpec, FlashSaleClassStatus},
    sale::FlashSaleSpec,
    status::FlashSaleStatus,
    switch::{FlashSaleSwitchSpec, FlashSaleSwitchStatus},
};

/// The group of the resources.
pub const GROUP: &str = "flashsale.dev";
/// The version of the resources.
pub const VERSION: &str = "v1alpha1";
/// Group and version, as objects write them.
pub const API_VERSION: &str = "flashsale.dev/v1alpha1";
/// The category by which `kubectl get flash` finds the resources of a namespace.
pub const CATEGORY: &str = "flash";
/// The controller that classes are for which name none.
pub const CONTROLLER_NAME: &str = "flashsale.dev/operator";
/// The annotation, with the value `true`, of the class that sales use which name none.
pub const DEFAULT_CLASS_ANNOTATION: &str = "flashsale.dev/is-default-class";
/// The annotation, with the sale's own uid, that lets a live sale be deleted.
pub const ALLOW_DELETION_ANNOTATION: &str = "flashsale.dev/allow-deletion";
/// The annotation, with the uid of an unsettled sale of the same name, that lets a new one go ahead.
pub const SUPERSEDES_ANNOTATION: &str = "flashsale.dev/supersedes";

/// A sale.
pub type FlashSale = Object<FlashSaleSpec>;
/// A class.
pub type FlashSaleClass = Object<FlashSaleClassSpec>;
/// A switch.
pub type FlashSaleSwitch = Object<FlashSaleSwitchSpec>;

/// What is particular to a kind of resource; its spec stands for it.
pub trait Kind: Clone + DeserializeOwned + Serialize + JsonSchema {
    /// Whether its objects live in a namespace.
    type Scope;
    /// What is reported of it.
    type Status: Clone + DeserializeOwned + Serialize + JsonSchema;
    /// Its name.
    const KIND: &'static str;
    /// Its name in paths.
    const PLURAL: &'static str;
    /// Its name for people in a hurry.
    const SHORT: &'static str;
    /// Where its objects live, in the words of a CustomResourceDefinition.
    const SCOPE: &'static str;
    /// What it is, in a sentence or two.
    const ABOUT: &'static str;
}

impl Kind for FlashSaleSpec {
    type Scope = NamespaceResourceScope;
    type Status = FlashSaleStatus;
    const KIND: &'static str = "FlashSale";
    const PLURAL: &'static str = "flashsales";
    const SHORT: &'static str = "fs";
    const SCOPE: &'static str = "Namespaced";
    const ABOUT: &'static str = "One flash sale: what is sold, when, and how.";
}

impl Kind for FlashSaleClassSpec {
    type Scope = ClusterResourceScope;
    type Status = FlashSaleClassStatus;
    const KIND: &'static str = "FlashSaleClass";
    const PLURAL: &'static str = "flashsaleclasses";
    const SHORT: &'static str = "fsc";
    const SCOPE: &'static str = "Cluster";
    const ABOUT: &'static str =
        "On what sales run: order log, databases, entry, rooms. The platform team says it once.";
}

impl Kind for FlashSaleSwitchSpec {
    type Scope = NamespaceResourceScope;
    type Status = FlashSaleSwitchStatus;
    const KIND: &'static str = "FlashSaleSwitch";
    const PLURAL: &'static str = "flashsaleswitches";
    const SHORT: &'static str = "fsw";
    const SCOPE: &'static str = "Namespaced";
    const ABOUT: &'static str = "Degradation switches of one or more running sales, for a time and a reason.";
}

/// An object of one of the kinds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(bound = "S: Kind")]
pub struct Object<S: Kind> {
    /// Name, namespace, labels, and all that the API server keeps.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for.
    pub spec: S,
    /// What is reported; missing until the operator has seen the object.
    pub status: Option<S::Status>,
}

impl<S: Kind> Object<S> {
    /// A new object of this name, without a namespace.
    pub fn new(name: &str, spec: S) -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        }
    }
}

impl<S: Kind> Serialize for Object<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut object = serializer.serialize_struct("Object", 4 + usize::from(self.status.is_some()))?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("kind", S::KIND)?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        if let Some(status) = &self.status {
            object.serialize_field("status", status)?;
        }
        object.end()
    }
}

impl<S: Kind> Resource for Object<S> {
    type DynamicType = ();
    type Scope = S::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        S::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        S::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<S: Kind> object::HasSpec for Object<S> {
    type Spec = S;

    fn spec(&self) -> &S {
        &self.spec
    }

    fn spec_mut(&mut self) -> &mut S {
        &mut self.spec
    }
}

impl<S: Kind> object::HasStatus for Object<S> {
    type Status = S::Status;

    fn status(&self) -> Option<&S::Status> {
        self.status.as_ref()
    }

    fn status_mut(&mut self) -> &mut Option<S::Status> {
        &mut self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_reads_and_writes_as_an_api_server_has_it() {
        let json = serde_json::json!({
            "apiVersion": "flashsale.dev/v1alpha1",
            "kind": "FlashSale",
            "metadata": {
                "name": "phone-launch", "namespace": "shop", "uid": "6e7f", "generation": 3, "resourceVersion": "12",
                "creationTimestamp": "2026-11-30T08:00:00Z", "finalizers": ["flashsale.dev/teardown"],
            },
            "spec": {
                "openTime": "2026-12-01T12:00:00Z", "closeTime": "2026-12-01T12:30:00Z", "currency": "EUR",
                "items": [{"id": "phone", "title": "Phone", "price": "699.00", "stock": 10}],
            },
            "status": {
                "observedGeneration": 3, "phase": "Armed", "lockLevel": 3, "entryURL": "https://phone-launch.sale.example",
                "items": [{"id": "phone", "stock": 10, "sellable": 7, "locked": 2, "sold": 1, "inTransfer": 0}],
                "load": {"state": "Seeded", "generation": 2},
            },
        });
        let sale: FlashSale = serde_json::from_value(json.clone()).unwrap();
        assert!(sale.status.as_ref().unwrap().items[0].adds_up());
        assert_eq!(serde_json::to_value(&sale).unwrap(), json);
    }

    #[test]
    fn paths_are_those_of_the_resources() {
        assert_eq!(
            FlashSale::url_path(&(), Some("shop")),
            "/apis/flashsale.dev/v1alpha1/namespaces/shop/flashsales"
        );
        assert_eq!(
            FlashSaleClass::url_path(&(), None),
            "/apis/flashsale.dev/v1alpha1/flashsaleclasses"
        );
        assert_eq!(FlashSaleSwitch::plural(&()), "flashsaleswitches");
    }

    #[test]
    fn a_field_of_a_later_version_is_passed_over_so_that_a_rollback_keeps_its_sales() {
        let json = r#"{"metadata": {"name": "a"}, "spec": {"openTime": "2026-12-01T12:00:00Z", "closeTime": "2026-12-01T12:30:00Z",
            "currency": "EUR", "items": [{"id": "a", "title": "A", "price": "1.00", "stock": 1, "colour": "red"}], "weather": {}}}"#;
        let sale: FlashSale = serde_json::from_str(json).unwrap();
        assert!(!serde_json::to_string(&sale).unwrap().contains("weather"));
    }
}
