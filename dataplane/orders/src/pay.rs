//! Money comes in. Whoever moves an order out of `pending` first wins; money that comes later is a refund due,
//! written in the same transaction.

use crate::codec::{int, money};
use crate::db::Tx;
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::row::{Columns, OrderRow};
use crate::store::Store;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Millis, ShardId};
use flashsale_core::order::{OrderEffect, OrderEvent, State, step};
use rustc_hash::FxHashMap;

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
/// How often it is begun anew because somebody else recorded a payment of the same id meanwhile.
const TRIES_MAX: usize = 5;

/// What is known in a transaction, and what it is going to write.
#[derive(Default)]
struct Till {
    /// The orders that are locked, as they are within the transaction.
    orders: FxHashMap<(ShardId, TicketNo), OrderRow>,
    /// The payments that are recorded, by their ids: order, amount, whether the money is to be given back.
    known: FxHashMap<String, (String, u64, bool)>,
    /// New payments by their place in the list, and whether the money is to be given back.
    new: Vec<(usize, Recorded, bool)>,
    /// Of these, those that pay their order.
    paid: Vec<(Recorded, Millis)>,
    messages: Vec<NewMessage>,
}

impl Store {
    /// Takes payments in this order, in one transaction with a handful of statements; the answers are in the same
    /// order. Many payments at once share the cost of reaching the database and its disk.
    ///
    /// # Errors
    /// The database can't be written; none is recorded.
    pub(crate) async fn pay_all(&self, payments: &[Payment]) -> Result<Vec<PaymentOutcome>> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.begin().await?;
            let mut till = self.open_till(&mut tx, payments).await?;
            let taken = (0..)
                .zip(payments)
                .map(|(ix, payment)| self.take(&mut till, ix, payment));
            let outcomes: Vec<PaymentOutcome> = taken.collect();
            if till.new.is_empty() {
                self.let_go(tx).await;
                return Ok(outcomes);
            }
            if self.record(&mut tx, payments, &till).await? {
                self.commit(tx).await?;
                return Ok(outcomes);
            }
            // Reported twice at once: the other report has committed meanwhile, and is known the next time.
            tx.rollback().await.map_err(|e| self.failed(&e))?;
        }
        Err(self.broken("a payment is there and isn't"))
    }

    /// Reads what is known of these payments and their orders, and keeps others from changing the orders.
    async fn open_till(&self, tx: &mut Tx, payments: &[Payment]) -> Result<Till> {
        // Locked all at once and in one order, so that nobody who does the same is waited for in a circle.
        let mut tickets: Vec<_> = payments
            .iter()
            .filter_map(|p| self.sale.ticket_of(&p.order_id))
            .collect();
        tickets.sort_unstable();
        tickets.dedup();
        let mut till = Till::default();
        let orders = self.orders_of(tx, &tickets).await?;
        till.orders
            .extend(orders.into_iter().map(|o| ((o.shard, o.ticket), o)));
        let mut ids: Vec<&str> = payments.iter().map(|p| &*p.id).filter(|id| sound(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let known = &self.statements.known_payments;
        let rows = known.fetch(tx, &ids, |row, id| row.add(*id)).await;
        for row in rows.map_err(|e| self.failed(&e))? {
            let row = Columns(&row, &self.place);
            let refund = match row.get("result")? {
                "accepted" => false,
                "refund_due" => true,
                other => return Err(self.corrupt(&format!("a payment with result {other:?}"))),
            };
            let (order, amount) = (row.get::<&str>("order_id")?.to_owned(), row.number("amount")?);
            till.known
                .insert(row.get::<&str>("payment_id")?.to_owned(), (order, amount, refund));
        }
        Ok(till)
    }

    /// Decides on the payment at place `ix`, and puts down what has to be written.
    fn take(&self, till: &mut Till, ix: usize, payment: &Payment) -> PaymentOutcome {
        use PaymentOutcome::{Paid, RefundDue, Refused};
        if !sound(&payment.id) {
            return Refused(PaymentRefusal::Id);
        }
        let ticket = self.sale.ticket_of(&payment.order_id);
        let Some(order) = ticket.and_then(|ticket| till.orders.get_mut(&ticket)) else {
            return Refused(PaymentRefusal::UnknownOrder);
        };
        let (shard, ticket) = (order.shard, order.ticket);
        let answer = |refund, again| {
            let recorded = Recorded { shard, ticket, again };
            if refund {
                RefundDue(recorded)
            } else {
                Paid(recorded)
            }
        };
        let right_currency = *payment.currency == *self.sale.currency;
        if let Some((order_id, amount, refund)) = till.known.get(&payment.id) {
            let same = *order_id == payment.order_id && *amount == payment.amount && right_currency;
            return if same {
                answer(*refund, true)
            } else {
                Refused(PaymentRefusal::IdReused)
            };
        }
        if !right_currency {
            return Refused(PaymentRefusal::Currency);
        }
        if payment.amount != order.amount {
            let expected = order.amount;
            return Refused(PaymentRefusal::Amount { expected });
        }
        let Ok((next, effects)) = step(order.state, OrderEvent::Pay { again: false }) else {
            return Refused(PaymentRefusal::NotMade);
        };
        let refund = effects.contains(&OrderEffect::RefundDue);
        let outcome = answer(refund, false);
        let (Paid(recorded) | RefundDue(recorded)) = outcome else {
            return outcome;
        };
        till.new.push((ix, recorded, refund));
        let known = (payment.order_id.clone(), payment.amount, refund);
        till.known.insert(payment.id.clone(), known);
        if next == State::Paid && order.state != State::Paid {
            till.paid.push((recorded, payment.at));
            (order.state, order.paid_at) = (next, Some(payment.at));
        }
        till.messages
            .extend(self.payment_messages(payment, order, refund));
        outcome
    }

    /// Writes what was decided; `false` if somebody else has recorded one of the payments meanwhile.
    async fn record(&self, tx: &mut Tx, payments: &[Payment], till: &Till) -> Result<bool> {
        let insert = &self.statements.insert_payments;
        let inserted = insert.run(tx, &till.new, |row, (ix, recorded, refund)| {
            let payment = &payments[*ix];
            row.add(&payment.id);
            row.add(i64::from(recorded.shard.0));
            row.add(i64::from(recorded.ticket.made.0));
            row.add(int(recorded.ticket.n));
            row.add(&payment.order_id);
            row.add(int(payment.amount));
            row.add(if *refund { "refund_due" } else { "accepted" });
            row.add(int(payment.at));
        });
        if inserted.await.map_err(|e| self.failed(&e))? != till.new.len() as u64 {
            return Ok(false);
        }
        let paid = self.statements.pay.run(tx, &till.paid, |row, (recorded, at)| {
            row.add(i64::from(recorded.shard.0));
            row.add(i64::from(recorded.ticket.made.0));
            row.add(int(recorded.ticket.n));
            row.add(int(*at));
        });
        if paid.await.map_err(|e| self.failed(&e))? != till.paid.len() as u64 {
            return Err(self.broken("an order changed while it was locked"));
        }
        self.insert_messages(tx, &till.messages).await?;
        Ok(true)
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
}

/// Whether a payment's id can be kept.
fn sound(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.contains('\0')
}
