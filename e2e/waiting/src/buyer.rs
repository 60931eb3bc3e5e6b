//! What one buyer was told, and when.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// Promises are remembered at most this often, in milliseconds.
const REMEMBER_EVERY_MS: u64 = 2_000;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// What is read of a ticket.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket<'a> {
    #[serde(borrow)]
    pub(crate) ticket: &'a str,
    pub(crate) state: &'a str,
    pub(crate) position: Option<u32>,
    pub(crate) wait_seconds: Option<f64>,
    pub(crate) pay_by_ms: Option<u64>,
}

/// What the buyer was promised at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) at_ms: u64,
    pub(crate) seconds: f32,
}

/// One buyer.
#[derive(Debug, Default)]
pub(crate) struct Buyer {
    pub(crate) item: u8,
    pub(crate) shard: u16,
    /// The place in the item's queue.
    pub(crate) place: u32,
    pub(crate) ticket: Box<str>,
    /// The last position seen.
    pub(crate) position: Option<u32>,
    /// How often the position was larger than before.
    pub(crate) grew: u32,
    pub(crate) promises: Vec<Promise>,
    pub(crate) waiting_at_ms: u64,
    /// When the order was made, as closely as can be known from outside.
    pub(crate) ordered_ms: Option<u64>,
}

impl Buyer {
    /// Takes the ticket that the purchase was answered with.
    pub(crate) fn receive(&mut self, ticket: &str) -> anyhow::Result<()> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket)?;
        anyhow::ensure!(bytes.len() >= 22, "a ticket of {} bytes", bytes.len());
        self.shard = u16::from_be_bytes([bytes[0], bytes[1]]);
        self.place = u32::from_be_bytes([bytes[18], bytes[19], bytes[20], bytes[21]]);
        self.ticket = ticket.into();
        Ok(())
    }

    /// Takes a look in; whether the buyer goes on waiting.
    pub(crate) fn look(&mut self, seen: &Ticket<'_>, payment_timeout_ms: u64) -> bool {
        let now = now_ms();
        if let Some(position) = seen.position {
            self.grew += u32::from(self.position.is_some_and(|before| position > before));
            self.position = Some(position);
        }
        match seen.state {
            "queued" | "reserved" => {
                self.waiting_at_ms = now;
                if let (Some(seconds), "reserved") = (seen.wait_seconds, seen.state)
                    && self
                        .promises
                        .last()
                        .is_none_or(|p| p.at_ms + REMEMBER_EVERY_MS <= now)
                {
                    self.promises.push(Promise {
                        at_ms: now,
                        seconds: seconds as f32,
                    });
                }
                true
            }
            _ => {
                // The deadline tells the time of the order to the second; the looks around it may tell it better.
                let made = seen
                    .pay_by_ms
                    .map_or(now, |by| (by + 500).saturating_sub(payment_timeout_ms));
                self.ordered_ms
                    .get_or_insert(made.clamp(self.waiting_at_ms.min(now), now));
                false
            }
        }
    }
}
