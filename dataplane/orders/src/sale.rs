//! What the database is told of its sale, and what it keeps about it.

use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, Millis, SaleUid, ShardId};
use std::fmt;

/// The sale that an order database is opened for.
#[derive(Debug, Clone)]
pub struct Sale {
    /// The sale's uid.
    pub uid: SaleUid,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What was declared, as JSON; kept for people and the audit. Written when the sale is first seen.
    pub spec: serde_json::Value,
    /// The phase that a sale seen for the first time is in.
    pub phase: Box<str>,
    /// The currency's code, such as `EUR`.
    pub currency: Box<str>,
    /// Digits behind the point of an amount in this currency.
    pub decimals: u8,
    /// How many shards there are, 1 or more.
    pub shards: u16,
    /// The items, by their index.
    pub items: Vec<SaleItem>,
    /// Who is told of what.
    pub routes: Routes,
    /// The secret that signs tickets, if this sale is seen for the first time; random.
    pub fresh_secret: TicketSecret,
    /// The time now.
    pub now: Millis,
}

impl Sale {
    /// The id under which the shop and the payment provider know an order: the same for ever, and another one
    /// for every reservation of every sale.
    pub(crate) fn order_id(&self, shard: ShardId, ticket: TicketNo) -> String {
        let prefix = order_id_prefix(self.uid);
        format!("{prefix}{}-{}-{}", shard.0, ticket.made.0, ticket.n)
    }

    /// The reservation that an order id of this sale names.
    pub(crate) fn ticket_of(&self, order_id: &str) -> Option<(ShardId, TicketNo)> {
        let mut parts = order_id.strip_prefix(&order_id_prefix(self.uid))?.split('-');
        let (shard, made, n) = (parts.next()?, parts.next()?, parts.next()?);
        let ticket = TicketNo {
            made: Epoch(made.parse().ok()?),
            n: n.parse().ok()?,
        };
        let shard = ShardId(shard.parse().ok()?);
        // One spelling only: no leading zeros or signs, nothing behind.
        (self.order_id(shard, ticket) == order_id).then_some((shard, ticket))
    }
}

/// What all order ids of a sale begin with: 48 bits of its uid, and a dash.
pub(crate) fn order_id_prefix(uid: SaleUid) -> String {
    format!("{:012x}-", uid.0 >> 80)
}

/// What the database needs to know of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleItem {
    /// The item's id, as in messages.
    pub id: Box<str>,
    /// The price of one unit in minor units of the currency.
    pub price: u64,
}

/// To which targets a message goes when something happens to an order; none by default.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Routes {
    /// An order was made.
    pub handover: Vec<Box<str>>,
    /// An order was paid.
    pub paid: Vec<Box<str>>,
    /// An order was closed, for any reason.
    pub closed: Vec<Box<str>>,
    /// Money has to be given back.
    pub refund: Vec<Box<str>>,
}

/// The secret that signs a sale's tickets. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(pub [u8; 32]);

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(redacted)")
    }
}

/// Whether the declared stock was loaded into the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadState {
    /// Not begun.
    Unseeded,
    /// Begun: some shards may have theirs.
    Seeding,
    /// All shards have theirs. Stock that is missing from now on is rebuilt from the log, never loaded again.
    Seeded,
}

impl LoadState {
    /// The word in the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unseeded => "unseeded",
            Self::Seeding => "seeding",
            Self::Seeded => "seeded",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Unseeded, Self::Seeding, Self::Seeded]
            .into_iter()
            .find(|s| s.word() == word)
    }
}
