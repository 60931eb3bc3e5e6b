//! What a control sidecar does: it watches the switches and the amendments of its sale in the Kubernetes API and hands
//! them to everybody.
//!
//! It needs neither Redis nor the order log nor a database. Without the API it goes on with what it knew last, which
//! it keeps on disk; switches expire all the same.

mod cache;
mod declared;
mod seen;
mod watch;

pub(crate) use seen::{Api, Control};

use crate::amendments::Amendments;
use tokio::sync::watch as channel;

/// The amendments as they are passed on; nothing before any were seen.
pub(crate) type Amended = channel::Receiver<Option<Amendments>>;

#[cfg(test)]
pub(crate) mod tests;
