//! Whether a sale can be held at all: its class, its namespace, its host, its size.

use crate::api::{ClassDefaults, ClassPin, FlashSaleClass, FlashSaleClassSpec, LockLevel, NamespacesFrom};
use crate::declared::declared;
use crate::names::Names;
use crate::observed::{HostClaim, Observed};
use crate::pinned::{self, Pin, Sized};
use crate::sizing::Sizes;
use crate::time::Millis;
use flashsale_crds::Refusal;
use flashsale_crds::objects::{CONTROLLER_NAME, DEFAULT_CLASS_ANNOTATION};

/// Why a sale isn't accepted: the condition's reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

fn refused<T>(reason: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        reason,
        message: message.into(),
    })
}

/// What an accepted sale is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Basis {
    pub(crate) class: ClassPin,
    pub(crate) class_spec: FlashSaleClassSpec,
    /// The sale as it is asked for now; once pinned, as pinned where what is asked for now is wrong.
    pub(crate) sized: Sized,
    /// What is wrong with what is asked for now, once pinned.
    pub(crate) wrong: Vec<String>,
}

/// Whether a class is this operator's.
fn is_own(class: &FlashSaleClass, seen: &Observed) -> bool {
    class.spec.controller_name.as_deref().unwrap_or(CONTROLLER_NAME) == seen.settings.controller_name
}

/// Whether the sale names a class of another operator, which then is the one to say something.
pub(crate) fn is_foreign(seen: &Observed) -> bool {
    let name = seen.sale.spec.class_name.as_deref();
    let named = seen
        .classes
        .iter()
        .find(|class| class.metadata.name.as_deref() == name);
    name.is_some() && named.is_some_and(|class| !is_own(class, seen))
}

/// Class, values and sizes. A sale that is pinned keeps its class, whatever became of that.
pub(crate) fn basis(
    seen: &Observed,
    names: &Names,
    level: LockLevel,
    pin: Option<&Pin>,
) -> Result<Basis, Refused> {
    if let Some(pin) = pin {
        return pinned_basis(seen, level, pin);
    }
    let class = class(seen)?;
    namespace(seen, names, class)?;
    let sized = pinned::sized(&seen.sale.spec, &class.spec).or_else(|refusals| invalid(&refusals))?;
    limits(seen, class, &sized)?;
    if level == LockLevel::Pending {
        concurrent(seen, class)?;
        host(seen, names, class)?;
    }
    if let Some((kind, name)) = seen.foreign.first() {
        let look = format!(
            "kubectl -n {} get {} {name} -o yaml",
            names.namespace,
            kind.plural()
        );
        let what = format!(
            "{kind} {name} isn't the sale's, and one of its parts needs the name: remove it, or give the sale another name ({look})"
        );
        return refused("NameTaken", what);
    }
    Ok(Basis {
        class: pin_of(class),
        class_spec: class.spec.clone(),
        sized,
        wrong: Vec::new(),
    })
}

fn pin_of(class: &FlashSaleClass) -> ClassPin {
    ClassPin {
        name: class.metadata.name.clone().unwrap_or_default(),
        uid: class.metadata.uid.clone().unwrap_or_default(),
        generation: class.metadata.generation.unwrap_or(0),
    }
}

fn pinned_basis(seen: &Observed, level: LockLevel, pin: &Pin) -> Result<Basis, Refused> {
    let asked = asked(seen, level, pin);
    let wrong = asked
        .as_ref()
        .err()
        .map(|all| all.iter().map(ToString::to_string).collect());
    let as_pinned = || {
        pin.declared().map(|declared| Sized {
            declared,
            sizes: pin.sizes.clone(),
        })
    };
    let sized = asked
        .or_else(|_| as_pinned())
        .or_else(|refusals| invalid(&refusals))?;
    Ok(Basis {
        class: pin.class.clone(),
        class_spec: pin.class_spec.clone(),
        sized,
        wrong: wrong.unwrap_or_default(),
    })
}

