//! What tools that watch or own a sale may rely on, looked at in each phase that it passes.

use crate::cluster::Cluster;
use crate::stage::{self, said};
use anyhow::{Context, Result, ensure};
use flashsale_crds::objects::FlashSale;
use flashsale_crds::status::{ConditionStatus, FlashSaleStatus, Phase, condition};
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use std::process::Command;

/// The widest line of `kubectl get flashsales`.
const COLUMNS_MAX: usize = 100;

/// Checks all of it for the sale as it stands; `declared` is what its pipeline applies.
pub(crate) async fn kept(cluster: &Cluster, declared: &Value) -> Result<()> {
    let name = declared["metadata"]["name"]
        .as_str()
        .context("a sale has a name")?;
    let status = stage::status(cluster, name).await?;
    dry_run_is_empty(cluster, name, declared)
        .await
        .with_context(|| format!("in {:?}", status.phase))?;
    kstatus_is_as_intended(cluster, name).await?;
    table_fits(cluster, name)
}

/// Applying the same again, server-side and for show only, would change nothing.
async fn dry_run_is_empty(cluster: &Cluster, name: &str, declared: &Value) -> Result<()> {
    let live = cluster.sales().get(name).await?;
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::apply(stage::PIPELINE)
    };
    let dry = cluster
        .sales()
        .patch(name, &params, &Patch::Apply(declared))
        .await?;
    let (live, dry) = (plain(&live)?, plain(&dry)?);
    ensure!(live == dry, "a dry run differs:\n  live {live}\n  dry  {dry}");
    Ok(())
}

/// Without what every write changes.
fn plain(sale: &FlashSale) -> Result<Value> {
    let mut value = serde_json::to_value(sale)?;
    let metadata = value["metadata"].as_object_mut().context("metadata")?;
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    // Status is another writer's, and may move on in between.
    value.as_object_mut().context("an object")?.remove("status");
    Ok(value)
}

/// What `kstatus` makes of an object with these conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kstatus {
    Current,
    InProgress,
    Failed,
}

/// The rules of kstatus for a resource that it doesn't know.
pub(crate) fn kstatus(generation: Option<i64>, status: &FlashSaleStatus) -> Kstatus {
    let is = |kind: &str, wanted| condition(&status.conditions, kind).is_some_and(|c| c.status == wanted);
    if status.observed_generation.is_some() && status.observed_generation != generation {
        Kstatus::InProgress
    } else if is("Stalled", ConditionStatus::True) {
        Kstatus::Failed
    } else if is("Reconciling", ConditionStatus::True)
        || is("Ready", ConditionStatus::False)
        || is("Ready", ConditionStatus::Unknown)
    {
        Kstatus::InProgress
    } else {
        Kstatus::Current
    }
}

async fn kstatus_is_as_intended(cluster: &Cluster, name: &str) -> Result<()> {
    let sale = cluster.sales().get(name).await?;
    let status = sale.status.unwrap_or_default();
    let (phase, read) = (status.phase, kstatus(sale.metadata.generation, &status));
    let intended: &[Kstatus] = match phase {
        Some(Phase::Provisioning | Phase::Warming) => &[Kstatus::InProgress],
        Some(Phase::Failed) => &[Kstatus::Failed],
        Some(Phase::Pending) | None => &[Kstatus::Current, Kstatus::InProgress],
        Some(_) => &[Kstatus::Current],
    };
    ensure!(
        intended.contains(&read),
        "kstatus reads {read:?} in {phase:?}: {}",
        said(&status)
    );
    Ok(())
}

fn table_fits(cluster: &Cluster, name: &str) -> Result<()> {
    let out = kubectl(cluster, &["get", "flashsales"])?;
    let (head, line) = (
        out.lines().next().unwrap_or_default(),
        out.lines().find(|l| l.contains(name)),
    );
    for column in ["PHASE", "OPENS", "SOLD", "STOCK", "READY", "AGE"] {
        ensure!(head.contains(column), "no column {column}:\n{out}");
    }
    ensure!(line.is_some(), "{name} isn't listed:\n{out}");
    let widest = out.lines().map(|l| l.trim_end().len()).max().unwrap_or_default();
    ensure!(widest <= COLUMNS_MAX, "{widest} columns:\n{out}");
    Ok(())
}

/// What kubectl says in the namespace of the sales.
pub(crate) fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let mut command = Command::new(&cluster.kubectl);
    command
        .arg("--kubeconfig")
        .arg(&cluster.kubeconfig)
        .args(["-n", crate::cluster::SHOP])
        .args(args);
    let out = command
        .output()
        .with_context(|| format!("can't run {}", cluster.kubectl.display()))?;
    ensure!(
        out.status.success(),
        "kubectl {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8(out.stdout)?)
}
