//! The operator dies, and is upgraded, while buyers come: nobody notices.

use crate::cluster::{Cluster, OPERATOR, SHOP};
use crate::stage::{self, Script, reaches};
use crate::{buyers, wait};
use anyhow::{Context, Result, ensure};
use flashsale_crds::objects::FlashSaleClass;
use flashsale_crds::status::Phase;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Buyers a second, and for how long.
const PER_SECOND: u32 = 2_000;
const COMING: Duration = Duration::from_secs(40);
const ENOUGH: i64 = 200_000;

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let mut script = Script::new("upgrade", &[("phone", ENOUGH)]).with(json!({"dataPlane": {"shards": 2}}));
    script.open_for = COMING + Duration::from_secs(30);
    let object = script.object();
    stage::apply(cluster, &object).await?;
    reaches(cluster, script.name, Phase::Armed, Duration::from_secs(120)).await?;
    let before = pods(cluster).await?;

    let opens =
        chrono::DateTime::parse_from_rfc3339(object["spec"]["openTime"].as_str().unwrap_or_default())?;
    let opens_at_ms = opens.timestamp_millis() as u64;
    let mut crowd = buyers::crowd(
        cluster,
        &script,
        opens_at_ms,
        PER_SECOND * COMING.as_secs() as u32,
    );
    // The arrival curve falls off: 95 % come within this time.
    crowd.spread = COMING;
    let disturb = async {
        let until = std::time::Duration::from_millis(
            opens_at_ms.saturating_sub(chrono::Utc::now().timestamp_millis() as u64),
        );
        tokio::time::sleep(until + Duration::from_secs(5)).await;
        kill(cluster).await?;
        tokio::time::sleep(Duration::from_secs(8)).await;
        upgrade(cluster).await
    };
    let (outcome, disturbed) = tokio::join!(buyers::come(crowd), disturb);
    disturbed?;
    let outcome = outcome?;
    ensure!(
        outcome.buyers.failed == 0,
        "{} purchases failed: {:?}",
        outcome.buyers.failed,
        outcome.unexpected
    );
    let after = pods(cluster).await?;
    ensure!(before == after, "pods changed: {before:?} {after:?}");
    println!(
        "    {} pods are the same, 0 of {} purchases failed",
        after.len(),
        outcome.buyers.total
    );
    reaches(cluster, script.name, Phase::Settled, Duration::from_secs(180)).await?;
    Ok(())
}

/// The pods of the sales, and their uids.
async fn pods(cluster: &Cluster) -> Result<BTreeMap<String, Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SHOP);
    let list = pods.list(&ListParams::default()).await?;
    Ok(list.iter().map(|p| (p.name_any(), p.uid())).collect())
}

/// Kills the operator's pods without a grace.
async fn kill(cluster: &Cluster) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), OPERATOR);
    for pod in pods.list(&ListParams::default()).await? {
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
            .await?;
    }
    println!("    the operator is killed");
    Ok(())
}

/// What the upgraded operator runs its new sales on. There are no such images: a pod of a live sale that took one would
/// never be ready.
const NEXT_IMAGES: [&str; 2] = [
    "--dataplane-image=docker.io/flashsale/dataplane:next",
    "--redis-image=docker.io/local/redis:next",
];

/// Rolls the operator out anew, with other images of the data plane and of Redis for new sales, as does the class.
async fn upgrade(cluster: &Cluster) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), OPERATOR);
    for deployment in deployments.list(&ListParams::default()).await? {
        let name = deployment.name_any();
        let containers = deployment
            .spec
            .and_then(|s| s.template.spec)
            .map(|s| s.containers);
        let mut operator = containers
            .unwrap_or_default()
            .into_iter()
            .next()
            .context("a container")?;
        let mut args = operator.args.take().unwrap_or_default();
        for next in NEXT_IMAGES {
            let flag = next.split_inclusive('=').next().unwrap_or(next);
            args.retain(|arg| !arg.starts_with(flag));
            args.push(next.to_owned());
        }
        let containers = json!([{"name": operator.name, "args": args}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let wanted = deployments
            .patch(&name, &PatchParams::default(), &Patch::Strategic(patch))
            .await?;
        wait::until(
            "the operator is rolled out",
            Duration::from_secs(90),
            async || {
                let status = deployments.get(&name).await?.status.unwrap_or_default();
                let seen = status.observed_generation >= wanted.metadata.generation;
                let done = seen
                    && status.updated_replicas == status.replicas
                    && status.available_replicas == status.replicas;
                Ok(if done { Ok(()) } else { Err(format!("{status:?}")) })
            },
        )
        .await?;
    }
    let classes: Api<FlashSaleClass> = Api::all(cluster.client.clone());
    let [dataplane, redis] = NEXT_IMAGES.map(|next| next.split_once('=').map_or(next, |(_, image)| image));
    let patch = json!({"spec": {"pods": {"image": dataplane}, "redis": {"image": redis}}});
    classes
        .patch("standard", &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    println!("    the operator is upgraded, and the class names other images");
    Ok(())
}
