//! A sale as the data plane needs it: every value present, in plain types.

use flashsale_core::engine::Rules;
use flashsale_core::ids::{ItemIx, Millis, SaleUid};
use flashsale_core::order::Backlog;
use flashsale_crds::Money;
use std::time::Duration;

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
        issuer: Option<String>,
        /// The `aud` that tokens must have.
        audience: Option<String>,
    },
    /// By a header that whoever is in front vouches for; in development, nobody.
    TrustedHeader {
        /// The header's name.
        name: String,
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

/// A place that is told of something, until it has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name of the message kind: `handover`, or a follow-up's name.
    pub name: String,
    /// Where to POST.
    pub url: String,
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
    /// At which rate reservations become orders.
    pub orders_per_minute: u32,
    /// What becomes of reservations that wait too long.
    pub backlog: Backlog,
    /// Registration ahead of the sale, if there is one.
    pub registration: Option<Registration>,
    /// How buyers are identified.
    pub identity: Identity,
    /// Who is told of each order made.
    pub handover: Option<Target>,
    /// Who is told of each payment.
    pub follow_ups: Vec<Target>,
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

    /// Units of all items.
    #[must_use]
    pub fn stock(&self) -> u64 {
        self.items.iter().map(|i| u64::from(i.stock)).sum()
    }
}
