//! What a ticket says: read from memory, written as JSON.

use crate::shared::Shared;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_core::ids::{BuyerKey, Millis};
use flashsale_core::ticket::{self, Shown, Signer, Ticket, TicketBytes};
use serde::{Serialize, Serializer};
use std::sync::atomic::Ordering;

/// A ticket that its buyer has shown, with its bytes, from which its text can be written again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) ticket: Ticket,
    bytes: TicketBytes,
}

impl Held {
    /// The new ticket of a buyer.
    pub(super) fn sign(signer: &Signer, ticket: Ticket, buyer: BuyerKey) -> Self {
        Self {
            ticket,
            bytes: signer.sign(&ticket, buyer),
        }
    }

    /// The ticket that a buyer shows; `None` if it is no ticket of this sale and buyer.
    pub(super) fn open(signer: &Signer, text: &str, buyer: BuyerKey, shared: &Shared) -> Option<Self> {
        let mut bytes = [0; size_of::<TicketBytes>()];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if len != bytes.len() {
            return None;
        }
        let ticket = signer.open(&bytes, buyer)?;
        // A signed ticket of a sale that had other items or more shards can't be shown.
        let known = ticket.shard.ix() < shared.shards.len() && ticket.item.ix() < shared.stock.len();
        known.then_some(Self { ticket, bytes })
    }

    /// The ticket as text.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) shown: Shown,
    /// The payment deadline, once the order is made; else 0.
    pub(super) pay_by: Millis,
}

impl Standing {
    /// Where this ticket stands now.
    pub(super) fn of(ticket: &Ticket, shared: &Shared) -> Self {
        let posted = shared.board.read(ticket.shard, ticket.no);
        let view = shared.shards[ticket.shard.ix()].load();
        Self {
            shown: ticket::shown(ticket.no, &view.progress, posted.map(|p| p.state)),
            pay_by: posted.map_or(0, |p| p.pay_by),
        }
    }

    /// Whether the buyer waits for the order to be made.
    pub(super) fn waits(self) -> bool {
        matches!(self.shown, Shown::Queued | Shown::Reserved)
    }
}

/// `prefix`, the ticket, `suffix`.
struct Link<'a>(&'static str, &'a str, &'static str);

impl Serialize for Link<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}{}", self.0, self.1, self.2))
    }
}

#[derive(Serialize)]
struct Links<'a> {
    #[serde(rename = "self")]
    own: Link<'a>,
    events: Link<'a>,
    page: Link<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    ticket: &'a str,
    sale: &'a str,
    item: &'a str,
    quantity: u16,
    state: &'static str,
    reason: Option<&'static str>,
    position: Option<u32>,
    ahead: Option<u32>,
    wait_seconds: Option<f64>,
    order_id: Option<String>,
    amount: String,
    currency: &'static str,
    pay_by_ms: Option<Millis>,
    links: Links<'a>,
}

/// Writes a ticket's JSON.
pub(super) fn write(out: &mut Vec<u8>, held: &Held, standing: Standing, shared: &Shared) {
    let (ticket, text) = (&held.ticket, held.text());
    let item = &shared.sale.items[ticket.item.ix()];
    let (state, reason) = standing.shown.words();
    let position = standing.waits().then(|| {
        let served = shared.stock[ticket.item.ix()].served.load(Ordering::Relaxed);
        ticket.place.saturating_sub(served).max(1)
    });
    let seconds = position.map(|position| shared.forecast.load().seconds(ticket.item.ix(), position));
    let ordered = standing.pay_by > 0 || matches!(standing.shown, Shown::Ordered | Shown::Paid);
    let amount = item.price.checked_mul(u32::from(ticket.quantity));
    let view = View {
        ticket: &text,
        sale: &shared.sale.name,
        item: &item.id,
        quantity: ticket.quantity,
        state,
        reason,
        position,
        ahead: position.map(|position| position - 1),
        // While no order is made, nobody knows.
        wait_seconds: seconds
            .filter(|seconds| *seconds < 1e9)
            .map(|seconds| (seconds * 10.0).round() / 10.0),
        order_id: ordered.then(|| shared.sale.order_id(ticket.shard, ticket.no)),
        amount: amount.unwrap_or(item.price).to_string(),
        currency: item.price.currency().code(),
        pay_by_ms: (standing.shown == Shown::Ordered && standing.pay_by > 0).then_some(standing.pay_by),
        links: Links {
            own: Link("/v1/tickets/", &text, ""),
            events: Link("/v1/tickets/", &text, "/events"),
            page: Link("/ticket#", &text, ""),
        },
    };
    // Only strings and finite numbers, into memory: nothing in it can fail.
    let _ = serde_json::to_writer(out, &view);
}

/// A ticket's JSON.
pub(super) fn json(held: &Held, standing: Standing, shared: &Shared) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write(&mut out, held, standing, shared);
    out
}
