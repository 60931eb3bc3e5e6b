//! The operator is killed at every call it makes, before the API server has heard it and after.

use crate::cluster::{Cluster, OPERATOR, SHOP};
use crate::proxy::{Kills, Proxy};
use crate::stage::{self, Script, reaches};
use crate::{left, wait};
use anyhow::{Context, Result, ensure};
use flashsale_crds::status::{LoadState, Phase};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The least points at which it must have been killed.
const POINTS_MIN: usize = 60;
/// How long the operator may take to come to rest once it isn't killed any more.
const CONVERGED_WITHIN: Duration = Duration::from_secs(30);
const STOCK: [(&str, i64); 2] = [("phone", 300), ("case", 200)];

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    deploy(cluster, 0).await?;
    let played = play_alone(cluster).await;
    deploy(cluster, 1).await?;
    played
}

async fn play_alone(cluster: &Cluster) -> Result<()> {
    let objects = left::objects(cluster).await?;
    let kills = Kills::default();
    let proxy = Proxy::start(cluster, kills.clone()).await?;
    let operator = Operator::keep_running(cluster, &proxy, kills.clone())?;
    let mut script =
        Script::new("killed", &STOCK).with(json!({"dataPlane": {"shards": 2}, "teardown": {"after": "1s"}}));
    (script.opens_in, script.open_for) = (Duration::from_secs(400), Duration::from_secs(15));
    stage::apply(cluster, &script.object()).await?;

    reaches(cluster, script.name, Phase::Armed, script.opens_in).await?;
    let provisioning = kills.points();
    reaches(cluster, script.name, Phase::Open, script.opens_in).await?;
    let settled = reaches(cluster, script.name, Phase::Settled, Duration::from_secs(180)).await?;
    ensure!(
        settled.load.map(|l| l.state) == Some(LoadState::Seeded),
        "the stock isn't loaded"
    );
    for (id, stock) in STOCK {
        let item = settled
            .items
            .iter()
            .find(|i| i.id == id)
            .context("figures of every item")?;
        ensure!(
            item.stock == stock && item.sellable == stock,
            "{id} wasn't loaded exactly once: {item:?}"
        );
    }
    let sales = cluster.sales();
    sales.delete(script.name, &DeleteParams::default()).await?;
    let gone = async || {
        let left = sales.get_opt(script.name).await?;
        Ok(left.map_or(Ok(()), |s| Err(stage::said(&s.status.unwrap_or_default()))))
    };
    // Killed until nothing new is left to be killed at; from then on it has its bound.
    let quiet = wait::until("the sale is gone, with kills", Duration::from_secs(240), gone).await;
    kills.stop();
    let begun = Instant::now();
    if quiet.is_err() {
        wait::until("the sale is gone once nobody kills", CONVERGED_WITHIN, gone).await?;
    }
    let points = kills.points();
    println!(
        "    killed at {points} points, {provisioning} of them before it was armed; at rest {:?} after the last",
        begun.elapsed()
    );
    operator.end();
    let after = left::objects(cluster).await?;
    let more: Vec<&String> = after
        .difference(&objects)
        .filter(|o| !o.ends_with("-report"))
        .collect();
    ensure!(more.is_empty(), "orphans: {more:?}");
    ensure!(left::log_namespaces(cluster).await?.is_empty(), "topics are left");
    ensure!(
        points >= POINTS_MIN,
        "killed at {points} points only, of {POINTS_MIN}"
    );
    Ok(())
}

/// Sets how many operators the cluster runs by itself, and waits until it is so.
async fn deploy(cluster: &Cluster, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), OPERATOR);
    for deployment in deployments.list(&ListParams::default()).await? {
        let name = deployment.name_any();
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments
            .patch_scale(&name, &PatchParams::default(), &patch)
            .await?;
        wait::until(
            "the operator's pods are as many as wanted",
            Duration::from_secs(60),
            async || {
                let status = deployments.get(&name).await?.status.unwrap_or_default();
                let ready = status.ready_replicas.unwrap_or(0);
                Ok(if ready == replicas && status.replicas.unwrap_or(0) == replicas {
                    Ok(())
                } else {
                    Err(format!("{ready}"))
                })
            },
        )
        .await?;
    }
    // Nobody waits for the lease of somebody who is gone.
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), OPERATOR);
    leases
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    Ok(())
}

/// An operator on this machine that is started again whenever it dies.
struct Operator(tokio::task::JoinHandle<()>);

impl Operator {
    fn keep_running(cluster: &Cluster, proxy: &Proxy, kills: Kills) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("flashsale-operator");
        ensure!(program.exists(), "{} isn't built", program.display());
        let (kubeconfig, image) = (proxy.kubeconfig.clone(), cluster.image.clone());
        Ok(Self(tokio::spawn(async move {
            loop {
                let Ok(mut child) = start(&program, &kubeconfig, &image) else {
                    return;
                };
                kills.watch(child.id());
                while matches!(child.try_wait(), Ok(None)) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        })))
    }

    fn end(self) {
        self.0.abort();
    }
}

fn start(program: &PathBuf, kubeconfig: &PathBuf, image: &str) -> std::io::Result<Ended> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(kubeconfig.with_extension("log"))?;
    let mut command = Command::new(program);
    command.args([
        "--operator-namespace",
        OPERATOR,
        "--namespace",
        SHOP,
        "--metrics-address",
        "127.0.0.1:0",
    ]);
    command.args([
        "--leader-elect=false",
        "--dataplane-image",
        image,
        "--redis-image",
        "docker.io/local/redis:7",
    ]);
    command.arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).spawn().map(Ended)
}

/// A child that is gone when this is.
struct Ended(Child);

impl std::ops::Deref for Ended {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Ended {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
