//! Starts real Redis, Pulsar and PostgreSQL on free ports, runs a command with the options that name them, and ends
//! them when it ends.

use clap::Parser;
use flashsale_servers::{Counts, RealParts};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Run a command with real Redis, Pulsar and PostgreSQL beside it
#[derive(Debug, Parser)]
struct Cli {
    /// How many Redis servers
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    redis: u16,
    /// How many databases in the PostgreSQL
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    databases: u16,
    /// Keep the servers' data and logs here instead of in a directory that is removed at the end
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The command; the options `--redis … --pulsar … --database …` are added behind it
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let temporary = tempfile::Builder::new().prefix("flashsale-servers-").tempdir()?;
    let dir = cli.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let counts = Counts {
        redis: usize::from(cli.redis),
        databases: usize::from(cli.databases),
    };
    println!(
        "starting {} Redis, Pulsar and PostgreSQL with {} databases",
        cli.redis, cli.databases
    );
    let parts = RealParts::start(&dir, counts).await?;
    let (program, arguments) = cli.command.split_first().ok_or("no command was given")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).args(parts.options()?).kill_on_drop(true);
    let mut running = command
        .spawn()
        .map_err(|e| format!("can't start {program}: {e}"))?;
    let mut told = signal(SignalKind::terminate())?;
    let status = loop {
        tokio::select! {
            status = running.wait() => break status?,
            // It reaches the command, too: that ends by itself, and the servers after it.
            signal = tokio::signal::ctrl_c() => signal?,
            _ = told.recv() => {
                if let Some(pid) = running.id().and_then(|pid| Pid::from_raw(pid as i32)) {
                    // It may have ended by itself just now.
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
    };
    drop(parts);
    Ok(status
        .code()
        .map_or(ExitCode::FAILURE, |code| ExitCode::from(code.clamp(0, 255) as u8)))
}
