//! Secrets and ConfigMaps that a sale names, and whether the operator may write in its namespace.

use super::{level, phase};
use crate::hand::CallError;
use crate::memory::{Memory, Named};
use crate::operator::Operator;
use flashsale_dataplane::pages;
use flashsale_operator_core::api::{FlashSale, LockLevel, Phase};
use flashsale_operator_core::observed::{Kind, Reference};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How old the last look at a reference may be while a sale is made.
const MAKING: Duration = Duration::from_secs(20);
/// The same while it waits for its time, or runs.
const RESTING: Duration = Duration::from_secs(900);

/// The same for pages, which may be changed at any time, and for what gateways serve of them.
pub(crate) const PAGES: Duration = Duration::from_secs(55);

/// Looks again at what the sale names, where the last look is too old.
pub(super) async fn refresh(operator: &Operator, memory: &mut Memory, sale: &FlashSale) {
    if matches!(phase(sale), Phase::Settled | Phase::Failed) {
        return;
    }
    let names = named(&serde_json::to_value(&sale.spec).unwrap_or_default());
    let entry = sale.spec.entry.as_ref();
    let pages = entry.and_then(|entry| entry.pages_config_map_ref.as_ref());
    let pages = pages.map(|pages| &pages.name);
    memory.references.retain(|named, _| names.contains(named));
    let making =
        matches!(phase(sale), Phase::Provisioning | Phase::Warming) || level(sale) == LockLevel::Provisioned;
    for named in names {
        let known = memory.references.get(&named);
        let age_max = match known {
            Some((_, Reference::There { .. })) if !making && pages == Some(&named.1) => PAGES,
            Some((_, Reference::There { .. })) if !making => RESTING,
            _ => MAKING,
        };
        if known.is_some_and(|(at, _)| at.elapsed() < age_max) {
            continue;
        }
        let namespace = sale.metadata.namespace.as_deref().unwrap_or_default();
        // What can't be read now is looked at next time; a reference that isn't known isn't missing.
        if let Ok(found) = look(operator, namespace, &named).await {
            memory.references.insert(named, (Instant::now(), found));
        }
    }
}

async fn look(operator: &Operator, namespace: &str, (kind, name): &Named) -> Result<Reference, CallError> {
    let client = operator.hand.client.clone();
    let found = if *kind == Kind::Secret {
        let api: Api<Secret> = Api::namespaced(client, namespace);
        let found = operator.hand.read(api.get_opt(name)).await?;
        found.map(|secret| Reference::There {
            keys: secret.data.into_iter().flatten().map(|(key, _)| key).collect(),
            version: String::new(),
        })
    } else {
        let api: Api<ConfigMap> = Api::namespaced(client, namespace);
        let found = operator.hand.read(api.get_opt(name)).await?;
        found.as_ref().map(map_seen)
    };
    Ok(found.unwrap_or(Reference::Missing))
}

/// What a ConfigMap holds, as files.
fn files(map: &ConfigMap) -> BTreeMap<&str, &[u8]> {
    let text = map.data.iter().flatten();
    let text = text.map(|(key, text)| (key.as_str(), text.as_bytes()));
    let binary = map.binary_data.iter().flatten();
    let binary = binary.map(|(key, bytes)| (key.as_str(), bytes.0.as_slice()));
    text.chain(binary).collect()
}

/// A ConfigMap, with the digest of what it holds as gateways reckon that of their pages.
pub(crate) fn map_seen(map: &ConfigMap) -> Reference {
    let files = files(map);
    Reference::There {
        version: pages::version(files.iter().map(|(name, bytes)| (*name, *bytes))),
        keys: files.into_keys().map(str::to_owned).collect(),
    }
}

/// The Secrets and ConfigMaps that a spec names, wherever in it.
fn named(spec: &Value) -> Vec<Named> {
    let mut found = Vec::new();
    collect(spec, &mut found);
    found.sort();
    found.dedup();
    found
}

fn collect(value: &Value, found: &mut Vec<Named>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let kind = match field.as_str() {
                    "tlsSecretName" => Some(Kind::Secret),
                    "configMap" => Some(Kind::ConfigMap),
                    field if field.ends_with("ecretRef") => Some(Kind::Secret),
                    field if field.ends_with("onfigMapRef") => Some(Kind::ConfigMap),
                    _ => None,
                };
                let name = value.as_str().or_else(|| value["name"].as_str());
                match (kind, name) {
                    (Some(kind), Some(name)) => found.push((kind, name.to_owned())),
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Whether the operator may make a sale's objects in a namespace.
///
/// # Errors
/// The API doesn't say.
pub(super) async fn may_write(operator: &Operator, namespace: &str) -> Result<bool, CallError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(operator.hand.client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some("apps".to_owned()),
                namespace: Some(namespace.to_owned()),
                resource: Some("statefulsets".to_owned()),
                verb: Some("create".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = operator
        .hand
        .read(api.create(&PostParams::default(), &review))
        .await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_spec_names_is_found_wherever_it_is() {
        let spec = json!({
            "entry": {"tlsSecretName": "tls", "pagesConfigMapRef": {"name": "pages"}},
            "payments": {"callbackSecretRef": {"name": "pay", "key": "k"}, "followUps": [{"webhook": {"secretRef": {"name": "hook"}}}]},
            "buyers": {"jwt": {"jwksConfigMapRef": {"name": "keys"}}},
            "itemsFrom": {"configMap": {"name": "items", "key": "items.csv"}},
            "orders": {"handover": {"secretRef": {"name": "pay"}}},
        });
        let secrets = ["hook", "pay", "tls"].map(|name| (Kind::Secret, name.to_owned()));
        let maps = ["items", "keys", "pages"].map(|name| (Kind::ConfigMap, name.to_owned()));
        assert_eq!(named(&spec), [maps, secrets].concat());
    }
}
