//! Sales are deleted at the wrong moment: each goes within its bound, or says what is in the way.

use crate::cluster::{Cluster, SHOP};
use crate::stage::{self, Script, reaches, said};
use crate::{buyers, server, wait};
use anyhow::{Context, Result, ensure};
use flashsale_crds::status::{Phase, condition};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams};
use std::time::{Duration, Instant};

/// How long a live sale may take to close, drain, settle and go.
const GOES_WITHIN: Duration = Duration::from_secs(180);

pub(crate) async fn live(cluster: &Cluster) -> Result<()> {
    let script = open(cluster, "deleted-live").await?;
    let begun = Instant::now();
    delete(cluster, script.name).await?;
    gone(cluster, script.name).await?;
    println!(
        "    a live sale went {} s after its deletion",
        begun.elapsed().as_secs()
    );
    nothing_left(cluster).await
}

pub(crate) async fn without_log(cluster: &Cluster) -> Result<()> {
    let script = open(cluster, "deleted-nolog").await?;
    server::kill(cluster, "pulsar")?;
    let blocked = async {
        delete(cluster, script.name).await?;
        let sales = cluster.sales();
        wait::until("the sale says what is in the way", GOES_WITHIN, async || {
            let status = sales.get(script.name).await?.status.unwrap_or_default();
            let blocked = condition(&status.conditions, "TeardownBlocked").cloned();
            Ok(match blocked {
                Some(blocked) if format!("{:?}", blocked.status) == "True" => Ok(blocked),
                _ => Err(said(&status)),
            })
        })
        .await
    }
    .await;
    // Started again whatever came of it: others need it.
    server::start(cluster, "pulsar")?;
    let blocked = blocked?;
    println!("    {}: {}", blocked.reason, blocked.message);
    ensure!(
        blocked.message.contains("kubectl") || blocked.message.contains("Pulsar"),
        "no next step: {}",
        blocked.message
    );
    gone(cluster, script.name).await?;
    nothing_left(cluster).await
}

pub(crate) async fn with_namespace(cluster: &Cluster) -> Result<()> {
    let script = open(cluster, "deleted-ns").await?;
    let begun = Instant::now();
    cluster.allow_deletion(script.name).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete(SHOP, &DeleteParams::default()).await?;
    wait::until("the namespace is gone", Duration::from_secs(300), async || {
        let left = namespaces.get_opt(SHOP).await?;
        let sale = cluster.sales().get_opt(script.name).await.ok().flatten();
        let said = sale.map(|s| said(&s.status.unwrap_or_default()));
        Ok(left.map_or(Ok(()), |n| {
            Err(format!("{said:?} {:?}", n.status.and_then(|s| s.conditions)))
        }))
    })
    .await?;
    println!(
        "    a namespace with a live sale went in {} s",
        begun.elapsed().as_secs()
    );
    Ok(())
}

/// A sale that is open and that has sold something.
async fn open(cluster: &Cluster, name: &'static str) -> Result<Script> {
    stage::set(cluster).await?;
    let mut script = Script::new(name, &[("phone", 2_000)]);
    script.open_for = Duration::from_secs(600);
    let object = script.object();
    stage::apply(cluster, &object).await?;
    reaches(cluster, name, Phase::Open, Duration::from_secs(180)).await?;
    let opens =
        chrono::DateTime::parse_from_rfc3339(object["spec"]["openTime"].as_str().context("openTime")?)?;
    let mut crowd = buyers::crowd(cluster, &script, opens.timestamp_millis() as u64, 1_000);
    crowd.spread = Duration::from_secs(2);
    crowd.give_up_after = Duration::from_secs(25);
    let outcome = buyers::come(crowd).await?;
    ensure!(outcome.buyers.won > 0, "nobody bought: {:?}", outcome.unexpected);
    Ok(script)
}

/// Deletes a live sale, which has to be meant.
async fn delete(cluster: &Cluster, name: &str) -> Result<()> {
    let refused = cluster.sales().delete(name, &DeleteParams::default()).await;
    ensure!(refused.is_err(), "a live sale was deleted by slip");
    cluster.allow_deletion(name).await?;
    cluster.sales().delete(name, &DeleteParams::default()).await?;
    Ok(())
}

async fn gone(cluster: &Cluster, name: &str) -> Result<()> {
    let sales = cluster.sales();
    wait::until("the sale is gone", GOES_WITHIN, async || {
        let left = sales.get_opt(name).await?;
        Ok(left.map_or(Ok(()), |s| Err(said(&s.status.unwrap_or_default()))))
    })
    .await
}

async fn nothing_left(cluster: &Cluster) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SHOP);
    wait::until(
        "no pod and no topic is left",
        Duration::from_secs(60),
        async || {
            let pods = pods.list(&ListParams::default()).await?.items.len();
            let log = crate::left::log_namespaces(cluster).await?;
            Ok(if pods == 0 && log.is_empty() {
                Ok(())
            } else {
                Err(format!("{pods} pods, {log:?}"))
            })
        },
    )
    .await
}
