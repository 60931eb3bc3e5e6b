//! What came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::answer::TicketState;
use crate::config::Item;
use crate::progress::Snapshot;
use crate::verify::Violation;

/// Each buyer in exactly one bucket; the crate's documentation defines them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuyerCounts {
    /// All buyers; the sum of the others.
    pub total: u64,
    /// Was given a ticket in this run.
    pub won: u64,
    /// Left with nothing because it was sold out or over.
    pub sold_out: u64,
    /// Holds only a ticket from before this run.
    pub duplicate: u64,
    /// Refused by a limit.
    pub limited: u64,
    /// Anything else.
    pub failed: u64,
}

/// Quantiles in milliseconds, from the intended arrival to the first definite answer, retries included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the buyers were answered within this.
    pub p50: f64,
    /// 99 % were.
    pub p99: f64,
    /// 99.9 % were.
    pub p999: f64,
    /// The slowest answer.
    pub max: f64,
}

/// One ticket and all its buyer was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketHistory {
    /// The buyer's id.
    pub buyer: String,
    /// The idempotency key that got it first.
    pub key: String,
    /// The ticket.
    pub ticket: String,
    /// The item.
    pub item: String,
    /// The order id, once shown.
    pub order_id: Option<String>,
    /// Each state when it was first shown, in nanoseconds since the crowd's start.
    pub states: Vec<(TicketState, u64)>,
    /// The ticket's unit was surely still held at this moment (nanoseconds since the crowd's start).
    pub sure_until_ns: u64,
}

impl TicketHistory {
    /// Whether the buyer was ever shown this state.
    pub fn was_shown(&self, state: TicketState) -> bool {
        self.states.iter().any(|(shown, _)| *shown == state)
    }
}

/// The result of a crowd.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The crowd's seed.
    pub seed: u64,
    /// Each buyer once.
    pub buyers: BuyerCounts,
    /// How long buyers waited for their answer.
    pub latency_ms: Latency,
    /// Seconds from opening to the accepted answer that took the last unit; `None` if some were left.
    pub seconds_to_sold_out: Option<f64>,
    /// Seconds from opening to the accepted answer that reached 80 % of all stock.
    pub seconds_to80_percent: Option<f64>,
    /// New tickets per item (also those cancelled or unpaid later).
    pub winners: BTreeMap<String, u64>,
    /// Every ticket of this run.
    pub tickets: Vec<TicketHistory>,
    /// Broken promises, at most 1,000 of them in full.
    pub violations: Vec<Violation>,
    /// All broken promises, also those not kept in full.
    pub violations_total: u64,
    /// Answers nobody expects, by operation, status and problem: `"purchase 401 unauthenticated"`.
    pub unexpected: BTreeMap<String, u64>,
    /// The figures at the end.
    pub totals: Snapshot,
    /// From the crowd's start (or the opening, if later) until the last buyer had gone home.
    pub duration_seconds: f64,
    /// CPU time of the crowd's own threads, where the system tells it.
    pub client_cpu_seconds: Option<f64>,
}

/// What each thread brings home.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) tickets: Vec<TicketHistory>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) unexpected: BTreeMap<String, u64>,
    /// Times of new tickets, nanoseconds since the crowd's start.
    pub(crate) accepted_ns: Vec<u64>,
    pub(crate) winners: Vec<u64>,
    pub(crate) cpu_seconds: Option<f64>,
}

/// Seconds from opening to the accepted answer that reached `share` of the stock.
pub(crate) fn seconds_to(share: f64, sorted_ns: &[u64], items: &[Item], opening_ns: u64) -> Option<f64> {
    let stock: u64 = items.iter().map(|i| i.stock).sum();
    let needed = (stock as f64 * share).ceil() as usize;
    let at = sorted_ns.get(needed.checked_sub(1)?)?;
    Some(at.saturating_sub(opening_ns) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_decides_when_it_was_sold_out() {
        let items = [Item::new("a", 3), Item::new("b", 2)];
        let s = |n: u64| n * 1_000_000_000;
        let times = [s(11), s(12), s(13), s(14), s(19)];
        assert_eq!(seconds_to(0.8, &times, &items, s(10)), Some(4.0));
        assert_eq!(seconds_to(1.0, &times, &items, s(10)), Some(9.0));
        assert_eq!(seconds_to(1.0, &times[..4], &items, s(10)), None);
    }
}
