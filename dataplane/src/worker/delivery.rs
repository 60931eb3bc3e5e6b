//! Tells the shop: sends the local message table's messages until each is delivered.

use crate::clock::now_ms;
use crate::counters::add;
use crate::sale::{HANDOVER, Target};
use crate::shared::Shared;
use crate::shop;
use flashsale_orders::{Error, Message, Orders, Retry};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages under way at once.
const CONCURRENT_MAX: usize = 32;
/// Messages read from the table at once.
const DUE_MAX: u32 = 512;
/// Without messages, the table is looked at this often.
const IDLE: Duration = Duration::from_millis(200);
/// The first pause after a failure; doubles up to [`PAUSE_MAX_MS`].
const PAUSE_MS: u64 = 500;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 60_000;
/// After so many tries, about three hours, a message is given up and waits to be replayed.
const ATTEMPTS_MAX: u32 = 200;

/// A message, and why it couldn't be delivered if so.
type Sent = (Message, Result<(), String>);

/// Sends messages. See the module.
pub struct Delivery {
    orders: Arc<Orders>,
    shared: Arc<Shared>,
    client: reqwest::Client,
    targets: HashMap<String, Target>,
    secret: Arc<str>,
}

impl Delivery {
    /// For the sale's targets, each message signed with `secret`.
    #[must_use]
    pub fn new(orders: Arc<Orders>, shared: Arc<Shared>, client: reqwest::Client, secret: Arc<str>) -> Self {
        let targets = shared
            .sale
            .targets
            .iter()
            .map(|t| (t.name.clone(), t.clone()))
            .collect();
        Self {
            orders,
            shared,
            client,
            targets,
            secret,
        }
    }

    /// Sends until `stop` says so. A message that was under way then is sent again later.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let delivery = Arc::new(self);
        while !*stop.borrow() {
            match delivery.due().await {
                Ok(due) if !due.is_empty() => delivery.send_all(due).await,
                Ok(_) => wait(&mut stop).await,
                Err(error) => {
                    tracing::warn!(%error, "can't read the messages to the shop; trying again");
                    wait(&mut stop).await;
                }
            }
        }
    }

    /// What is to be sent now: while follow-ups are paused, orders only.
    async fn due(&self) -> Result<Vec<Message>, Error> {
        let paused = self.shared.switches.in_force().follow_ups_paused;
        match paused {
            true => self.orders.due_to(HANDOVER, now_ms(), DUE_MAX).await,
            false => self.orders.due(now_ms(), DUE_MAX).await,
        }
    }

    async fn send_all(self: &Arc<Self>, due: Vec<Message>) {
        let mut sending = JoinSet::new();
        let mut delivered = Vec::new();
        for message in due {
            if sending.len() >= CONCURRENT_MAX {
                self.sent(sending.join_next().await, &mut delivered).await;
            }
            let delivery = Arc::clone(self);
            sending.spawn(async move {
                let result = delivery.send(&message).await;
                (message, result)
            });
        }
        while !sending.is_empty() {
            self.sent(sending.join_next().await, &mut delivered).await;
        }
        if let Err(error) = self.orders.delivered(&delivered).await {
            tracing::warn!(%error, "delivered messages can't be marked and will be sent again");
        }
        add(&self.shared.counters.delivered, delivered.len() as u64);
    }

    async fn sent(&self, done: Option<Result<Sent, tokio::task::JoinError>>, delivered: &mut Vec<u64>) {
        let Some(Ok((message, result))) = done else { return };
        let Err(error) = result else {
            delivered.push(message.id);
            return;
        };
        let pause = PAUSE_MS
            .saturating_mul(1 << message.attempts.min(10))
            .min(PAUSE_MAX_MS);
        let retry = if message.attempts + 1 >= ATTEMPTS_MAX {
            add(&self.shared.counters.dead_letters, 1);
            Retry::Dead
        } else {
            Retry::At(now_ms() + pause)
        };
        if let Err(error) = self.orders.undelivered(message.id, &error, retry).await {
            tracing::warn!(%error, "a failed delivery can't be marked and is tried again at once");
        }
    }

    async fn send(&self, message: &Message) -> Result<(), String> {
        let target = self.targets.get(&*message.target);
        let target = target.ok_or_else(|| format!("the sale has no target {}", message.target))?;
        let id = format!("{:x}-{}", self.shared.sale.uid.0, message.id);
        let message = shop::Message {
            id: &id,
            event: message.kind.word(),
            body: &message.payload,
        };
        let sent = target.call.send(&self.client, &self.secret, message).await;
        sent.map_err(|why| format!("{}: {why}", target.name))
    }
}

async fn wait(stop: &mut watch::Receiver<bool>) {
    // Either way there is something to look at again.
    let _ = tokio::time::timeout(IDLE, stop.changed()).await;
}

#[cfg(test)]
mod tests;
