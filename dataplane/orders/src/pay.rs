//! Money comes in. Whoever moves an order out of `pending` first wins; money that comes later is a refund due,
//! written in the same transaction.

use crate::codec::{int, money};
use crate::db::Tx;
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::orders::{Orders, order_id_prefix};
use crate::row::{Columns, OrderRow};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, Millis, ShardId};
use flashsale_core::order::{OrderEffect, OrderEvent, State, step};

/// A payment that the provider reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The provider's id for it; the same one each time it is reported.
    pub id: String,
    /// For which order.
    pub order_id: String,
    /// How much, in minor units.
    pub amount: u64,
    /// In which currency.
    pub currency: String,
    /// When it was reported.
    pub at: Millis,
}

/// The answer to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The order is paid by this payment.
    Paid(Recorded),
    /// The order was paid or closed before: this money has to be given back.
    RefundDue(Recorded),
    /// Nothing was recorded.
    Refused(PaymentRefusal),
}

/// A payment that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The order's shard.
    pub shard: ShardId,
    /// The order's reservation.
    pub ticket: TicketNo,
    /// Whether it was recorded by an earlier call, which gave the same answer.
    pub again: bool,
}

/// Why a payment isn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PaymentRefusal {
    /// No order of this sale has this id.
    #[error("no order of this sale has this id")]
    UnknownOrder,
    /// The amount is another.
    #[error("the order costs {expected} minor units")]
    Amount {
        /// What the order costs, in minor units.
        expected: u64,
    },
    /// The currency is another.
    #[error("the sale is in another currency")]
    Currency,
    /// The order isn't made yet.
    #[error("the order isn't made yet")]
    NotMade,
    /// The payment's id was used with another order or amount.
    #[error("this payment id was used for another order or amount")]
    IdReused,
    /// The payment's id is empty or longer than 128 bytes.
    #[error("a payment id has 1 to 128 bytes")]
    Id,
}

/// Most bytes of a payment's id.
const ID_BYTES_MAX: usize = 128;

