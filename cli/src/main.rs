//! The `flashsale` command.

mod audit;
mod crowd;
mod failure;
mod letters;
mod parts;
mod report;
mod up;
mod validate;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Flash sales: limited stock, a fixed opening second, a hundred times the normal traffic.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a whole sale from one process, with simulated buyers if you like
    Up(Box<up::Args>),
    /// Explain every unit of a sale that isn't being served; exit 1 if anything doesn't add up
    Audit(audit::Args),
    /// Check sale files and show the values that they leave open
    Validate(validate::Args),
    /// List or send again the messages to the shop that were given up
    DeadLetters(letters::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("FLASHSALE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,pulsar=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    // One TLS provider for the process; it can't be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let done = match (runtime, cli.command) {
        (Err(error), _) => Err(Failure::new(format!("can't start: {error}"))),
        (Ok(runtime), Command::Up(args)) => runtime.block_on(up::run(*args)),
        (Ok(runtime), Command::Audit(args)) => runtime.block_on(audit::run(args)),
        (Ok(_), Command::Validate(args)) => validate::run(&args),
        (Ok(runtime), Command::DeadLetters(args)) => runtime.block_on(letters::run(args)),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            failure.tell();
            failure.code()
        }
    }
}
