//! Messages that are delivered at least once: follow-ups, retries, dead letters.

use crate::health::{Counters, Health, Vitals};
use crate::names::{Names, Topic};
use crate::publisher::{Outgoing, Publisher, Queue, Refused};
use crate::service::Service;
use crate::subscription::{Subscription, Taken};
use bytes::Bytes;
use flashsale_core::ids::Millis;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Letters that may wait for the publisher, and their bytes.
const QUEUE_MAX: (usize, usize) = (1024, 4 << 20);

/// A message with words about it: an id, the reason, the number of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Letter {
    /// Its content.
    pub bytes: Bytes,
    /// What is said about it.
    pub properties: HashMap<String, String>,
}

/// Why a letter isn't known to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Too many wait already; it wasn't taken.
    #[error("too many letters wait for {topic}: try again later")]
    Full {
        /// The topic.
        topic: &'static str,
    },
    /// No answer in time. It may be stored, now or later: post it again, the receiver knows it by its id.
    #[error("{topic} has not confirmed the letter within {waited:?}: post it again")]
    Unconfirmed {
        /// The topic.
        topic: &'static str,
        /// For how long it was waited for.
        waited: Duration,
    },
}

/// Posts letters to one of a sale's topics.
pub struct Post {
    topic: Topic,
    queue: Queue,
    counters: Arc<Counters>,
    _task: JoinSet<()>,
}

impl Post {
    /// Starts the publisher to `topic`, on the current runtime.
    #[must_use]
    pub fn start(service: &Service, names: &Names, topic: Topic) -> Self {
        let name = names.partition(topic, 0);
        let counters = Arc::new(Counters::default());
        let (vitals, _) = Vitals::new(format!("publisher of {name}"));
        let (publisher, queue) =
            Publisher::new(service.clone(), name, QUEUE_MAX, Arc::clone(&counters), vitals);
        let mut tasks = JoinSet::new();
        tasks.spawn(publisher.run());
        Self {
            topic,
            queue,
            counters,
            _task: tasks,
        }
    }

    /// Posts `letter`, to be delivered at once or at `at`, and waits until the brokers have it, at most `patience`.
    ///
    /// # Errors
    /// It isn't known to be stored.
    pub async fn post(
        &self,
        letter: Letter,
        at: Option<Millis>,
        patience: Duration,
    ) -> Result<(), PostError> {
        let topic = self.topic.name();
        let unconfirmed = PostError::Unconfirmed {
            topic,
            waited: patience,
        };
        let (stored, confirmed) = oneshot::channel();
        let outgoing = Outgoing {
            bytes: letter.bytes,
            deliver_at: at,
            properties: letter.properties,
            stored: Some(stored),
        };
        match self.queue.push(outgoing) {
            Ok(()) => {}
            Err(Refused::Full) => return Err(PostError::Full { topic }),
            Err(Refused::Closed) => return Err(unconfirmed),
        }
        match tokio::time::timeout(patience, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(unconfirmed),
        }
    }

    /// What was sent so far.
    #[must_use]
    pub fn stats(&self) -> crate::Stats {
        self.counters.stats()
    }
}

/// Receives a topic's letters; all that share a `group` share them.
pub struct Mailbox {
    subscription: Subscription,
}

/// A letter in hand: done with, or it comes again when this mailbox ends.
pub struct Received {
    /// The letter.
    pub letter: Letter,
    taken: Taken,
}

impl Received {
    /// It is done with. It may come again all the same.
    pub async fn done(self) {
        self.taken.ack().await;
    }
}

impl Mailbox {
    /// Starts receiving, on the current runtime.
    #[must_use]
    pub fn start(service: &Service, names: &Names, topic: Topic, group: &'static str) -> Self {
        Self {
            subscription: Subscription::start(service, names.partition(topic, 0), group),
        }
    }

    /// The next letter. Safe to cancel.
    pub async fn next(&mut self) -> Option<Received> {
        let mut taken = self.subscription.next().await?;
        let letter = Letter {
            bytes: std::mem::take(&mut taken.bytes),
            properties: std::mem::take(&mut taken.properties),
        };
        Some(Received { letter, taken })
    }

    /// How the consumer is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.subscription.health()
    }
}
