//! One task that publishes to one partition.

use crate::backoff::Backoff;
use crate::error::LogError;
use crate::health::{Counters, Vitals};
use crate::service::Service;
use bytes::Bytes;
use pulsar::producer::{Message, SendFuture};
use pulsar::{Producer, TokioExecutor};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Without a receipt for so long, the producer is rebuilt.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// Messages sent and not yet answered.
const IN_FLIGHT_MAX: usize = 64;

/// What is to be published.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    /// Not before this time; milliseconds since the Unix epoch.
    pub(crate) deliver_at: Option<u64>,
    pub(crate) properties: HashMap<String, String>,
    /// Told when the broker has it, for those to whom that means something.
    pub(crate) stored: Option<oneshot::Sender<()>>,
}

/// The queue's sending end. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    to: mpsc::Sender<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Queue {
    /// Takes the message if there is room; never waits.
    pub(crate) fn push(&self, outgoing: Outgoing) -> Result<(), Refused> {
        let size = outgoing.bytes.len();
        let before = self.queued_bytes.fetch_add(size, Ordering::Relaxed);
        let room = before == 0 || before + size <= self.bytes_max;
        let pushed = if room {
            self.to.try_send(outgoing).map_err(|e| match e {
                mpsc::error::TrySendError::Full(_) => Refused::Full,
                mpsc::error::TrySendError::Closed(_) => Refused::Closed,
            })
        } else {
            Err(Refused::Full)
        };
        if pushed.is_err() {
            self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
        }
        pushed
    }
}

/// Why the queue didn't take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// The task's state. See the module.
pub(crate) struct Publisher {
    service: Service,
    topic: String,
    inbox: mpsc::Receiver<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    vitals: Vitals,
    /// Sent and without a receipt, in order. What a rebuild finds here is sent again, before anything newer:
    /// so nothing newer overtakes it for good.
    unanswered: VecDeque<Outgoing>,
}

impl Publisher {
    /// A publisher to `topic` (one partition's full name) and the queue that feeds it.
    pub(crate) fn new(
        service: Service,
        topic: String,
        (messages_max, bytes_max): (usize, usize),
        counters: Arc<Counters>,
        vitals: Vitals,
    ) -> (Self, Queue) {
        let (to, inbox) = mpsc::channel(messages_max.max(1));
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let queue = Queue {
            to,
            queued_bytes: Arc::clone(&queued_bytes),
            bytes_max,
        };
        let publisher = Self {
            service,
            topic,
            inbox,
            queued_bytes,
            counters,
            vitals,
            unanswered: VecDeque::with_capacity(IN_FLIGHT_MAX),
        };
        (publisher, queue)
    }

    /// Publishes until the queue is closed and empty. Ends at once if it is closed while nobody can be reached.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let why = match self.connect().await {
                Ok(producer) => {
                    backoff.reset();
                    self.vitals.up();
                    match self.publish(producer).await {
                        Ok(()) => return,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            if self.inbox.is_closed() {
                return;
            }
            self.vitals.down(why);
            Counters::add(&self.counters.rebuilds, 1);
            backoff.wait().await;
        }
    }

    async fn connect(&self) -> Result<Producer<TokioExecutor>, LogError> {
        let client = self.service.connect().await?;
        // A name of its own for each producer: with a name that comes again, a broker that de-duplicates
        // would drop messages and still answer with receipts.
        let builder = client.producer().with_topic(&self.topic).with_name(unique_name());
        self.service.answer("opening a producer", builder.build()).await
    }

    async fn publish(&mut self, mut producer: Producer<TokioExecutor>) -> Result<(), LogError> {
        let mut receipts = VecDeque::with_capacity(IN_FLIGHT_MAX);
        Counters::add(&self.counters.again, self.unanswered.len());
        for ix in 0..self.unanswered.len() {
            receipts.push_back(self.send(&mut producer, &self.unanswered[ix]).await?);
        }
        loop {
            tokio::select! {
                answered = first(&mut receipts) => {
                    answered.map_err(|why| self.refused(why))?;
                    receipts.pop_front();
                    self.answered();
                }
                next = self.inbox.recv(), if receipts.len() < IN_FLIGHT_MAX => match next {
                    Some(outgoing) => {
                        self.queued_bytes.fetch_sub(outgoing.bytes.len(), Ordering::Relaxed);
                        self.unanswered.push_back(outgoing);
                        let newest = &self.unanswered[self.unanswered.len() - 1];
                        receipts.push_back(self.send(&mut producer, newest).await?);
                    }
                    None if receipts.is_empty() => return Ok(()),
                    None => self.drain(&mut receipts).await?,
                },
            }
        }
    }

    /// The queue is closed: waits for the last receipts.
    async fn drain(&mut self, receipts: &mut VecDeque<Sent>) -> Result<(), LogError> {
        while !receipts.is_empty() {
            first(receipts).await.map_err(|why| self.refused(why))?;
            receipts.pop_front();
            self.answered();
        }
        Ok(())
    }

    fn answered(&mut self) {
        if let Some(outgoing) = self.unanswered.pop_front() {
            Counters::add(&self.counters.messages, 1);
            Counters::add(&self.counters.bytes, outgoing.bytes.len());
            if let Some(stored) = outgoing.stored {
                // Whoever asked may have given up.
                let _ = stored.send(());
            }
        }
    }

    /// Hands a message to the client. That waits only if the client is connecting again; then not for long.
    async fn send(
        &self,
        producer: &mut Producer<TokioExecutor>,
        outgoing: &Outgoing,
    ) -> Result<Sent, LogError> {
        let message = Message {
            payload: outgoing.bytes.to_vec(),
            properties: outgoing.properties.clone(),
            deliver_at_time: outgoing.deliver_at.and_then(|at| i64::try_from(at).ok()),
            ..Message::default()
        };
        match tokio::time::timeout(STALLED_AFTER, producer.send_non_blocking(message)).await {
            Ok(Ok(receipt)) => Ok(Sent {
                receipt,
                at: Instant::now(),
            }),
            Ok(Err(error)) => Err(self.refused(NoReceipt::Refused(error))),
            Err(_) => Err(self.refused(NoReceipt::Late)),
        }
    }

    fn refused(&self, why: NoReceipt) -> LogError {
        match why {
            NoReceipt::Refused(error) => LogError::of(self.service.url(), "publishing", &error),
            NoReceipt::Late => LogError::Silent {
                url: self.service.url().to_owned(),
                doing: "publishing",
                waited: STALLED_AFTER,
            },
        }
    }
}

struct Sent {
    receipt: SendFuture,
    at: Instant,
}

enum NoReceipt {
    Refused(pulsar::Error),
    Late,
}

/// Waits for the oldest receipt; for ever if there is none to wait for.
async fn first(receipts: &mut VecDeque<Sent>) -> Result<(), NoReceipt> {
    let Some(oldest) = receipts.front_mut() else {
        return std::future::pending().await;
    };
    match tokio::time::timeout_at(oldest.at + STALLED_AFTER, &mut oldest.receipt).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(NoReceipt::Refused(error)),
        Err(_) => Err(NoReceipt::Late),
    }
}

/// Unique over processes, machines and time.
pub(crate) fn unique_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    format!("fs-{}-{made}", uuid::Uuid::new_v4().simple())
}