/// What is asked for now, on the pinned class. Once stock is loaded, shards and rooms are what they were.
fn asked(seen: &Observed, level: LockLevel, pin: &Pin) -> Result<Sized, Vec<Refusal>> {
    let sized = pinned::sized(&seen.sale.spec, &pin.class_spec)?;
    if level < LockLevel::Loading {
        return Ok(sized);
    }
    let none = ClassDefaults::default();
    let defaults = pin.class_spec.defaults.as_ref().unwrap_or(&none);
    let declared = declared(&seen.sale.spec, defaults, pin.sizes.shards)?;
    let sizes = Sizes {
        gateways: sized.sizes.gateways,
        ..pin.sizes.clone()
    };
    Ok(Sized { declared, sizes })
}

fn invalid<T>(refusals: &[Refusal]) -> Result<T, Refused> {
    let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    refused("SpecInvalid", said.join("; "))
}

/// The class that the sale names, or the default one.
fn class(seen: &Observed) -> Result<&FlashSaleClass, Refused> {
    let name_of = |class: &FlashSaleClass| class.metadata.name.clone().unwrap_or_default();
    if let Some(name) = &seen.sale.spec.class_name {
        let found = seen.classes.iter().find(|class| name_of(class) == *name);
        return found.map_or_else(
            || {
                let what =
                    format!("spec.className: there is no class \"{name}\"; see kubectl get flashsaleclasses");
                refused("ClassNotFound", what)
            },
            Ok,
        );
    }
    let is_default = |class: &&FlashSaleClass| {
        let annotations = class.metadata.annotations.as_ref();
        let value = annotations.and_then(|all| all.get(DEFAULT_CLASS_ANNOTATION));
        is_own(class, seen) && value.is_some_and(|value| value == "true")
    };
    let defaults: Vec<&FlashSaleClass> = seen.classes.iter().filter(is_default).collect();
    match defaults.as_slice() {
        [only] => Ok(only),
        [] => refused(
            "ClassNotFound",
            format!(
                "the sale names no class and none is the default: set spec.className, or kubectl annotate flashsaleclass NAME {DEFAULT_CLASS_ANNOTATION}=true"
            ),
        ),
        several => {
            let mut named: Vec<String> = several.iter().map(|class| name_of(class)).collect();
            named.sort();
            let what = format!(
                "the sale names no class and {} are marked as default: kubectl annotate flashsaleclass {} {DEFAULT_CLASS_ANNOTATION}-",
                named.join(", "),
                named[0]
            );
            refused("AmbiguousDefaultClass", what)
        }
    }
}

fn namespace(seen: &Observed, names: &Names, class: &FlashSaleClass) -> Result<(), Refused> {
    let (namespace, class_name) = (
        &names.namespace,
        class.metadata.name.as_deref().unwrap_or_default(),
    );
    let allowed = class.spec.allowed_namespaces.as_ref();
    let is_allowed = allowed.is_none_or(|allowed| match allowed.from {
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => allowed
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&seen.namespace.labels)),
    });
    if !is_allowed {
        let what = format!(
            "class {class_name} isn't for namespace {namespace}: label the namespace as its spec.allowedNamespaces asks, or name another class"
        );
        return refused("NamespaceNotAllowed", what);
    }
    if !seen.namespace.enabled {
        let operator = &seen.settings.operator_namespace;
        let what = format!(
            "the operator has no rights in namespace {namespace}: kubectl -n {namespace} create rolebinding flashsale-operator-namespace --clusterrole=flashsale-operator-namespace --serviceaccount={operator}:flashsale-operator"
        );
        return refused("NamespaceNotEnabled", what);
    }
    Ok(())
}

