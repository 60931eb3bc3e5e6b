//! One connected consumer of one partition, until it breaks.

use crate::error::LogError;
use crate::publisher::unique_name;
use crate::service::Service;
use bytes::Bytes;
use futures_util::StreamExt;
use pulsar::consumer::{InitialPosition, Message};
use pulsar::proto::MessageIdData;
use pulsar::{Consumer, ConsumerOptions, SubType, TokioExecutor};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Messages that a broker may send ahead of what was taken.
const AHEAD_MAX: u32 = 64;

/// Where a record stands in its partition: later records have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId {
    /// The ledger.
    pub ledger: u64,
    /// The entry in it.
    pub entry: u64,
}

impl RecordId {
    fn of(id: &MessageIdData) -> Self {
        Self {
            ledger: id.ledger_id,
            entry: id.entry_id,
        }
    }

    fn to_client(self) -> MessageIdData {
        MessageIdData {
            ledger_id: self.ledger,
            entry_id: self.entry,
            ..MessageIdData::default()
        }
    }
}

/// A payload as it came, without a copy.
pub(crate) struct Raw;

impl pulsar::DeserializeMessage for Raw {
    type Output = ();

    fn deserialize_message(_: &pulsar::Payload) {}
}

/// What waiting for a record came to.
pub(crate) enum Came {
    Record(RecordId, Bytes),
    Nothing,
}

/// A consumer on a connection of its own.
pub(crate) struct Session {
    service: Service,
    consumer: Consumer<Raw, TokioExecutor>,
}

impl Session {
    /// Reads `topic` (one partition's full name) behind `after`, or from its start.
    ///
    /// The subscription leaves nothing behind at the broker: no cursor to keep, no backlog to count.
    pub(crate) async fn open(
        service: &Service,
        topic: &str,
        after: Option<RecordId>,
    ) -> Result<Self, LogError> {
        let client = service.connect().await?;
        let options = ConsumerOptions {
            durable: Some(false),
            start_message_id: after.map(RecordId::to_client),
            initial_position: InitialPosition::Earliest,
            receiver_queue_size: Some(AHEAD_MAX),
            ..ConsumerOptions::default()
        };
        let builder = client
            .consumer()
            .with_topic(topic)
            .with_subscription(unique_name())
            .with_subscription_type(SubType::Exclusive)
            .with_batch_size(AHEAD_MAX)
            .with_options(options);
        let consumer = service.answer("opening a reader", builder.build()).await?;
        Ok(Self {
            service: service.clone(),
            consumer,
        })
    }

    /// The next record, if one comes within `patience`.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<Came, LogError> {
        match tokio::time::timeout(patience, self.consumer.next()).await {
            Ok(Some(Ok(Message {
                message_id, payload, ..
            }))) => Ok(Came::Record(RecordId::of(&message_id.id), payload.data.into())),
            Ok(Some(Err(error))) => Err(LogError::of(self.service.url(), "reading", &error)),
            // The client's engine has stopped: it couldn't connect again, or the topic was terminated.
            Ok(None) => Err(LogError::lost(
                self.service.url(),
                "reading",
                "the reader has ended",
            )),
            Err(_) => Ok(Came::Nothing),
        }
    }

    /// The last record's id, now; `None` if there is none.
    pub(crate) async fn end(&mut self) -> Result<Option<RecordId>, LogError> {
        let asked = self.consumer.get_last_message_id();
        let ids = self.service.answer("asking for the last record", asked).await?;
        // An empty ledger's last entry is -1, which arrives here as the greatest number.
        Ok(ids.first().map(RecordId::of).filter(|id| id.entry != u64::MAX))
    }
}
