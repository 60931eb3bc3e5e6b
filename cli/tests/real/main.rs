//! Whole sales on real Redis, Pulsar and PostgreSQL: they sell exactly their stock, go on after a restart, survive the
//! loss of a part, refuse parts that can't serve them, and leave Redis alone while buyers wait.
//!
//! All tests share one set of servers; each sale has a uid of its own. A test that kills a server has them for itself.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

#[path = "../common/mod.rs"]
mod common;

mod bad_parts;
mod kills;
mod polling;
mod restarts;
mod sales;
mod servers;
