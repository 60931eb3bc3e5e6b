//! Where no secret may ever be seen: pods' arguments and environments, events, statuses, ConfigMaps, logs.

use crate::cluster::{Cluster, OPERATOR, SHOP};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, LogParams};

/// Shorter values are too common to be looked for.
const BYTES_MIN: usize = 12;

/// Looks everywhere for each value of each Secret that sales have to do with.
pub(crate) async fn are_nowhere_else(cluster: &Cluster) -> Result<()> {
    let mut secrets = Vec::new();
    for namespace in [SHOP, OPERATOR] {
        for secret in cluster.secrets(namespace).list(&ListParams::default()).await? {
            // Helm keeps its release there, which is no secret.
            if secret.type_.as_deref() != Some("helm.sh/release.v1") {
                secrets.extend(values(&secret));
            }
        }
    }
    let mut places = 0;
    for namespace in [SHOP, OPERATOR] {
        for (place, text) in texts(cluster, namespace).await? {
            places += 1;
            for (name, value) in &secrets {
                ensure!(!text.contains(value.as_str()), "{place} holds the secret {name}");
            }
        }
    }
    ensure!(
        secrets.len() > 4,
        "only {} secrets were looked for",
        secrets.len()
    );
    println!(
        "    {} secret values are in none of {places} objects and logs",
        secrets.len()
    );
    Ok(())
}

/// Each line of each value of a Secret that is long enough.
fn values(secret: &Secret) -> Vec<(String, String)> {
    let data = secret.data.iter().flatten();
    let texts = data.filter_map(|(key, value)| {
        let text = String::from_utf8(value.0.clone()).ok()?;
        Some((format!("{}/{key}", secret.name_any()), text))
    });
    texts
        .flat_map(|(name, text)| {
            // Of an address its password is the secret.
            let parts = text
                .split(['\n', ' ', '@'])
                .map(|part| part.rsplit(':').next().unwrap_or(part));
            let long = parts.filter(|part| part.len() >= BYTES_MIN && !part.contains('/'));
            long.map(|part| (name.clone(), part.trim_start_matches('>').to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

async fn texts(cluster: &Cluster, namespace: &str) -> Result<Vec<(String, String)>> {
    let client = || cluster.client.clone();
    let all = ListParams::default();
    let mut texts = Vec::new();
    let pods: Api<Pod> = Api::namespaced(client(), namespace);
    for pod in pods.list(&all).await? {
        let name = pod.name_any();
        texts.push((format!("pod {name}"), serde_json::to_string(&pod)?));
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let params = LogParams {
                container: Some(container.name.clone()),
                ..LogParams::default()
            };
            let log = pods.logs(&name, &params).await.unwrap_or_default();
            texts.push((format!("the log of {name}/{}", container.name), log));
        }
    }
    let events: Api<Event> = Api::namespaced(client(), namespace);
    for event in events.list(&all).await? {
        texts.push((
            format!("event {}", event.name_any()),
            serde_json::to_string(&event)?,
        ));
    }
    let maps: Api<ConfigMap> = Api::namespaced(client(), namespace);
    for map in maps.list(&all).await? {
        texts.push((
            format!("ConfigMap {}", map.name_any()),
            serde_json::to_string(&map)?,
        ));
    }
    for sale in cluster.sales().list(&all).await? {
        texts.push((format!("sale {}", sale.name_any()), serde_json::to_string(&sale)?));
    }
    Ok(texts)
}
