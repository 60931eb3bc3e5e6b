//! An operator that has nothing to do does nothing; and one with very many sales copes.

use crate::cluster::{Cluster, OPERATOR};
use crate::stage::{self, Script, reaches};
use crate::wait;
use anyhow::{Context, Result, ensure};
use flashsale_crds::objects::FlashSaleClass;
use flashsale_crds::status::Phase;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(600);
/// What it may ask of the API server in a minute, leases apart.
const REQUESTS_PER_MINUTE_MAX: f64 = 2.0;
/// Many sales.
const MANY: usize = 200;

pub(crate) async fn quiet(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let mut script = Script::new("idle", &[("phone", 100)]).with(json!({"dataPlane": {"shards": 2}}));
    script.opens_in = WATCHED + Duration::from_secs(600);
    stage::apply(cluster, &script.object()).await?;
    reaches(cluster, script.name, Phase::Armed, Duration::from_secs(120)).await?;
    // What the arming itself caused is over by then.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let from = std::fs::metadata(&cluster.audit_log)?.len();
    tokio::time::sleep(WATCHED).await;
    let requests = of_the_operator(cluster, from)?;
    let minutes = WATCHED.as_secs_f64() / 60.0;
    let all: u32 = requests
        .iter()
        .filter(|(what, _)| !what.contains("leases"))
        .map(|(_, n)| n)
        .sum();
    let writes: u32 = requests
        .iter()
        .filter(|(what, _)| what.contains("/status"))
        .map(|(_, n)| n)
        .sum();
    let per_minute = f64::from(all) / minutes;
    println!(
        "    {all} requests in {minutes} minutes ({per_minute:.2} a minute), {writes} status writes: {requests:?}"
    );
    ensure!(writes == 0, "{writes} status writes of an idle sale");
    ensure!(
        per_minute <= REQUESTS_PER_MINUTE_MAX,
        "{per_minute:.2} requests a minute"
    );
    Ok(())
}

/// What the operator asked since that place in the audit log: verb and resource, and how often.
fn of_the_operator(cluster: &Cluster, from: u64) -> Result<BTreeMap<String, u32>> {
    let mut file = std::fs::File::open(&cluster.audit_log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut requests = BTreeMap::new();
    for line in BufReader::new(file).lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let user = event["user"]["username"].as_str().unwrap_or_default();
        if !user.starts_with(&format!("system:serviceaccount:{OPERATOR}:"))
            || event["stage"] == "RequestReceived"
        {
            continue;
        }
        let object = &event["objectRef"];
        let part = |name: &str| object[name].as_str().map(|p| format!("/{p}")).unwrap_or_default();
        let what = format!(
            "{} {}{}",
            event["verb"].as_str().unwrap_or_default(),
            part("resource"),
            part("subresource")
        );
        *requests.entry(what).or_default() += 1;
    }
    Ok(requests)
}

pub(crate) async fn many(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let begun = Instant::now();
    for ix in 0..MANY {
        let mut script = Script::new("many", &[("phone", 100)]);
        script.opens_in = Duration::from_secs(100 * 3600);
        let mut object = script.object();
        object["metadata"]["name"] = format!("many-{ix}").into();
        stage::apply(cluster, &object).await?;
    }
    let applied = begun.elapsed();
    let sales = cluster.sales();
    wait::until("every sale is seen", Duration::from_secs(120), async || {
        let list = sales.list(&ListParams::default()).await?;
        let seen = |s: &&flashsale_crds::objects::FlashSale| {
            let status = s.status.clone().unwrap_or_default();
            status.phase == Some(Phase::Pending) && status.observed_generation == s.metadata.generation
        };
        let seen = list.iter().filter(seen).count();
        Ok(if seen == MANY {
            Ok(())
        } else {
            Err(format!("{seen} of {MANY}"))
        })
    })
    .await?;
    let converged = begun.elapsed();
    let classes: Api<FlashSaleClass> = Api::all(cluster.client.clone());
    wait::until("the class counts them", Duration::from_secs(30), async || {
        let status = classes.get("standard").await?.status.unwrap_or_default();
        let all = i32::try_from(MANY).ok();
        Ok(if status.sales == all {
            Ok(())
        } else {
            Err(format!("{:?}", status.sales))
        })
    })
    .await?;
    let bytes = memory(cluster).await?;
    println!(
        "    {MANY} sales: applied within {applied:?}, seen within {converged:?}, {} MiB",
        bytes / 1024 / 1024
    );
    sales
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    Ok(())
}

/// Resident bytes of the operator's process, as its metrics say.
async fn memory(cluster: &Cluster) -> Result<u64> {
    use k8s_openapi::api::core::v1::Pod;
    let pods: kube::Api<Pod> = kube::Api::namespaced(cluster.client.clone(), OPERATOR);
    let list = pods.list(&ListParams::default()).await?;
    let pod = list.iter().next().context("an operator's pod")?;
    let ip = pod
        .status
        .as_ref()
        .and_then(|s| s.pod_ip.clone())
        .with_context(|| pod.name_any())?;
    let text = reqwest::get(format!("http://{ip}:9090/metrics"))
        .await?
        .text()
        .await?;
    let line = text
        .lines()
        .find(|l| l.starts_with("process_resident_memory_bytes"));
    let value = line
        .and_then(|l| l.split(' ').nth(1))
        .context("process_resident_memory_bytes")?;
    Ok(value.parse::<f64>()? as u64)
}
