//! Orders end unpaid: by their deadline, by the buyer, or because they waited too long. The units are free
//! again only when the shard's owner has made `Released` of the release message, and that is applied.

use crate::codec::{int, money, state_words};
use crate::db::{Conn, FOR_UPDATE, Tx};
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::orders::Orders;
use crate::row::{Columns, OrderRow};
use crate::statements::ORDER_COLUMNS;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Millis, ShardId};
use flashsale_core::order::{OrderEvent, State, step};
use sqlx::AssertSqlSafe;

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The order is closed, by this call or before.
    Closed {
        /// Why it was closed.
        reason: ReleaseReason,
        /// Whether it was closed before: this call changed nothing.
        again: bool,
    },
    /// The order is paid: it stays.
    Paid,
    /// There is no such order.
    Unknown,
}

impl Orders {
    /// Closes up to `limit` orders whose payment deadline is `now` or before, the oldest deadline first.
    /// Returns them as they are now. Call it again at once if it returns `limit`.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub async fn expire(&self, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.sweep(
            "state = 'pending' AND expires_at <= $4",
            "expires_at",
            ReleaseReason::Unpaid,
            (now, now),
            limit,
        )
        .await
    }

    /// Closes up to `limit` reservations that were made before `before` and still wait for their order,
    /// the oldest first. Returns them as they are now.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub async fn close_backlog(&self, before: Millis, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.sweep(
            "state = 'reserved' AND reserved_at < $4",
            "reserved_at",
            ReleaseReason::Backlog,
            (now, before),
            limit,
        )
        .await
    }

    /// Closes an order because its buyer wants it.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub async fn cancel(&self, shard: ShardId, ticket: TicketNo, now: Millis) -> Result<Cancelled> {
        let mut tx = self.begin().await?;
        let Some(order) = self.lock_order(&mut tx, shard, ticket).await? else {
            return Ok(Cancelled::Unknown);
        };
        match step(order.state, OrderEvent::Close(ReleaseReason::Cancelled)) {
            Err(_) => Ok(Cancelled::Paid),
            Ok((State::Closed(reason), effects)) => {
                if effects.is_empty() {
                    return Ok(Cancelled::Closed { reason, again: true });
                }
                self.close_row(&mut tx, &order, reason, now).await?;
                self.after_close(&mut tx, std::slice::from_ref(&order), reason, now)
                    .await?;
                self.commit(tx).await?;
                Ok(Cancelled::Closed { reason, again: false })
            }
            Ok((other, _)) => Err(self.broken(&format!("closing an order led to {other:?}"))),
        }
    }

    /// Closes all orders that `which` says, by one conditional update: what [`step`] says for each.
    async fn sweep(
        &self,
        which: &str,
        oldest: &str,
        reason: ReleaseReason,
        (now, until): (Millis, Millis),
        limit: u32,
    ) -> Result<Vec<OrderRow>> {
        let sql = format!(
            "UPDATE orders SET state = 'closed', reason = $1, closed_at = $2 \
             WHERE (sale, shard, made, n) IN (SELECT sale, shard, made, n FROM orders \
             WHERE sale = $3 AND {which} ORDER BY {oldest} LIMIT $5{FOR_UPDATE}) \
             RETURNING {ORDER_COLUMNS}"
        );
        let mut tx = self.begin().await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(reason.word())
            .bind(int(now))
            .bind(self.id)
            .bind(int(until))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await
            .map_err(|e| self.failed(&e))?;
        let closed: Vec<OrderRow> = rows
            .iter()
            .map(|row| Columns(row, self).order())
            .collect::<Result<_>>()?;
        if closed.is_empty() {
            return Ok(closed);
        }
        self.after_close(&mut tx, &closed, reason, now).await?;
        self.commit(tx).await?;
        Ok(closed)
    }

    /// Reads an order and keeps others from changing it until the transaction ends.
    pub(crate) async fn lock_order(
        &self,
        on: &mut Conn,
        shard: ShardId,
        ticket: TicketNo,
    ) -> Result<Option<OrderRow>> {
        let sql = format!(
            "SELECT {ORDER_COLUMNS} FROM orders WHERE sale = $1 AND shard = $2 AND made = $3 AND n = $4{FOR_UPDATE}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.id)
            .bind(i64::from(shard.0))
            .bind(i64::from(ticket.made.0))
            .bind(int(ticket.n))
            .fetch_optional(on)
            .await
            .map_err(|e| self.failed(&e))?;
        row.map(|row| Columns(&row, self).order()).transpose()
    }

    /// The orders under these tickets, as far as there are any.
    pub(crate) async fn orders_of(
        &self,
        tx: &mut Tx,
        tickets: &[(ShardId, TicketNo)],
    ) -> Result<Vec<OrderRow>> {
        let rows = self
            .statements
            .select_orders
            .fetch(tx, tickets, |row, (shard, ticket)| {
                row.add(i64::from(shard.0));
                row.add(i64::from(ticket.made.0));
                row.add(int(ticket.n));
            })
            .await
            .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| Columns(row, self).order()).collect()
    }

    /// Writes one order's closing.
    pub(crate) async fn close_row(
        &self,
        on: &mut Conn,
        order: &OrderRow,
        reason: ReleaseReason,
        now: Millis,
    ) -> Result<()> {
        let (before, _) = state_words(order.state);
        let updated = sqlx::query(
            "UPDATE orders SET state = 'closed', reason = $1, closed_at = $2 \
             WHERE sale = $3 AND shard = $4 AND made = $5 AND n = $6 AND state = $7",
        )
        .bind(reason.word())
        .bind(int(now))
        .bind(self.id)
        .bind(i64::from(order.shard.0))
        .bind(i64::from(order.ticket.made.0))
        .bind(int(order.ticket.n))
        .bind(before)
        .execute(on)
        .await
        .map_err(|e| self.failed(&e))?;
        if updated.rows_affected() != 1 {
            return Err(self.broken("an order changed while it was locked"));
        }
        Ok(())
    }

    /// Closes an order that the log has released already: there is no release to ask for.
    pub(crate) async fn close_applied(
        &self,
        tx: &mut Tx,
        order: &OrderRow,
        reason: ReleaseReason,
    ) -> Result<()> {
        let at = order.ordered_at.unwrap_or(order.reserved_at);
        self.close_row(tx, order, reason, at).await?;
        let messages = self.closed_messages(std::slice::from_ref(order), reason, at);
        self.insert_messages(tx, &messages).await
    }

    /// Asks the shards' owners for the units, and tells whom it concerns.
    async fn after_close(
        &self,
        tx: &mut Tx,
        orders: &[OrderRow],
        reason: ReleaseReason,
        now: Millis,
    ) -> Result<()> {
        self.statements
            .insert_releases
            .run(tx, orders, |row, order| {
                row.add(i64::from(order.shard.0));
                row.add(i64::from(order.ticket.made.0));
                row.add(int(order.ticket.n));
                row.add(reason.word());
                row.add(int(now));
            })
            .await
            .map_err(|e| self.failed(&e))?;
        let messages = self.closed_messages(orders, reason, now);
        self.insert_messages(tx, &messages).await
    }

    /// The shop is told of an order's end if it was told of its beginning.
    fn closed_messages(&self, orders: &[OrderRow], reason: ReleaseReason, now: Millis) -> Vec<NewMessage> {
        let mut messages = Vec::new();
        for order in orders {
            let Some(order_id) = &order.order_id else { continue };
            for target in &self.sale.routes.closed {
                let payload = serde_json::json!({
                    "sale": self.sale.name, "namespace": self.sale.namespace,
                    "orderId": order_id, "buyer": order.buyer,
                    "item": self.item_id(order.item), "quantity": order.quantity,
                    "amount": money(order.amount, self.sale.decimals), "currency": self.sale.currency,
                    "reason": reason.word(),
                });
                messages.push(NewMessage::new(Kind::Closed, target, &payload, now));
            }
        }
        messages
    }
}
