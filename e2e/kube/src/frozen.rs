//! Programs in pods that are frozen, as a server is that hangs.

use crate::cluster::Cluster;
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use std::process::Command;

/// Frozen until dropped.
pub(crate) struct Frozen(Vec<u32>);

impl Frozen {
    /// Freezes every program of this name in the pods of a namespace.
    pub(crate) async fn all(cluster: &Cluster, namespace: &str, program: &str) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let uids: Vec<String> = pods
            .list(&ListParams::default())
            .await?
            .iter()
            .filter_map(Pod::uid)
            .collect();
        let pids = processes(program, &uids)?;
        ensure!(!pids.is_empty(), "no {program} runs in the pods of {namespace}");
        signal("-STOP", &pids)?;
        Ok(Self(pids))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // What has ended meanwhile needs no waking.
        let _ = signal("-CONT", &self.0);
    }
}

fn signal(signal: &str, pids: &[u32]) -> Result<()> {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let done = Command::new("kill").arg(signal).args(pids).status()?;
    ensure!(done.success(), "kill {signal}: {done}");
    Ok(())
}

/// The processes of this name whose control group is that of one of the pods.
fn processes(program: &str, uids: &[String]) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse::<u32>().ok());
        let (Some(pid), Ok(comm)) = (pid, std::fs::read_to_string(path.join("comm"))) else {
            continue;
        };
        let group = std::fs::read_to_string(path.join("cgroup"))
            .unwrap_or_default()
            .replace('_', "-");
        if comm.trim() == program && uids.iter().any(|uid| group.contains(uid.as_str())) {
            pids.push(pid);
        }
    }
    Ok(pids)
}
