//! A sale as the data plane needs it: every value present, in plain types.

use crate::shop::Call;
use flashsale_core::engine::Rules;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, SaleUid, ShardId};
use flashsale_core::order::Backlog;
use flashsale_crds::{Currency, Money, Switches};
use ipnet::IpNet;
use std::time::Duration;

mod from;

pub use from::Unsupported;

/// What is sold.
#[derive(Debug, Clone)]
pub struct Item {
    /// The id in the sale's YAML and in the API.
    pub id: String,
    /// The title that buyers see.
    pub title: String,
    /// The price of one unit.
    pub price: Money,
    /// How many units are sold.
    pub stock: u32,
    /// How many of them one buyer may hold.
    pub limit: u32,
}

/// How buyers are identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// By the shop's signed tokens.
    Jwt {
        /// Where the keys are: a URL or a file.
        jwks: String,
        /// The `iss` that tokens must have.
        issuer: String,
        /// The `aud`s of which tokens must have one; empty: not looked at.
        audiences: Vec<String>,
        /// The claim with the buyer's id.
        subject_claim: String,
    },
    /// By a header that whoever is in front vouches for; in development, nobody.
    TrustedHeader {
        /// The header's name.
        name: String,
        /// The networks from which it is believed.
        from: Vec<IpNet>,
    },
}

/// Registration ahead of the sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Registrations are taken from here.
    pub opens: Millis,
    /// And no more from here.
    pub closes: Millis,
    /// Whether only registered buyers may buy.
    pub required: bool,
    /// How many buyers may register, over all shards.
    pub max: u32,
}

/// What a message to the shop is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An order was made.
    Ordered,
    /// An order was paid.
    Paid,
    /// An order was closed.
    Closed,
}

impl Occasion {
    /// The word for it in messages and the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Paid => "paid",
            Self::Closed => "closed",
        }
    }
}

/// The target that orders are handed over to; all others are follow-ups.
pub const HANDOVER: &str = "handover";

/// A place that is told of something, until it has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name: `handover`, or a follow-up's.
    pub name: String,
    /// What it is told of.
    pub on: Occasion,
    /// The call.
    pub call: Call,
}

/// Requests a second that the sale allows; what is open is as the gateway has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestRates {
    /// Of one buyer.
    pub per_buyer: Option<u32>,
    /// From one address.
    pub per_address: Option<u32>,
}

/// One sale, with every value that the data plane needs.
#[derive(Debug, Clone)]
pub struct Sale {
    /// Its identity: a sale of the same name is another sale.
    pub uid: SaleUid,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What is sold; an [`ItemIx`] is an index here.
    pub items: Vec<Item>,
    /// Opening time.
    pub opens: Millis,
    /// Closing time.
    pub closes: Millis,
    /// How many shards.
    pub shards: u16,
    /// How long an order may wait for its payment.
    pub payment_timeout: Duration,
    /// The currency of all prices.
    pub currency: Currency,
    /// At which rate reservations become orders.
    pub orders_per_minute: u32,
    /// What becomes of reservations that wait too long.
    pub backlog: Backlog,
    /// Registration ahead of the sale, if there is one.
    pub registration: Option<Registration>,
    /// How buyers are identified.
    pub identity: Identity,
    /// How often buyers and addresses may ask.
    pub requests: RequestRates,
    /// Who is told of orders, payments and closings.
    pub targets: Vec<Target>,
    /// The call that tells the shop how the sale ended, if it wants to be told.
    pub settlement: Option<Call>,
    /// What is switched from the start.
    pub switches: Switches,
}

impl Sale {
    /// The rules that each shard enforces.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let registrations = self.registration.map_or(0, |r| r.max);
        Rules {
            opens: self.opens,
            closes: self.closes,
            limits: self.items.iter().map(|i| i.limit).collect(),
            registered_only: self.registration.is_some_and(|r| r.required),
            registrations_max: registrations.div_ceil(u32::from(self.shards)),
        }
    }

    /// The item with this id.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<ItemIx> {
        self.items
            .iter()
            .position(|item| item.id == id)
            .map(|ix| ItemIx(ix as u16))
    }

    /// The id under which the shop knows the order that a ticket becomes: known ahead, the same for ever.
    #[must_use]
    pub fn order_id(&self, shard: ShardId, ticket: TicketNo) -> String {
        format!(
            "{:012x}-{}-{}-{}",
            self.uid.0 >> 80,
            shard.0,
            ticket.made.0,
            ticket.n
        )
    }

    /// Units of all items.
    #[must_use]
    pub fn stock(&self) -> u64 {
        self.items.iter().map(|i| u64::from(i.stock)).sum()
    }
}
