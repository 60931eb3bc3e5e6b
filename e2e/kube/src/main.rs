//! Sales on a real Kubernetes: what a user does with kubectl, what a buyer does with a browser, and what must be
//! there, or gone, afterwards.
//!
//! Run by `e2e/kube/run`, which brings the cluster up and installs the chart.

mod buyers;
mod cluster;
mod frozen;
mod left;
mod proxy;
mod scenarios;
mod server;
mod shop;
mod stage;
mod wait;

use clap::Parser;
use cluster::Cluster;
use std::process::ExitCode;
use std::time::Instant;

/// Plays sales on a real Kubernetes.
#[derive(Debug, Parser)]
struct Cli {
    /// The cluster's folder, with its file `env`
    #[arg(long)]
    cluster: std::path::PathBuf,
    /// The cluster's kubectl
    #[arg(long, default_value = "kubectl")]
    kubectl: std::path::PathBuf,
    /// Ends and starts servers beside the cluster
    #[arg(long, default_value = "e2e/cluster/server")]
    server: std::path::PathBuf,
    /// The data plane's image
    #[arg(long, default_value = "docker.io/flashsale/dataplane:dev")]
    image: String,
    /// Only these scenarios; all if none is named
    scenarios: Vec<String>,
    /// Leave what a failed scenario made where it is
    #[arg(long)]
    keep: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    // One TLS provider for the process; it can't be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(Cli::parse()))
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(&cli.cluster, &cli.kubectl, &cli.server, &cli.image).await?;
    let known: Vec<&str> = scenarios::all().iter().map(|s| s.name).collect();
    if let Some(unknown) = cli.scenarios.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!("there is no scenario `{unknown}`: {}", known.join(", "));
    }
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios::all() {
        if !cli.scenarios.is_empty() && !cli.scenarios.iter().any(|name| name == scenario.name) {
            continue;
        }
        println!("=== {}: {}", scenario.name, scenario.claim);
        let begun = Instant::now();
        let played = (scenario.play)(&cluster).await;
        let took = begun.elapsed().as_secs();
        match played {
            Ok(()) => {
                passed += 1;
                println!("--- {}: ok ({took} s)", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!("--- {}: FAILED ({took} s): {error:#}", scenario.name);
            }
        }
        if failed > 0 && cli.keep {
            break;
        }
        cluster.clean().await?;
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
