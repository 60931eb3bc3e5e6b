//! The worker's words as the order database has them.

use super::Counted;
use crate::clock::now_ms;
use crate::desk::Payment;
use flashsale_orders as orders;

pub(super) fn step(counted: &Counted) -> orders::Counted<'_> {
    match counted {
        Counted::Opened { epoch, base } => orders::Counted::Opened {
            epoch: *epoch,
            base: *base,
        },
        Counted::Events { epoch, events } => orders::Counted::Events {
            epoch: *epoch,
            events,
        },
    }
}

pub(super) fn recorded(payment: Payment) -> orders::Payment {
    let Payment {
        payment_id,
        order_id,
        amount_minor,
        currency,
    } = payment;
    // A negative amount is no order's price.
    let amount = u64::try_from(amount_minor).unwrap_or(u64::MAX);
    orders::Payment {
        id: payment_id,
        order_id,
        amount,
        currency,
        at: now_ms(),
    }
}
