//! What an open field means when one process serves the sale.

use serde::Serialize;

use crate::{
    duration::HumanDuration,
    effective::EffectiveBuyers,
    sale::{AdmissionPolicy, BacklogPolicy, OrderFlow, RegistrationMode, TeardownPolicy},
};

/// The values that fields get which a sale leaves open, in a process of its own.
///
/// In a cluster the sale's class says more of them; here whoever starts the process may change any.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedDefaults {
    /// How many shards; 1.
    pub shards: u16,
    /// How many units of an item one buyer may have; 1.
    pub limit_per_buyer: u16,
    /// How long a buyer may take to pay; 15m.
    pub payment_timeout: HumanDuration,
    /// Orders a minute at the least; 10,000. The sale's whole stock, if larger, is the rate.
    pub orders_per_minute_min: u32,
    /// Where orders are made; from a queue.
    pub order_flow: OrderFlow,
    /// The age at which a waiting reservation counts as backlog; 2m.
    pub backlog_after: HumanDuration,
    /// What happens to the backlog; it is held.
    pub backlog_policy: BacklogPolicy,
    /// Who gets a unit; the first to come.
    pub admission: AdmissionPolicy,
    /// Whether a registration, where there is one, is needed; it is optional.
    pub registration_mode: RegistrationMode,
    /// How many may register, in percent of the stock; 150, past which the entry turns buyers away.
    pub max_percent_of_stock: u32,
    /// How long the answer to a call is waited for; 5s.
    pub webhook_timeout: HumanDuration,
    /// How long open orders may take after the close before it is called blocked; 10m.
    pub drain_timeout: HumanDuration,
    /// What becomes of the data after settlement; orders are kept.
    pub teardown_policy: TeardownPolicy,
    /// How buyers prove who they are. `None`: the sale must say it, nobody is believed by default.
    pub buyers: Option<EffectiveBuyers>,
}

impl Default for EmbeddedDefaults {
    fn default() -> Self {
        Self {
            shards: 1,
            limit_per_buyer: 1,
            payment_timeout: HumanDuration::from_secs(15 * 60),
            orders_per_minute_min: 10_000,
            order_flow: OrderFlow::Queue,
            backlog_after: HumanDuration::from_secs(2 * 60),
            backlog_policy: BacklogPolicy::Hold,
            admission: AdmissionPolicy::FirstCome,
            registration_mode: RegistrationMode::Optional,
            max_percent_of_stock: 150,
            webhook_timeout: HumanDuration::from_secs(5),
            drain_timeout: HumanDuration::from_secs(10 * 60),
            teardown_policy: TeardownPolicy::Retain,
            buyers: None,
        }
    }
}

/// A field that the sale leaves open, with what it got and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// The field, as `spec.orders.paymentTimeout`.
    pub path: String,
    /// The value as it would stand in the file.
    pub value: String,
    /// Where the value comes from.
    pub why: String,
}

/// Collects what was filled in.
#[derive(Default)]
pub(crate) struct Fill(pub(crate) Vec<Filled>);

impl Fill {
    /// The value that the sale gives, or the other one, noted.
    pub(crate) fn or<T: Clone>(
        &mut self,
        given: Option<T>,
        path: &str,
        default: T,
        shown: impl FnOnce(&T) -> String,
        why: &str,
    ) -> T {
        given.unwrap_or_else(|| {
            self.0.push(Filled {
                path: path.to_owned(),
                value: shown(&default),
                why: why.to_owned(),
            });
            default
        })
    }
}
