//! Servers beside the cluster that die, freeze, and come back.

use crate::cluster::Cluster;
use anyhow::{Context, Result, ensure};
use std::process::Command;

pub(crate) fn freeze(cluster: &Cluster, name: &str) -> Result<()> {
    tell(cluster, &["freeze", name])
}

pub(crate) fn thaw(cluster: &Cluster, name: &str) -> Result<()> {
    tell(cluster, &["thaw", name])
}

pub(crate) fn kill(cluster: &Cluster, name: &str) -> Result<()> {
    tell(cluster, &["kill", name])
}

pub(crate) fn start(cluster: &Cluster, name: &str) -> Result<()> {
    tell(cluster, &["start", name])
}

fn tell(cluster: &Cluster, args: &[&str]) -> Result<()> {
    let program = &cluster.server;
    let done = Command::new(program)
        .args(args)
        .status()
        .with_context(|| format!("can't run {}", program.display()))?;
    ensure!(done.success(), "{} {}: {done}", program.display(), args.join(" "));
    Ok(())
}
