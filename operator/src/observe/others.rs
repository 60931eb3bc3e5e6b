//! What other sales have taken.

use super::{level, phase};
use flashsale_crds::objects::{CONTROLLER_NAME, DEFAULT_CLASS_ANNOTATION};
use flashsale_operator_core::Millis;
use flashsale_operator_core::api::{FlashSale, FlashSaleClass, LockLevel, Phase};
use flashsale_operator_core::observed::{HostClaim, Others};
use flashsale_operator_core::pinned::host;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// The class that a sale uses: the pinned one, the named one, or the only default one.
pub(crate) fn class_of<'a>(sale: &FlashSale, classes: &'a [FlashSaleClass]) -> Option<&'a FlashSaleClass> {
    let pinned = sale
        .status
        .as_ref()
        .and_then(|status| status.class.as_ref())
        .map(|pin| pin.name.as_str());
    let named = pinned.or(sale.spec.class_name.as_deref());
    if let Some(name) = named {
        return classes
            .iter()
            .find(|class| class.metadata.name.as_deref() == Some(name));
    }
    let is_default = |class: &&FlashSaleClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations
            .and_then(|all| all.get(DEFAULT_CLASS_ANNOTATION))
            .is_some_and(|value| value == "true")
    };
    let mut defaults = classes.iter().filter(is_default);
    defaults.next().filter(|_| defaults.next().is_none())
}

/// When an object was created.
pub(crate) fn created(meta: &ObjectMeta) -> Millis {
    let at = meta
        .creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_millisecond());
    u64::try_from(at).unwrap_or(0)
}

/// Whether nothing of a sale is left to be served.
pub(crate) fn is_over(sale: &FlashSale) -> bool {
    matches!(phase(sale), Phase::Settled | Phase::Failed)
}

/// What the other sales have taken from this one's point of view.
pub(super) fn others(
    all: &[Arc<FlashSale>],
    classes: &[FlashSaleClass],
    sale: &FlashSale,
    controller: &str,
) -> Others {
    let mut others = Others::default();
    let mine = class_of(sale, classes).and_then(|class| class.metadata.name.as_deref());
    let ours = |class: &FlashSaleClass| {
        class.spec.controller_name.as_deref().unwrap_or(CONTROLLER_NAME) == controller
    };
    for other in all
        .iter()
        .filter(|other| other.metadata.uid != sale.metadata.uid && !is_over(other))
    {
        let Some(class) = class_of(other, classes).filter(|class| ours(class)) else {
            continue;
        };
        let (namespace, name) = (&other.metadata.namespace, &other.metadata.name);
        others.hosts.push(HostClaim {
            host: host(&other.spec, &class.spec, name.as_deref().unwrap_or_default()),
            namespace: namespace.clone().unwrap_or_default(),
            name: name.clone().unwrap_or_default(),
            created: created(&other.metadata),
            claimed: level(other) >= LockLevel::Provisioned,
        });
        if level(other) > LockLevel::Pending && class.metadata.name.as_deref() == mine {
            others.sales_of_class += 1;
            others.sales_of_class_in_namespace += u32::from(*namespace == sale.metadata.namespace);
        }
    }
    others
}
