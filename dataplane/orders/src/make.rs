//! Reservations become orders when their turn has come.

use crate::codec::{int, money};
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::orders::Orders;
use crate::row::Columns;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};

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
    /// What it costs, in minor units.
    pub amount: u64,
    /// Until when it can be paid.
    pub expires_at: Millis,
}

impl Orders {
    /// Makes orders of these reservations, to be paid within `payment_timeout` milliseconds from `now`, and
    /// writes the handover messages. Returns those that were made: what is missing was closed before, or
    /// made before.
    ///
    /// # Errors
    /// The database can't be written; nothing is made.
    pub async fn make(
        &self,
        reservations: &[(ShardId, TicketNo)],
        now: Millis,
        payment_timeout: Millis,
    ) -> Result<Vec<Made>> {
        let expires_at = now.saturating_add(payment_timeout);
        let mut tx = self.begin().await?;
        let rows = self
            .statements
            .make
            .fetch(&mut tx, reservations, |row, &(shard, ticket)| {
                row.add(i64::from(shard.0));
                row.add(i64::from(ticket.made.0));
                row.add(int(ticket.n));
                row.add(self.order_id(shard, ticket));
                row.add(int(now));
                row.add(int(expires_at));
            })
            .await
            .map_err(|e| self.failed(&e))?;
        let mut made = Vec::with_capacity(rows.len());
        let mut messages = Vec::new();
        for row in &rows {
            let row = Columns(row, self);
            let (shard, ticket) = row.ticket()?;
            let order = Made {
                shard,
                ticket,
                order_id: self.order_id(shard, ticket),
                item: ItemIx(row.number("item")?),
                quantity: row.number("quantity")?,
                amount: row.number("amount")?,
                expires_at,
            };
            for target in &self.sale.routes.handover {
                let buyer = row.get("buyer")?;
                messages.push(self.handover(target, &order, buyer, row.get("units")?, now));
            }
            made.push(order);
        }
        self.insert_messages(&mut tx, &messages).await?;
        self.commit(tx).await?;
        Ok(made)
    }

    fn handover(&self, target: &str, order: &Made, buyer: &str, units: &str, now: Millis) -> NewMessage {
        let payload = serde_json::json!({
            "sale": self.sale.name, "namespace": self.sale.namespace,
            "orderId": order.order_id, "buyer": buyer,
            "item": self.item_id(order.item), "quantity": order.quantity,
            "shard": order.shard.0, "units": units,
            "amount": money(order.amount, self.sale.decimals), "currency": self.sale.currency,
            "payByMs": order.expires_at,
        });
        NewMessage::new(Kind::Handover, target, &payload, now)
    }

    /// The id of an item, as in the sale.
    pub(crate) fn item_id(&self, item: ItemIx) -> &str {
        self.sale.items.get(item.ix()).map_or("", |i| &i.id)
    }
}
