//! How one connection to a partition is doing, for whoever decides by it.

use crate::error::LogError;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// How a publisher or reader of one partition is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// Not connected yet, for the first time.
    #[default]
    Starting,
    /// Connected.
    Up,
    /// Being rebuilt, for this reason.
    Down(LogError),
}

impl Health {
    /// Whether it works.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

/// What the tasks count; monotonic.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) again: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) rebuilds: AtomicU64,
}

/// What publishers or readers did since they were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Publisher: messages with a receipt. Reader: messages delivered.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Publisher: messages sent again after a rebuild. Reader: messages skipped, as they had been delivered.
    pub again: u64,
    /// Publisher: appends refused because a queue was full.
    pub refused: u64,
    /// How often a publisher or reader was rebuilt.
    pub rebuilds: u64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            messages: read(&self.messages),
            bytes: read(&self.bytes),
            again: read(&self.again),
            refused: read(&self.refused),
            rebuilds: read(&self.rebuilds),
        }
    }
}

/// Where a task tells its health.
#[derive(Debug)]
pub(crate) struct Vitals {
    health: watch::Sender<Health>,
    what: String,
}

impl Vitals {
    /// `what` names the publisher or reader in the program's log.
    pub(crate) fn new(what: String) -> (Self, watch::Receiver<Health>) {
        let (health, seen) = watch::channel(Health::Starting);
        (Self { health, what }, seen)
    }

    pub(crate) fn up(&self) {
        if !self.health.borrow().is_up() {
            tracing::info!(what = self.what, "connected");
            self.health.send_replace(Health::Up);
        }
    }

    pub(crate) fn down(&self, why: LogError) {
        // Said once, not at each try.
        if !matches!(*self.health.borrow(), Health::Down(_)) {
            tracing::warn!(what = self.what, %why, "lost; trying again until it is back");
        }
        self.health.send_replace(Health::Down(why));
    }
}
