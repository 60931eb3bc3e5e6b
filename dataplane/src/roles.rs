//! The roles: a sale served by several processes, each started with a file that says where the others are.
//!
//! | role | does | talks to |
//! |---|---|---|
//! | `sidecar` | keeps one or more shards: takes them over, carries what Redis decides into the log | Redis, Pulsar, the databases |
//! | `worker` | applies the log, makes orders, closes, takes payments; plans transfers | Pulsar, the databases, all sidecars |
//! | `gateway` | serves buyers | Redis, all sidecars, the worker |
//! | `payments` | tells the shop of orders, payments and closings | the databases, the shop |
//!
//! What is wrong with a configuration ends a process with code 2, what waiting doesn't mend with code 1; everything
//! else is waited for. A signal to end (TERM or INT) ends it in order, with code 0.

mod admin;
mod amending;
mod books;
mod command;
pub mod config;
mod gateway;
mod payments;
mod ready;
mod sidecar;
mod signals;
mod worker;
mod yaml;

pub use command::main;
pub use gateway::gateway;
pub use payments::payments;
pub use ready::Ready;
pub use sidecar::sidecar;
pub use worker::worker;

use crate::data_dir::DataError;
use crate::shards::KeeperError;
use crate::worker::WorkerError;

/// Why a role's process ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The configuration is wrong; one line for each thing.
    #[error("{0}")]
    Config(String),
    /// Something failed that waiting doesn't mend.
    #[error("{0}")]
    Failed(String),
}

impl RoleError {
    /// The process' exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<config::ConfigError> for RoleError {
    fn from(error: config::ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<DataError> for RoleError {
    fn from(error: DataError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<KeeperError> for RoleError {
    fn from(error: KeeperError) -> Self {
        Self::failed(error)
    }
}

impl From<WorkerError> for RoleError {
    fn from(error: WorkerError) -> Self {
        Self::failed(error)
    }
}
