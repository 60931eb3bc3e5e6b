//! Reservations become orders when their turn has come.

use crate::codec::{int, money};
use crate::db::Tx;
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::row::{OrderRow, Waiting};
use crate::store::Store;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::order::State;
use rustc_hash::FxHashSet;

/// An order that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its shard.
    pub shard: ShardId,
    /// Its reservation.
    pub ticket: TicketNo,
    /// Under which id the shop knows it.
    pub order_id: String,
    /// What.
    pub item: ItemIx,
    /// How many units.
    pub quantity: u32,
    /// Its place in its item's line.
    pub place: u32,
    /// Until when it can be paid.
    pub expires_at: Millis,
}

impl Store {
    /// Makes orders of these reservations, to be paid within `payment_timeout` milliseconds from `now`, and
    /// writes the handover messages. Returns those that were made, in the same order: what is missing was
    /// closed before, or made before.
    ///
    /// # Errors
    /// The database can't be written; nothing is made.
    pub(crate) async fn make(
        &self,
        waiting: &[Waiting],
        now: Millis,
        payment_timeout: Millis,
    ) -> Result<Vec<Made>> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let until = now.saturating_add(payment_timeout);
        // Locked in the order of their tickets, so that nobody who does the same is waited for in a circle.
        let mut sorted = waiting.to_vec();
        sorted.sort_unstable_by_key(|w| (w.shard, w.ticket));
        let mut tx = self.begin().await?;
        if self.make_rows(&mut tx, &sorted, now, until).await? == waiting.len() as u64 {
            return self.finish_make(tx, waiting, now, until).await;
        }
        // Some don't wait any more. Which is read first, and then exactly the others are made.
        tx.rollback().await.map_err(|e| self.failed(&e))?;
        let mut tx = self.begin().await?;
        let rows = self.orders_of(&mut tx, &tickets(waiting)).await?;
        let mut reserved: FxHashSet<(ShardId, TicketNo)> = rows
            .iter()
            .filter(|row| row.state == State::Reserved)
            .map(|row| (row.shard, row.ticket))
            .collect();
        let left: Vec<Waiting> = waiting
            .iter()
            .filter(|w| reserved.remove(&(w.shard, w.ticket)))
            .copied()
            .collect();
        if self.make_rows(&mut tx, &left, now, until).await? != left.len() as u64 {
            return Err(self.broken("reservations changed while they were locked"));
        }
        self.finish_make(tx, &left, now, until).await
    }

    async fn make_rows(&self, tx: &mut Tx, waiting: &[Waiting], now: Millis, until: Millis) -> Result<u64> {
        let make = &self.statements.make;
        make.run(tx, waiting, |row, waiting| {
            row.add(i64::from(waiting.shard.0));
            row.add(i64::from(waiting.ticket.made.0));
            row.add(int(waiting.ticket.n));
            row.add(int(now));
            row.add(int(until));
        })
        .await
        .map_err(|e| self.failed(&e))
    }

    async fn finish_make(
        &self,
        mut tx: Tx,
        waiting: &[Waiting],
        now: Millis,
        until: Millis,
    ) -> Result<Vec<Made>> {
        if !self.sale.routes.handover.is_empty() {
            let orders = self.orders_of(&mut tx, &tickets(waiting)).await?;
            let targets = &self.sale.routes.handover;
            let each = orders
                .iter()
                .flat_map(|order| targets.iter().map(move |target| (order, target)));
            let messages: Vec<NewMessage> = each
                .map(|(order, target)| self.handover(target, order, now, until))
                .collect();
            self.insert_messages(&mut tx, &messages).await?;
        }
        self.commit(tx).await?;
        let made = |w: &Waiting| Made {
            shard: w.shard,
            ticket: w.ticket,
            order_id: self.sale.order_id(w.shard, w.ticket),
            item: w.item,
            quantity: w.quantity,
            place: w.place,
            expires_at: until,
        };
        Ok(waiting.iter().map(made).collect())
    }

    fn handover(&self, target: &str, order: &OrderRow, now: Millis, until: Millis) -> NewMessage {
        let payload = serde_json::json!({
            "sale": self.sale.name, "namespace": self.sale.namespace,
            "orderId": self.sale.order_id(order.shard, order.ticket), "buyer": order.buyer,
            "item": self.item_id(order.item), "quantity": order.quantity,
            "amount": money(order.amount, self.sale.decimals), "currency": self.sale.currency,
            "payByMs": until,
        });
        NewMessage::new(Kind::Handover, target, &payload, now)
    }

    /// The id of an item, as in the sale.
    pub(crate) fn item_id(&self, item: ItemIx) -> &str {
        self.sale.items.get(item.ix()).map_or("", |i| &i.id)
    }
}

fn tickets(waiting: &[Waiting]) -> Vec<(ShardId, TicketNo)> {
    waiting.iter().map(|w| (w.shard, w.ticket)).collect()
}
