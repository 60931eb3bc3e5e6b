//! What is to be looked at, and when: each key once, never twice at a time, never in a hot loop.

mod schedule;

use crate::metrics::Metrics;
use schedule::Schedule;
pub(crate) use schedule::{Again, Key};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A queue that several tasks share.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    schedule: Mutex<Schedule<K>>,
    changed: Notify,
    metrics: Metrics,
}

impl<K: Key> Queue<K> {
    /// Empty.
    pub(crate) fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            schedule: Mutex::new(Schedule::default()),
            changed: Notify::new(),
            metrics,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Schedule<K>> {
        // Each change of a schedule is whole, whatever panicked between two.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something about `key` has changed.
    pub(crate) fn touch(&self, key: &K) {
        self.locked().touch(key, Instant::now());
        self.changed.notify_one();
    }

    /// `key` is gone for good.
    pub(crate) fn forget(&self, key: &K) {
        self.locked().forget(key);
    }

    /// The next key that is due, which nobody else gets until [`Queue::done`].
    pub(crate) async fn next(&self) -> K {
        loop {
            let wait = {
                let mut schedule = self.locked();
                let now = Instant::now();
                let next = schedule.take(now);
                self.metrics.queue(schedule.due(now), schedule.running());
                match next {
                    Ok(key) => {
                        // Another may be due as well, and another task may be waiting for it.
                        self.changed.notify_one();
                        return key;
                    }
                    Err(wait) => wait,
                }
            };
            let changed = self.changed.notified();
            match wait {
                Some(wait) => drop(tokio::time::timeout(wait, changed).await),
                None => changed.await,
            }
        }
    }

    /// A look has ended; `again` says when the next one is due unless something changes. Answers how long that is.
    pub(crate) fn done(&self, key: &K, again: Again) -> Duration {
        let wait = self.locked().done(key, again, Instant::now(), rand::random());
        self.changed.notify_one();
        wait
    }
}
