//! What the crowd itself calls a broken promise, and the checks that need the whole crowd.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::answer::TicketState;
use crate::config::Item;
use crate::outcome::TicketHistory;

/// Violations kept in full; more are only counted.
pub(crate) const VIOLATIONS_MAX: usize = 1_000;

/// The kinds of broken promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ViolationKind {
    /// The same key got another ticket than before.
    AnotherTicket,
    /// One buyer surely held more tickets for an item at once than the limit allows.
    OverLimit,
    /// Two buyers hold the same ticket.
    SharedTicket,
    /// More units of an item were surely held at once than there are.
    Oversold,
    /// "Sold out" (or "closed") was told to somebody who holds a ticket for that key.
    SoldOutToHolder,
    /// A repeat of a purchase that had been promised was refused for another reason.
    RepeatRefused,
    /// A reserved or ordered ticket became `failed`.
    PromiseBroken,
    /// A ticket shown as reserved, or further, is unknown now.
    Forgotten,
    /// A ticket went back to an earlier state, or left a final one.
    StateWentBack,
    /// The position in the line grew.
    PositionGrew,
    /// A ticket was closed without a reason, or with one that cannot be true.
    ClosedWrongly,
    /// The same key and the same body were called a conflict.
    KeyConflict,
    /// A purchase was accepted before the sale opened.
    SoldEarly,
    /// The payment of an order that was shown is refused, or in time and still due for refund.
    PaymentRefused,
    /// The same payment was answered differently the second time.
    PaymentAnswerChanged,
}

/// One broken promise, with what is needed to find it in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which promise.
    pub kind: ViolationKind,
    /// The buyer's id; empty if the whole sale is meant.
    pub buyer: String,
    /// The ticket, if one is meant.
    pub ticket: String,
    /// What was seen, in words.
    pub detail: String,
    /// When it was seen, in nanoseconds since the crowd's start.
    pub mono_ns: u64,
}

/// The time during which a ticket surely held a unit: from the answer that first showed the promise to the last
/// moment at which it cannot have ended yet. Doubt makes it shorter, never longer.
pub(crate) fn surely_held(ticket: &TicketHistory) -> Option<(u64, u64)> {
    let from = ticket
        .states
        .iter()
        .find(|(state, _)| state.is_promise())
        .map(|(_, at)| *at)?;
    let paid = ticket.states.iter().any(|(state, _)| *state == TicketState::Paid);
    let until = if paid { u64::MAX } else { ticket.sure_until_ns };
    (until > from).then_some((from, until))
}

/// The checks over all tickets of all threads, at the end.
pub(crate) fn check_all(tickets: &[TicketHistory], items: &[Item]) -> Vec<Violation> {
    let mut found = shared_tickets(tickets);
    found.extend(over_limit(tickets, items));
    found.extend(oversold(tickets, items));
    found
}

fn shared_tickets(tickets: &[TicketHistory]) -> Vec<Violation> {
    let mut owners: HashMap<&str, &str> = HashMap::with_capacity(tickets.len());
    let mut found = Vec::new();
    for t in tickets {
        let owner = *owners.entry(&t.ticket).or_insert(&t.buyer);
        if owner != t.buyer {
            found.push(Violation {
                kind: ViolationKind::SharedTicket,
                buyer: t.buyer.clone(),
                ticket: t.ticket.clone(),
                detail: format!("{owner} has the same ticket"),
                mono_ns: t.states.first().map_or(0, |(_, at)| *at),
            });
        }
    }
    found
}