fn limits(seen: &Observed, class: &FlashSaleClass, sized: &Sized) -> Result<(), Refused> {
    let limits = class.spec.limits.clone().unwrap_or_default();
    let class_name = class.metadata.name.as_deref().unwrap_or_default();
    let asked = &sized.declared.effective;
    let checks = [
        (
            "spec.items",
            asked.items.len() as u64,
            limits.items.map(i64::from),
        ),
        (
            "spec.items (stock of all)",
            asked.total_stock(),
            limits.stock_per_sale,
        ),
        (
            "spec.dataPlane.shards",
            u64::from(sized.sizes.shards),
            limits.shards.map(i64::from),
        ),
        (
            "spec.dataPlane.gateways.replicas",
            u64::try_from(sized.sizes.gateways).unwrap_or(0),
            limits.gateways.map(i64::from),
        ),
    ];
    for (field, value, limit) in checks {
        let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) else {
            continue;
        };
        if value > limit {
            let what = format!(
                "{field}: {value} is more than class {class_name} allows ({limit}): ask for less, or name another class"
            );
            return refused("LimitExceeded", what);
        }
    }
    allowed_host(seen, class)
}

/// Hosts below the class' domain are anybody's; others must be allowed.
fn allowed_host(seen: &Observed, class: &FlashSaleClass) -> Result<(), Refused> {
    let Some(host) = seen
        .sale
        .spec
        .entry
        .as_ref()
        .and_then(|entry| entry.host.as_ref())
    else {
        return Ok(());
    };
    let below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
    };
    let mut allowed = class.spec.allowed_hosts.iter().flatten();
    let is_allowed = below(&class.spec.entry.domain)
        || allowed.any(|pattern| pattern == host || pattern.strip_prefix("*.").is_some_and(below));
    if is_allowed {
        return Ok(());
    }
    let class_name = class.metadata.name.as_deref().unwrap_or_default();
    let domain = &class.spec.entry.domain;
    let what = format!(
        "spec.entry.host: {host} is neither below {domain} nor among the allowedHosts of class {class_name}"
    );
    refused("LimitExceeded", what)
}

fn concurrent(seen: &Observed, class: &FlashSaleClass) -> Result<(), Refused> {
    let limits = class.spec.limits.clone().unwrap_or_default();
    let class_name = class.metadata.name.as_deref().unwrap_or_default();
    let others = &seen.others;
    for (count, limit, place) in [
        (
            others.sales_of_class,
            limits.concurrent_sales,
            "in all namespaces",
        ),
        (
            others.sales_of_class_in_namespace,
            limits.concurrent_sales_per_namespace,
            "in this namespace",
        ),
    ] {
        let Some(limit) = limit.and_then(|limit| u32::try_from(limit).ok()) else {
            continue;
        };
        if count >= limit {
            let what = format!(
                "{count} sales of class {class_name} run {place}, as many as it allows ({limit}): one of them has to settle first"
            );
            return refused("LimitExceeded", what);
        }
    }
    Ok(())
}

/// Who has a host keeps it; of those who wait for it, the oldest gets it, then the first by namespace and name.
fn host(seen: &Observed, names: &Names, class: &FlashSaleClass) -> Result<(), Refused> {
    let host = pinned::host(&seen.sale.spec, &class.spec, &names.sale);
    let own = (created(seen), names.namespace.as_str(), names.sale.as_str());
    let precedes = |other: &&HostClaim| {
        other.claimed || (other.created, other.namespace.as_str(), other.name.as_str()) < own
    };
    let winner = seen
        .others
        .hosts
        .iter()
        .filter(|other| other.host == host)
        .find(precedes);
    match winner {
        None => Ok(()),
        Some(other) => {
            let what = format!(
                "host {host} is taken by the older sale {}/{}: set another spec.entry.host, or wait until that sale is settled",
                other.namespace, other.name
            );
            refused("HostConflict", what)
        }
    }
}

fn created(seen: &Observed) -> Millis {
    let created = seen.sale.metadata.creation_timestamp.as_ref();
    created
        .and_then(|time| u64::try_from(time.0.as_millisecond()).ok())
        .unwrap_or(0)
}
