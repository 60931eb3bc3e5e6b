//! What the operator does with a sale: from what was observed to steps and status.
//!
//! [`plan`] is a pure function: it knows no client, nothing asynchronous, no clock and no source of randomness.
//! The operator around it collects an [`Observed`], carries out [`Plan::steps`] in order until one fails, and
//! writes [`Plan::status`] if it changed. Every step can be repeated, so a crash between any two of them costs a
//! repetition and nothing else.
//!
//! # Guarantees
//! - The same observation, time and random text give the same plan.
//! - A sale that is where it should be gets no steps and the status that it has.
//! - What is loaded, sold or promised is never decided here: the data plane goes on without any of this.

mod accept;
pub mod amend;
pub mod api;
pub mod canonical;
mod conditions;
pub mod declared;
mod drive;
mod events;
mod failure;
mod figures;
mod gates;
pub mod lifecycle;
pub mod minted;
pub mod names;
pub mod observed;
pub mod outcome;
mod pages;
pub mod pinned;
mod pinning;
mod plan;
mod policy;
mod references;
pub mod render;
mod report;
pub mod sizing;
mod switches;
mod teardown;
mod tell;
mod time;
mod view;
mod work;

pub use failure::{Failure, FailureKind};
pub use minted::{Minted, SecretText};
pub use observed::Observed;
pub use outcome::{EventNote, Plan, ShopCall, Step};
pub use plan::plan;
pub use references::references;
pub use time::{Millis, timestamp};
