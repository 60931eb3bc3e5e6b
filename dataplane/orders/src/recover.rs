//! What a worker needs after a start, and what single calls ask for.

use crate::codec::int;
use crate::db::DbRow;
use crate::error::Result;
use crate::query::query;
use crate::row::{Columns, OrderRow, Waiting};
use crate::statements::ORDER_COLUMNS;
use crate::store::Store;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Millis, ShardId};
use flashsale_core::order::State;
use flashsale_core::row::Row;

/// What the database holds at one moment, beside the orders themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The shards' rows, in order.
    pub rows: Vec<(ShardId, Row)>,
    /// Reservations that wait for their order, by item, then by place.
    pub waiting: Vec<Waiting>,
    /// Units to be asked for again.
    pub releases: Vec<Release>,
}

/// A release message: the shard's owner is to free a closed order's units. Sent until it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release {
    /// To the owner of which shard.
    pub shard: ShardId,
    /// Of which reservation.
    pub ticket: TicketNo,
    /// Why.
    pub reason: ReleaseReason,
    /// When it was decided.
    pub decided_at: Millis,
}

impl Store {
    /// Reads everything as of one moment: each order goes to `each`, by shard and number; the rest is returned.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn recover(&self, mut each: impl FnMut(OrderRow)) -> Result<Recovered> {
        // One transaction: what is committed meanwhile is not half seen.
        let mut tx = self.readers.begin_snapshot().await.map_err(|e| self.failed(&e))?;
        let rows = query("SELECT * FROM shards WHERE sale = $1 ORDER BY shard")
            .bind(self.id)
            .fetch_all(&mut tx)
            .await
            .map_err(|e| self.failed(&e))?;
        let rows = rows
            .iter()
            .map(|row| self.shard_row(row))
            .collect::<Result<_>>()?;
        let mut waiting = Vec::new();
        {
            let sql = format!("SELECT {ORDER_COLUMNS} FROM orders WHERE sale = $1 ORDER BY shard, made, n");
            let orders = query(sql).bind(self.id);
            let keep = |row: Columns<'_>| {
                let order = row.order()?;
                if order.state == State::Reserved {
                    waiting.push(order.waiting());
                }
                each(order);
                Ok(())
            };
            self.each_row(&mut tx, orders, keep).await?;
        }
        waiting.sort_by_key(|w| (w.item, w.place, w.at, w.shard, w.ticket));
        let releases = query("SELECT * FROM releases WHERE sale = $1 ORDER BY decided_at, shard, made, n")
            .bind(self.id)
            .fetch_all(&mut tx)
            .await
            .map_err(|e| self.failed(&e))?;
        let releases = releases
            .iter()
            .map(|row| self.release(row))
            .collect::<Result<_>>()?;
        tx.rollback().await.map_err(|e| self.failed(&e))?;
        Ok(Recovered {
            rows,
            waiting,
            releases,
        })
    }

    /// Up to `limit` releases that aren't applied yet, the oldest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn releases(&self, limit: u32) -> Result<Vec<Release>> {
        let rows =
            query("SELECT * FROM releases WHERE sale = $1 ORDER BY decided_at, shard, made, n LIMIT $2")
                .bind(self.id)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| self.release(row)).collect()
    }

    /// One order.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn order(&self, shard: ShardId, ticket: TicketNo) -> Result<Option<OrderRow>> {
        let sql = format!(
            "SELECT {ORDER_COLUMNS} FROM orders WHERE sale = $1 AND shard = $2 AND made = $3 AND n = $4"
        );
        let row = query(sql)
            .bind(self.id)
            .bind(i64::from(shard.0))
            .bind(i64::from(ticket.made.0))
            .bind(int(ticket.n))
            .fetch_optional(&self.readers)
            .await
            .map_err(|e| self.failed(&e))?;
        row.map(|row| Columns(&row, &self.place).order()).transpose()
    }

    fn release(&self, row: &DbRow) -> Result<Release> {
        let row = Columns(row, &self.place);
        let (shard, ticket) = row.ticket()?;
        let reason: &str = row.get("reason")?;
        Ok(Release {
            shard,
            ticket,
            reason: ReleaseReason::from_word(reason)
                .ok_or_else(|| self.corrupt(&format!("a release with reason {reason:?}")))?,
            decided_at: row.number("decided_at")?,
        })
    }
}
