//! Counters: written by one thread each, read by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::problem::Refusal;

/// A counter with a single writer, so that counting needs no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Only the thread the counter belongs to may call this.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Only the thread the counter belongs to may call this.
    pub(crate) fn subtract(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one thread, alone on their cache lines.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct ThreadStats { $(pub(crate) $name: Counter),* }

        /// The counters of one thread, or of all, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64),* }

        impl ThreadStats {
            fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.0.load(Relaxed)),* }
            }
        }

        impl Snapshot {
            fn plus(self, other: Snapshot) -> Snapshot {
                Snapshot { $($name: self.$name.wrapping_add(other.$name)),* }
            }

            /// All counters with their names in snake case, for an exporter.
            /// All only grow, but for `connections_open`.
            pub fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Whole requests handed to the service over HTTP/1.
    requests_h1,
    /// Whole requests handed to the service over HTTP/2.
    requests_h2,
    /// Connections open now; refused ones don't count.
    connections_open,
    /// Connections opened so far; refused ones don't count.
    connections_total,
    /// Connections that turned out to speak HTTP/2.
    connections_h2,
    /// Connections refused with 503 because the thread has too many.
    refused_thread_full,
    /// Connections refused with 503 because their client address has too many.
    refused_peer_full,
    /// Refused connections closed without an answer, because too many were being refused.
    refused_unanswered,
    /// Accepting failed, for instance for want of file descriptors.
    accept_errors,
    /// Requests refused with 400.
    malformed,
    /// Requests refused with 431.
    head_too_large,
    /// Requests refused with 413.
    body_too_large,
    /// Requests refused with 408.
    too_slow,
    /// Idle connections closed.
    idle_closed,
    /// Connections dropped because the client didn't read.
    write_timeouts,
    /// Connections dropped because the service took too long.
    reply_timeouts,
    /// Bytes read over HTTP/1 connections and the openings of HTTP/2 ones.
    bytes_in,
    /// Bytes written over HTTP/1 connections.
    bytes_out,
}

impl ThreadStats {
    pub(crate) fn count(&self, refusal: Refusal) {
        match refusal {
            Refusal::Malformed(_) => self.malformed.add(1),
            Refusal::HeadTooLarge(_) => self.head_too_large.add(1),
            Refusal::BodyTooLarge => self.body_too_large.add(1),
            Refusal::TooSlow(_) => self.too_slow.add(1),
            // Which of the two bounds it was is known where it is checked.
            Refusal::TooManyConnections => {}
        }
    }
}

/// Reads the counters of a server; cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Stats {
    threads: Arc<[Arc<ThreadStats>]>,
}

impl Stats {
    pub(crate) fn new(threads: usize) -> Self {
        Stats {
            threads: (0..threads).map(|_| Arc::default()).collect(),
        }
    }

    pub(crate) fn thread(&self, index: usize) -> Arc<ThreadStats> {
        self.threads[index].clone()
    }

    /// The counters of each thread. They are read one by one, so they may be a few requests apart.
    pub fn per_thread(&self) -> Vec<Snapshot> {
        self.threads.iter().map(|thread| thread.snapshot()).collect()
    }

    /// The sums over all threads.
    pub fn total(&self) -> Snapshot {
        self.threads
            .iter()
            .map(|thread| thread.snapshot())
            .fold(Snapshot::default(), Snapshot::plus)
    }
}
