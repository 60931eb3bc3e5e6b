//! The desk: how gateways ask the worker to change an order. The worker takes what has come and
//! commits it in one transaction, so a thousand payments cost about as much as one.

use flashsale_core::event::TicketNo;
use flashsale_core::ids::ShardId;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// At most so many requests wait; behind that the answer is "busy".
pub const REQUESTS_MAX: usize = 16 * 1024;

/// Money that the payment provider reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The provider's unique id of this payment.
    pub payment_id: String,
    /// The order it is for.
    pub order_id: String,
    /// How much, in the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// What became of a payment; the same each time it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentOutcome {
    /// The order is paid by it.
    Paid,
    /// It came too late or twice: the money goes back.
    RefundDue,
    /// There is no such order.
    UnknownOrder,
    /// The amount or currency isn't the order's.
    WrongAmount {
        /// What the order costs, in the currency's smallest unit.
        expected_minor: i64,
    },
    /// The payment id was used for another order or amount.
    Conflict,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelOutcome {
    /// Closed, now or before.
    Closed,
    /// Paid: too late.
    Paid,
    /// The database doesn't know the reservation yet: try again in a moment.
    NotYet,
}

/// One request to the worker.
#[derive(Debug)]
pub enum Request {
    /// A payment was reported.
    Pay(Payment, oneshot::Sender<PaymentOutcome>),
    /// A buyer cancels.
    Cancel(ShardId, TicketNo, oneshot::Sender<CancelOutcome>),
}

/// The worker is too busy, or gone: nothing was changed as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order database is busy")]
pub struct Busy;

/// A gateway's way to the worker.
#[derive(Debug, Clone)]
pub struct Desk {
    requests: mpsc::Sender<Request>,
}

impl Desk {
    /// A desk and the worker's end of it.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { requests }, receiver)
    }

    /// Reports a payment; answers after the commit.
    ///
    /// # Errors
    /// [`Busy`]: report it again.
    pub async fn pay(&self, payment: Payment) -> Result<PaymentOutcome, Busy> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request::Pay(payment, reply))
            .map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }

    /// Cancels an order; answers after the commit.
    ///
    /// # Errors
    /// [`Busy`]: try again.
    pub async fn cancel(&self, shard: ShardId, ticket: TicketNo) -> Result<CancelOutcome, Busy> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request::Cancel(shard, ticket, reply))
            .map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }
}
