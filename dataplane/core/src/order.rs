//! An order's life: `reserved → pending → paid | closed`. Decided by one row in one database; whoever
//! moves it out of a state first wins, and money that comes later is a refund due.

use crate::event::ReleaseReason;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The reservation is applied; the order waits in its item's queue.
    Reserved,
    /// The order is made and waits for payment until its deadline.
    Pending,
    /// Paid. Final.
    Paid,
    /// Closed. Final.
    Closed(ReleaseReason),
}

/// What happens to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderEvent {
    /// Its turn has come in the queue.
    Make,
    /// Money came. `again`: this very payment was recorded before.
    Pay {
        /// Whether this payment id is known.
        again: bool,
    },
    /// Somebody wants it closed.
    Close(ReleaseReason),
}

/// What has to be done in the same transaction that writes the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderEffect {
    /// Set the payment deadline.
    StartDeadline,
    /// Put the order into the local message table for the shop.
    HandOver,
    /// Record the payment as accepted and put the follow-ups into the local message table.
    FollowUp,
    /// Record the payment as money to give back.
    RefundDue,
    /// Ask the shard's owner to free the units, until the `Released` event is applied.
    Release(ReleaseReason),
}

/// The event doesn't fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OrderRefusal {
    /// The order is paid: it can't be closed any more.
    #[error("the order is paid")]
    Paid,
    /// The order isn't made yet: it can't be paid.
    #[error("the order isn't made yet")]
    NotMade,
}

/// The order's next state and what has to be done with it.
///
/// # Errors
/// The event doesn't fit the state; nothing changes.
pub fn step(state: State, event: OrderEvent) -> Result<(State, &'static [OrderEffect]), OrderRefusal> {
    use OrderEffect::{FollowUp, HandOver, RefundDue, Release, StartDeadline};
    use OrderEvent::{Close, Make, Pay};
    use ReleaseReason::{Backlog, Cancelled, Refused, Unpaid};
    Ok(match (state, event) {
        (State::Reserved, Make) => (State::Pending, &[StartDeadline, HandOver]),
        (State::Pending, Pay { again: false }) => (State::Paid, &[FollowUp]),
        (State::Paid | State::Closed(_), Pay { again: false }) => (state, &[RefundDue]),
        (State::Reserved, Pay { .. }) => return Err(OrderRefusal::NotMade),
        (State::Reserved | State::Pending, Close(reason)) => {
            let release: &[OrderEffect] = match reason {
                Cancelled => &[Release(Cancelled)],
                Unpaid => &[Release(Unpaid)],
                Backlog => &[Release(Backlog)],
                Refused => &[Release(Refused)],
            };
            (State::Closed(reason), release)
        }
        (State::Paid, Close(_)) => return Err(OrderRefusal::Paid),
        // Said before: the same answer, and nothing happens twice.
        (State::Pending | State::Paid | State::Closed(_), Make)
        | (State::Closed(_), Close(_))
        | (State::Pending | State::Paid | State::Closed(_), Pay { again: true }) => (state, &[]),
    })
}

/// What becomes of reservations that wait too long for their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backlog {
    /// They keep their units and wait on.
    Hold,
    /// They are closed with reason `backlog` once they are older than so many milliseconds.
    ReleaseAfter(u64),
}

impl Backlog {
    /// Reservations made before this time are to be closed; `None` if none is.
    #[must_use]
    pub fn close_before(self, now: u64) -> Option<u64> {
        match self {
            Self::Hold => None,
            Self::ReleaseAfter(age) => now.checked_sub(age),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = OrderEvent> {
        prop_oneof![
            Just(OrderEvent::Make),
            any::<bool>().prop_map(|again| OrderEvent::Pay { again }),
            Just(OrderEvent::Close(ReleaseReason::Unpaid)),
            Just(OrderEvent::Close(ReleaseReason::Cancelled)),
            Just(OrderEvent::Close(ReleaseReason::Backlog)),
        ]
    }

    proptest! {
        #[test]
        fn an_order_is_paid_or_released_and_never_both(history in prop::collection::vec(events(), 0..40)) {
            let (mut state, mut paid, mut released, mut refunds, mut money) = (State::Reserved, 0, 0, 0, 0);
            for event in history {
                let Ok((next, effects)) = step(state, event) else { continue };
                money += u32::from(event == OrderEvent::Pay { again: false });
                for effect in effects {
                    match effect {
                        OrderEffect::FollowUp => paid += 1,
                        OrderEffect::RefundDue => refunds += 1,
                        OrderEffect::Release(_) => released += 1,
                        OrderEffect::StartDeadline | OrderEffect::HandOver => {}
                    }
                }
                state = next;
            }
            prop_assert!(paid + released <= 1);
            prop_assert_eq!(paid + refunds, money);
            prop_assert_eq!(state == State::Paid, paid == 1);
            prop_assert_eq!(matches!(state, State::Closed(_)), released == 1);
        }
    }
}
