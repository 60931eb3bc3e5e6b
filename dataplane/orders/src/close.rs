//! Orders end unpaid: by their deadline, by the buyer, or because they waited too long. The units are free
//! again only when the shard's owner has made `Released` of the release message, and that is applied.

use crate::codec::{int, money};
use crate::db::Tx;
use crate::error::Result;
use crate::messages::{Kind, NewMessage};
use crate::query::query;
use crate::row::{Columns, OrderRow};
use crate::statements::ORDER_COLUMNS;
use crate::store::Store;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Millis, ShardId};
use flashsale_core::order::{OrderEvent, State, step};

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

impl Store {
    /// Closes up to `limit` orders whose payment deadline is `now` or before, the oldest deadline first.
    /// Returns them as they are now. Call it again at once if it returns `limit`.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub(crate) async fn expire(&self, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.sweep(
            "state = 'pending' AND expires_at <= $2 ORDER BY expires_at",
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
    pub(crate) async fn close_backlog(
        &self,
        before: Millis,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<OrderRow>> {
        self.sweep(
            "state = 'reserved' AND reserved_at < $2 ORDER BY reserved_at",
            ReleaseReason::Backlog,
            (now, before),
            limit,
        )
        .await
    }

    /// Closes up to `limit` orders that aren't paid, whether they are made or not, the oldest first: the sale is called
    /// off. Returns them as they are now.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub(crate) async fn close_unpaid(&self, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.sweep(
            "state IN ('reserved', 'pending') AND reserved_at <= $2 ORDER BY reserved_at",
            ReleaseReason::Cancelled,
            (now, i64::MAX as u64),
            limit,
        )
        .await
    }

    /// Closes an order because its buyer wants it.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub(crate) async fn cancel(&self, shard: ShardId, ticket: TicketNo, now: Millis) -> Result<Cancelled> {
        let mut tx = self.begin().await?;
        let Some(order) = self.lock_order(&mut tx, shard, ticket).await? else {
            return Ok(Cancelled::Unknown);
        };
        match step(order.state, OrderEvent::Close(ReleaseReason::Cancelled)) {
            Err(_) => {
                self.let_go(tx).await;
                Ok(Cancelled::Paid)
            }
            Ok((State::Closed(reason), effects)) => {
                if effects.is_empty() {
                    self.let_go(tx).await;
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

    /// Closes the orders that `which` says: what [`step`] says for each. Those that somebody else is about to
    /// change are left for the next time.
    async fn sweep(
        &self,
        which: &str,
        reason: ReleaseReason,
        (now, until): (Millis, Millis),
        limit: u32,
    ) -> Result<Vec<OrderRow>> {
        let lock = self.dialect.for_update_of_free();
        let sql = format!("SELECT {ORDER_COLUMNS} FROM orders WHERE sale = $1 AND {which} LIMIT $3{lock}");
        let mut tx = self.begin().await?;
        let rows = query(sql)
            .bind(self.id)
            .bind(int(until))
            .bind(i64::from(limit))
            .fetch_all(&mut tx)
            .await
            .map_err(|e| self.failed(&e))?;
        let mut closed: Vec<OrderRow> = rows
            .iter()
            .map(|row| Columns(row, &self.place).order())
            .collect::<Result<_>>()?;
        if closed.is_empty() {
            return Ok(closed);
        }
        self.close_rows(&mut tx, &closed, reason, now).await?;
        self.after_close(&mut tx, &closed, reason, now).await?;
        self.commit(tx).await?;
        for order in &mut closed {
            (order.state, order.closed_at) = (State::Closed(reason), Some(now));
        }
        Ok(closed)
    }

    /// Reads an order and keeps others from changing it until the transaction ends.
    pub(crate) async fn lock_order(
        &self,
        tx: &mut Tx,
        shard: ShardId,
        ticket: TicketNo,
    ) -> Result<Option<OrderRow>> {
        Ok(self.orders_of(tx, &[(shard, ticket)]).await?.pop())
    }

    /// The orders under these tickets, as far as there are any; others can't change them until the transaction
    /// ends.
    pub(crate) async fn orders_of(
        &self,
        tx: &mut Tx,
        tickets: &[(ShardId, TicketNo)],
    ) -> Result<Vec<OrderRow>> {
        let rows = self
            .statements
            .lock_orders
            .fetch(tx, tickets, |row, (shard, ticket)| {
                row.add(i64::from(shard.0));
                row.add(i64::from(ticket.made.0));
                row.add(int(ticket.n));
            })
            .await
            .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| Columns(row, &self.place).order()).collect()
    }

    /// Writes the closing of orders that this transaction has locked.
    pub(crate) async fn close_rows(
        &self,
        tx: &mut Tx,
        orders: &[OrderRow],
        reason: ReleaseReason,
        now: Millis,
    ) -> Result<()> {
        let close = &self.statements.close;
        let closed = close.run(tx, orders, |row, order| {
            row.add(i64::from(order.shard.0));
            row.add(i64::from(order.ticket.made.0));
            row.add(int(order.ticket.n));
            row.add(reason.word());
            row.add(int(now));
        });
        if closed.await.map_err(|e| self.failed(&e))? != orders.len() as u64 {
            return Err(self.broken("an order changed while it was locked"));
        }
        Ok(())
    }

    /// Writes one order's closing.
    pub(crate) async fn close_row(
        &self,
        tx: &mut Tx,
        order: &OrderRow,
        reason: ReleaseReason,
        now: Millis,
    ) -> Result<()> {
        self.close_rows(tx, std::slice::from_ref(order), reason, now)
            .await
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
