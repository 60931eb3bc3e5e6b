//! The flash sale operator: watches sales, gives each what it needs, and steps back.
//!
//! What is to be done is decided by `flashsale-operator-core`, which knows no client and no clock; here is everything that
//! touches the world. One look at a sale is `sale::look`: observe, plan, apply, status.

mod cache;
mod classes;
mod client;
mod drift;
mod error;
mod events;
mod flags;
mod hand;
mod health;
mod lead;
mod leftovers;
mod memory;
mod metrics;
mod observe;
mod operator;
mod queue;
mod run;
mod sale;
mod secrets;
mod status;
mod steps;
mod switches;
mod watch;
mod world;

use clap::Parser as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = flags::Flags::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("info,pulsar=off,sqlx=warn,kube_runtime=error")
    });
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_target(false)
        .init();
    // One TLS provider for the process; it can't be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the operator can't start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!(why, "the operator ends");
            ExitCode::FAILURE
        }
    }
}
