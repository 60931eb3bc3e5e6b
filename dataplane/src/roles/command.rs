//! The command that runs one role.

use super::{RoleError, config, gateway, payments, sidecar, worker};
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One process of a sale.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// What it does
    role: Role,
    /// Its configuration
    #[arg(long, value_name = "FILE.yaml")]
    config: PathBuf,
    /// Once it serves, write its addresses here, as JSON; removed at the end
    #[arg(long, value_name = "FILE.json")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Serve buyers
    Gateway,
    /// Keep some of the shards
    Sidecar,
    /// Apply the log, make orders, take payments
    Worker,
    /// Tell the shop of orders, payments and closings
    Payments,
}

/// Runs the role that the command line names, to its end.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("FLASHSALE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    // One TLS provider for the process; it can't be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What can't be raised shows as refused connections, with the system's own words.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("error: {line}");
            }
            ExitCode::from(error.code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), RoleError> {
    // One thread: what is shown of several shards is reckoned together without locks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| RoleError::Failed(format!("can't start: {e}")))?;
    let (file, ready): (&Path, _) = (&cli.config, cli.ready_file.as_deref());
    match cli.role {
        Role::Gateway => runtime.block_on(gateway(&config::read(file)?, ready)),
        Role::Sidecar => runtime.block_on(sidecar(&config::read(file)?, ready)),
        Role::Worker => runtime.block_on(worker(&config::read(file)?, ready)),
        Role::Payments => runtime.block_on(payments(&config::read(file)?, ready)),
    }
}