fn over_limit(tickets: &[TicketHistory], items: &[Item]) -> Vec<Violation> {
    let mut held: HashMap<(&str, &str), Vec<&TicketHistory>> = HashMap::new();
    for t in tickets {
        held.entry((&t.buyer, &t.item)).or_default().push(t);
    }
    let limit = |id: &str| {
        items
            .iter()
            .find(|i| i.id == id)
            .map_or(u64::MAX, |i| u64::from(i.limit_per_buyer))
    };
    let mut found = Vec::new();
    for ((buyer, item), held) in held {
        if held.len() as u64 <= limit(item) {
            continue;
        }
        let (most, at) = most_at_once(held.iter().filter_map(|t| surely_held(t)));
        if most > limit(item) {
            found.push(Violation {
                kind: ViolationKind::OverLimit,
                buyer: buyer.to_owned(),
                ticket: held.last().map_or_else(String::new, |t| t.ticket.clone()),
                detail: format!("holds {most} of {item} at once, the limit is {}", limit(item)),
                mono_ns: at,
            });
        }
    }
    found
}

fn oversold(tickets: &[TicketHistory], items: &[Item]) -> Vec<Violation> {
    let mut found = Vec::new();
    for item in items {
        let held = tickets
            .iter()
            .filter(|t| t.item == item.id)
            .filter_map(surely_held);
        let (most, at) = most_at_once(held);
        if most > item.stock {
            found.push(Violation {
                kind: ViolationKind::Oversold,
                buyer: String::new(),
                ticket: String::new(),
                detail: format!(
                    "{most} tickets for {} were held at once, its stock is {}",
                    item.id, item.stock
                ),
                mono_ns: at,
            });
        }
    }
    found
}

/// The largest number of spans that overlap, and when that was first reached.
fn most_at_once(spans: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    // An end sorts before a start at the same moment: a unit handed on is not held twice.
    let mut edges: Vec<(u64, i64)> = spans.flat_map(|(from, until)| [(from, 1), (until, -1)]).collect();
    edges.sort_unstable();
    let (mut now, mut most, mut at) = (0i64, 0i64, 0);
    for (moment, step) in edges {
        now += step;
        if now > most {
            (most, at) = (now, moment);
        }
    }
    (most as u64, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(buyer: &str, name: &str, states: &[(TicketState, u64)], sure_until_ns: u64) -> TicketHistory {
        TicketHistory {
            buyer: buyer.to_owned(),
            key: "k".to_owned(),
            ticket: name.to_owned(),
            item: "i".to_owned(),
            order_id: None,
            states: states.to_vec(),
            sure_until_ns,
        }
    }

    fn kinds(tickets: &[TicketHistory], stock: u64) -> Vec<ViolationKind> {
        check_all(tickets, &[Item::new("i", stock)])
            .iter()
            .map(|v| v.kind)
            .collect()
    }

    #[test]
    fn two_paid_tickets_for_one_unit_are_an_oversale() {
        let paid = |buyer, name| {
            ticket(
                buyer,
                name,
                &[(TicketState::Reserved, 5), (TicketState::Paid, 9)],
                0,
            )
        };
        assert_eq!(
            kinds(&[paid("a", "1"), paid("b", "2")], 1),
            [ViolationKind::Oversold]
        );
        assert_eq!(kinds(&[paid("a", "1"), paid("b", "2")], 2), []);
    }

    #[test]
    fn a_unit_given_back_and_sold_again_is_no_oversale() {
        let first = ticket(
            "a",
            "1",
            &[(TicketState::Reserved, 5), (TicketState::Closed, 9)],
            8,
        );
        let second = ticket(
            "b",
            "2",
            &[(TicketState::Reserved, 8), (TicketState::Paid, 12)],
            12,
        );
        assert_eq!(kinds(&[first, second], 1), []);
    }

    #[test]
    fn one_buyer_with_two_living_tickets_is_over_the_limit() {
        let held = |name| ticket("a", name, &[(TicketState::Ordered, 5)], 90);
        assert_eq!(kinds(&[held("1"), held("2")], 9), [ViolationKind::OverLimit]);
    }

    #[test]
    fn one_ticket_with_two_owners_is_found() {
        let queued = |buyer| ticket(buyer, "1", &[(TicketState::Queued, 5)], 0);
        assert_eq!(
            kinds(&[queued("a"), queued("b")], 9),
            [ViolationKind::SharedTicket]
        );
    }
}
