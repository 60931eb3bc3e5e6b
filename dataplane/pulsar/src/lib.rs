//! The order log on Apache Pulsar: a sale's namespace and topics, publishing, reading back.
//!
//! Partition *s* of the order log holds shard *s*'s records ([`flashsale_core::event::Record`], encoded). An owner
//! appends with [`OrderLog`] and reads back with [`Reader`]; only what is read back counts. A worker reads the
//! same partitions with a [`Reader`] of its own. [`Admin`] makes the topics, keeps their policies and removes them.
//!
//! # What is deliberately absent
//! - The client's batching: one message is one record, which holds a batch of events. (With it, delayed
//!   delivery is dropped silently, and an acknowledgement of one message acknowledges its batch.)
//! - The broker's de-duplication, sequence ids, transactions: event numbers decide what counts.
//! - Any meaning of a receipt.

mod admin;
mod backoff;
mod closing;
mod error;
mod health;
mod letters;
mod names;
mod order_log;
mod policies;
mod provision;
mod publisher;
mod reader;
mod service;
mod session;
mod subscription;

pub use admin::{Admin, AdminError};
pub use closing::{Deadlines, Hint, Hints};
pub use error::LogError;
pub use health::{Health, Stats};
pub use letters::{Letter, Mailbox, Post, PostError, Received};
pub use names::{Names, Topic};
pub use order_log::{AppendError, LogOptions, OrderLog, probe};
pub use provision::{Change, Layout};
pub use reader::{Delivery, From, Reader, ReaderState, Record};
pub use service::Service;
pub use session::RecordId;
