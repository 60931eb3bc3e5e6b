//! A shared, durable subscription to one topic: whoever takes a message acknowledges it, or it comes again.

use crate::backoff::Backoff;
use crate::error::LogError;
use crate::health::{Health, Vitals};
use crate::service::Service;
use crate::session::Raw;
use bytes::Bytes;
use futures_util::StreamExt;
use pulsar::consumer::InitialPosition;
use pulsar::proto::MessageIdData;
use pulsar::{Consumer, ConsumerOptions, SubType, TokioExecutor};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Messages that wait for whoever takes them.
const TAKEN_MAX: usize = 64;
/// Messages that a broker may send ahead.
const AHEAD_MAX: u32 = 256;
/// Acknowledgements that wait to be sent.
const ACKS_MAX: usize = 1024;
/// How often a silent connection is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// A message that was taken and not acknowledged yet.
pub(crate) struct Taken {
    pub(crate) bytes: Bytes,
    pub(crate) properties: HashMap<String, String>,
    id: MessageIdData,
    acks: mpsc::Sender<MessageIdData>,
}

impl Taken {
    /// The message needs not come again. It may all the same: an acknowledgement can be lost.
    pub(crate) async fn ack(self) {
        // The task ends only with the subscription; then the message comes again to the next one.
        let _ = self.acks.send(self.id).await;
    }
}

/// The receiving end. Ends when dropped.
pub(crate) struct Subscription {
    taken: mpsc::Receiver<Taken>,
    health: watch::Receiver<Health>,
    _task: JoinSet<()>,
}

impl Subscription {
    /// Subscribes to `topic` (one partition's full name) as `name`, on the current runtime.
    pub(crate) fn start(service: &Service, topic: String, name: &'static str) -> Self {
        let (to, taken) = mpsc::channel(TAKEN_MAX);
        let (vitals, health) = Vitals::new(format!("{name} of {topic}"));
        let (acks, acked) = mpsc::channel(ACKS_MAX);
        let task = Task {
            service: service.clone(),
            topic,
            name,
            to,
            acks,
            acked,
            vitals,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run());
        Self {
            taken,
            health,
            _task: tasks,
        }
    }

    /// The next message. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Taken> {
        self.taken.recv().await
    }

    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }
}

struct Task {
    service: Service,
    topic: String,
    name: &'static str,
    to: mpsc::Sender<Taken>,
    acks: mpsc::Sender<MessageIdData>,
    acked: mpsc::Receiver<MessageIdData>,
    vitals: Vitals,
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let why = match self.open().await {
                Ok(consumer) => {
                    backoff.reset();
                    self.vitals.up();
                    self.consume(consumer).await
                }
                Err(why) => why,
            };
            self.vitals.down(why);
            backoff.wait().await;
        }
    }

    async fn open(&self) -> Result<Consumer<Raw, TokioExecutor>, LogError> {
        let client = self.service.connect().await?;
        let options = ConsumerOptions {
            initial_position: InitialPosition::Earliest,
            receiver_queue_size: Some(AHEAD_MAX),
            ..ConsumerOptions::default()
        };
        let builder = client
            .consumer()
            .with_topic(&self.topic)
            .with_subscription(self.name)
            .with_subscription_type(SubType::Shared)
            .with_batch_size(AHEAD_MAX)
            .with_options(options);
        self.service.answer("subscribing", builder.build()).await
    }

    /// Hands out messages and sends acknowledgements until the consumer breaks.
    async fn consume(&mut self, mut consumer: Consumer<Raw, TokioExecutor>) -> LogError {
        let lost = |why: &str| LogError::lost(self.service.url(), "consuming", why);
        loop {
            tokio::select! {
                // Room first, so that no message is taken from the client and then dropped.
                room = room_and_next(&self.to, &mut consumer) => match room {
                    Some((room, Ok(message))) => room.send(Taken {
                        bytes: message.payload.data.into(),
                        properties: properties(message.payload.metadata.properties),
                        id: message.message_id.id,
                        acks: self.acks.clone(),
                    }),
                    Some((_, Err(error))) => return LogError::of(self.service.url(), "consuming", &error),
                    None => return lost("the consumer has ended"),
                },
                Some(id) = self.acked.recv() => {
                    if let Err(error) = consumer.ack_with_id(&self.topic, id).await {
                        return lost(&error.to_string());
                    }
                }
                () = tokio::time::sleep(TRIED_EVERY) => {
                    let asked = consumer.get_last_message_id();
                    if let Err(why) = self.service.answer("asking for the last message", asked).await {
                        return why;
                    }
                }
            }
        }
    }
}

type Message = pulsar::consumer::Message<Raw>;
type Room<'a> = mpsc::Permit<'a, Taken>;

async fn room_and_next<'a>(
    to: &'a mpsc::Sender<Taken>,
    consumer: &mut Consumer<Raw, TokioExecutor>,
) -> Option<(Room<'a>, Result<Message, pulsar::Error>)> {
    let Ok(room) = to.reserve().await else {
        // Nobody takes any more; the task is about to be ended.
        return std::future::pending().await;
    };
    consumer.next().await.map(|message| (room, message))
}

fn properties(all: Vec<pulsar::proto::KeyValue>) -> HashMap<String, String> {
    all.into_iter().map(|p| (p.key, p.value)).collect()
}
