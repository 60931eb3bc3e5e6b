//! What is there: objects, topics. Compared before and after a sale.

use crate::cluster::{Cluster, SHOP};
use anyhow::Result;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use std::collections::BTreeSet;

/// Kinds that come and go by themselves, or that others make of a sale's objects.
const OTHERS: [&str; 3] = ["Event", "PodMetrics", "EndpointSlice"];

/// Every object in the namespace of the sales, as `Kind/name`.
pub(crate) async fn objects(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let discovery = Discovery::new(cluster.client.clone()).run().await?;
    let mut all = BTreeSet::new();
    for group in discovery.groups() {
        for (resource, can) in group.recommended_resources() {
            let listed = can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST);
            if !listed || OTHERS.contains(&&*resource.kind) {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), SHOP, &resource);
            let objects = api.list_metadata(&ListParams::default()).await?;
            all.extend(
                objects
                    .iter()
                    .map(|o| format!("{}/{}", resource.kind, o.name_any())),
            );
        }
    }
    Ok(all)
}

/// Every namespace of Pulsar in the sales' tenant; each has its topics in it.
pub(crate) async fn log_namespaces(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let url = format!("{}/admin/v2/namespaces/flashsale", cluster.pulsar_admin_url);
    let answer = reqwest::get(url).await?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(BTreeSet::new());
    }
    Ok(answer.error_for_status()?.json().await?)
}