impl Orders {
    /// Takes a payment. The same payment again gets the same answer and changes nothing.
    ///
    /// # Errors
    /// The database can't be written; nothing is recorded.
    pub async fn pay(&self, payment: &Payment) -> Result<PaymentOutcome> {
        let outcomes = self.pay_all(std::slice::from_ref(payment)).await?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| self.broken("a payment without an answer"))
    }

    /// Takes payments in this order, in one transaction; the answers are in the same order. Many payments at
    /// once share the cost of reaching the disk.
    ///
    /// # Errors
    /// The database can't be written; none is recorded.
    pub async fn pay_all(&self, payments: &[Payment]) -> Result<Vec<PaymentOutcome>> {
        let mut tx = self.begin().await?;
        let mut outcomes = Vec::with_capacity(payments.len());
        for payment in payments {
            outcomes.push(self.take(&mut tx, payment).await?);
        }
        let is_new = |o: &PaymentOutcome| matches!(o, PaymentOutcome::Paid(r) | PaymentOutcome::RefundDue(r) if !r.again);
        if outcomes.iter().any(is_new) {
            self.commit(tx).await?;
        }
        Ok(outcomes)
    }

    async fn take(&self, tx: &mut Tx, payment: &Payment) -> Result<PaymentOutcome> {
        use PaymentOutcome::{Paid, RefundDue, Refused};
        if payment.id.is_empty() || payment.id.len() > ID_BYTES_MAX || payment.id.contains('\0') {
            return Ok(Refused(PaymentRefusal::Id));
        }
        let Some((shard, ticket)) = self.ticket_of(&payment.order_id) else {
            return Ok(Refused(PaymentRefusal::UnknownOrder));
        };
        let Some(order) = self.lock_order(tx, shard, ticket).await? else {
            return Ok(Refused(PaymentRefusal::UnknownOrder));
        };
        if let Some(known) = self.known_payment(tx, payment, &order).await? {
            return Ok(known);
        }
        if *payment.currency != *self.sale.currency {
            return Ok(Refused(PaymentRefusal::Currency));
        }
        if payment.amount != order.amount {
            let expected = order.amount;
            return Ok(Refused(PaymentRefusal::Amount { expected }));
        }
        let Ok((next, effects)) = step(order.state, OrderEvent::Pay { again: false }) else {
            return Ok(Refused(PaymentRefusal::NotMade));
        };
        let recorded = Recorded {
            shard,
            ticket,
            again: false,
        };
        let refund = effects.contains(&OrderEffect::RefundDue);
        self.record(tx, payment, &order, refund).await?;
        if next == State::Paid && order.state != State::Paid {
            self.write_paid(tx, &order, payment.at).await?;
        }
        let messages = self.payment_messages(payment, &order, refund);
        self.insert_messages(tx, &messages).await?;
        Ok(if refund {
            RefundDue(recorded)
        } else {
            Paid(recorded)
        })
    }

    /// The answer that a payment with this id got before.
    async fn known_payment(
        &self,
        tx: &mut Tx,
        payment: &Payment,
        order: &OrderRow,
    ) -> Result<Option<PaymentOutcome>> {
        let row =
            sqlx::query("SELECT order_id, amount, result FROM payments WHERE sale = $1 AND payment_id = $2")
                .bind(self.id)
                .bind(&payment.id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(|e| self.failed(&e))?;
        let Some(row) = row else { return Ok(None) };
        let row = Columns(&row, self);
        let same = row.get::<&str>("order_id")? == payment.order_id
            && row.number::<u64>("amount")? == payment.amount
            && *payment.currency == *self.sale.currency;
        if !same {
            return Ok(Some(PaymentOutcome::Refused(PaymentRefusal::IdReused)));
        }
        let recorded = Recorded {
            shard: order.shard,
            ticket: order.ticket,
            again: true,
        };
        match row.get("result")? {
            "accepted" => Ok(Some(PaymentOutcome::Paid(recorded))),
            "refund_due" => Ok(Some(PaymentOutcome::RefundDue(recorded))),
            other => Err(self.corrupt(&format!("a payment with result {other:?}"))),
        }
    }

    async fn record(&self, tx: &mut Tx, payment: &Payment, order: &OrderRow, refund: bool) -> Result<()> {
        sqlx::query(
            "INSERT INTO payments (sale, payment_id, shard, made, n, order_id, amount, result, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.id)
        .bind(&payment.id)
        .bind(i64::from(order.shard.0))
        .bind(i64::from(order.ticket.made.0))
        .bind(int(order.ticket.n))
        .bind(&payment.order_id)
        .bind(int(payment.amount))
        .bind(if refund { "refund_due" } else { "accepted" })
        .bind(int(payment.at))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(|e| self.failed(&e))
    }

    async fn write_paid(&self, tx: &mut Tx, order: &OrderRow, at: Millis) -> Result<()> {
        let updated = sqlx::query(
            "UPDATE orders SET state = 'paid', paid_at = $1 \
             WHERE sale = $2 AND shard = $3 AND made = $4 AND n = $5 AND state = 'pending'",
        )
        .bind(int(at))
        .bind(self.id)
        .bind(i64::from(order.shard.0))
        .bind(i64::from(order.ticket.made.0))
        .bind(int(order.ticket.n))
        .execute(&mut **tx)
        .await
        .map_err(|e| self.failed(&e))?;
        if updated.rows_affected() != 1 {
            return Err(self.broken("an order changed while it was locked"));
        }
        Ok(())
    }

    fn payment_messages(&self, payment: &Payment, order: &OrderRow, refund: bool) -> Vec<NewMessage> {
        let routes = &self.sale.routes;
        let (kind, targets) = if refund {
            (Kind::Refund, &routes.refund)
        } else {
            (Kind::Paid, &routes.paid)
        };
        let message = |target: &str| {
            let payload = serde_json::json!({
                "sale": self.sale.name, "namespace": self.sale.namespace,
                "orderId": payment.order_id, "paymentId": payment.id, "buyer": order.buyer,
                "item": self.item_id(order.item), "quantity": order.quantity,
                "amount": money(payment.amount, self.sale.decimals), "currency": self.sale.currency,
                "atMs": payment.at,
            });
            NewMessage::new(kind, target, &payload, payment.at)
        };
        targets.iter().map(|target| message(target)).collect()
    }

    /// The reservation that an order id of this sale names.
    #[must_use]
    pub fn ticket_of(&self, order_id: &str) -> Option<(ShardId, TicketNo)> {
        let mut parts = order_id.strip_prefix(&order_id_prefix(self.sale.uid))?.split('-');
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
