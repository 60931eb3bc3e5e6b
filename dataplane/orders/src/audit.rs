//! What the books say: totals, and everything row by row. These read whole tables: for the audit and for
//! starts, not for every second.

use crate::codec::{int, state_of, units_text};
use crate::db::{DbRow, On, Tx};
use crate::error::Result;
use crate::messages::Message;
use crate::poison::Poison;
use crate::query::{Query, query};
use crate::row::Columns;
use crate::store::Store;
use flashsale_core::event::{Change, Event, TicketNo};
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::order::State;

/// Orders, their units and their money.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// How many orders.
    pub orders: u64,
    /// How many units.
    pub units: u64,
    /// How much money, in minor units.
    pub amount: u64,
}

/// One item's totals by state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ItemTotals {
    /// Waiting for their order.
    pub reserved: Sum,
    /// Waiting for payment.
    pub pending: Sum,
    /// Paid.
    pub paid: Sum,
    /// Closed, for any reason.
    pub closed: Sum,
    /// Units that the live-unit index holds: reserved, pending, paid, and closed but not released yet.
    pub live_units: u64,
}

/// All totals at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Totals {
    /// By item's index.
    pub items: Vec<ItemTotals>,
    /// Payments accepted: how many, and how much.
    pub accepted: (u64, u64),
    /// Payments to be given back: how many, and how much.
    pub refund_due: (u64, u64),
    /// Releases that aren't applied yet.
    pub releases: u64,
    /// Dead events.
    pub dead_events: u64,
}

/// One payment, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRow {
    /// The provider's id for it.
    pub id: Box<str>,
    /// The order's shard.
    pub shard: ShardId,
    /// The order's reservation.
    pub ticket: TicketNo,
    /// For which order.
    pub order_id: Box<str>,
    /// How much, in minor units.
    pub amount: u64,
    /// Whether it has to be given back.
    pub refund_due: bool,
    /// When it was reported.
    pub at: Millis,
}

/// An event that was counted and could not be applied. Its units stay locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEvent {
    /// Of which shard.
    pub shard: ShardId,
    /// The event.
    pub event: TicketNo,
    /// Of which item, if it concerns one.
    pub item: Option<ItemIx>,
    /// Which units are quarantined.
    pub units: Option<Box<str>>,
    /// The event as JSON.
    pub json: Box<str>,
    /// Why.
    pub reason: Box<str>,
}

impl Store {
    /// All totals as of one moment.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn totals(&self) -> Result<Totals> {
        let mut tx = self.readers.begin_snapshot().await.map_err(|e| self.failed(&e))?;
        let mut totals = Totals {
            items: vec![ItemTotals::default(); self.sale.items.len()],
            ..Totals::default()
        };
        let by_state = "SELECT item, state, max(reason) AS reason, count(*) AS orders, \
             CAST(sum(quantity) AS BIGINT) AS units, CAST(sum(amount) AS BIGINT) AS amount \
             FROM orders WHERE sale = $1 GROUP BY item, state";
        for row in self.all(&mut tx, by_state).await? {
            let row = Columns(&row, &self.place);
            let item: u16 = row.number("item")?;
            // An impossible item's reservation is closed and in the dead events.
            let Some(item) = totals.items.get_mut(usize::from(item)) else {
                continue;
            };
            let (state, reason): (&str, Option<&str>) = (row.get("state")?, row.get("reason")?);
            let slot = match state_of(state, reason) {
                Some(State::Reserved) => &mut item.reserved,
                Some(State::Pending) => &mut item.pending,
                Some(State::Paid) => &mut item.paid,
                Some(State::Closed(_)) => &mut item.closed,
                None => return Err(self.corrupt(&format!("an order in state {state:?}"))),
            };
            *slot = Sum {
                orders: row.number("orders")?,
                units: row.number("units")?,
                amount: row.number("amount")?,
            };
        }
        let live = "SELECT item, count(*) AS units FROM live_units WHERE sale = $1 GROUP BY item";
        for row in self.all(&mut tx, live).await? {
            let row = Columns(&row, &self.place);
            if let Some(item) = totals.items.get_mut(row.number::<usize>("item")?) {
                item.live_units = row.number("units")?;
            }
        }
        let money = "SELECT result, count(*) AS payments, CAST(sum(amount) AS BIGINT) AS amount \
             FROM payments WHERE sale = $1 GROUP BY result";
        for row in self.all(&mut tx, money).await? {
            let row = Columns(&row, &self.place);
            let sum = (row.number("payments")?, row.number("amount")?);
            match row.get("result")? {
                "accepted" => totals.accepted = sum,
                _ => totals.refund_due = sum,
            }
        }
        let rest = "SELECT (SELECT count(*) FROM releases WHERE sale = $1) AS releases, \
             (SELECT count(*) FROM dead_events WHERE sale = $1) AS dead";
        for row in self.all(&mut tx, rest).await? {
            let row = Columns(&row, &self.place);
            (totals.releases, totals.dead_events) = (row.number("releases")?, row.number("dead")?);
        }
        tx.rollback().await.map_err(|e| self.failed(&e))?;
        Ok(totals)
    }

    /// All payments, by id.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn payments(&self, mut each: impl FnMut(PaymentRow)) -> Result<()> {
        self.every(
            "SELECT * FROM payments WHERE sale = $1 ORDER BY payment_id",
            |row| {
                let (shard, ticket) = row.ticket()?;
                each(PaymentRow {
                    id: row.get::<&str>("payment_id")?.into(),
                    shard,
                    ticket,
                    order_id: row.get::<&str>("order_id")?.into(),
                    amount: row.number("amount")?,
                    refund_due: row.get::<&str>("result")? == "refund_due",
                    at: row.number("at")?,
                });
                Ok(())
            },
        )
        .await
    }

    /// All messages, by number.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn messages(&self, mut each: impl FnMut(Message)) -> Result<()> {
        self.every("SELECT * FROM messages WHERE sale = $1 ORDER BY id", |row| {
            each(self.message(row.0)?);
            Ok(())
        })
        .await
    }

    /// Which ticket holds each live unit, by shard, item and unit.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn live_units(
        &self,
        mut each: impl FnMut(ShardId, ItemIx, u32, TicketNo),
    ) -> Result<()> {
        self.every(
            "SELECT * FROM live_units WHERE sale = $1 ORDER BY shard, item, unit",
            |row| {
                let (shard, ticket) = row.ticket()?;
                each(shard, ItemIx(row.number("item")?), row.number("unit")?, ticket);
                Ok(())
            },
        )
        .await
    }

    /// All dead events, by shard and number.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn dead_events(&self) -> Result<Vec<DeadEvent>> {
        let mut dead = Vec::new();
        self.every(
            "SELECT * FROM dead_events WHERE sale = $1 ORDER BY shard, n, made",
            |row| {
                let (shard, event) = row.ticket()?;
                let item: Option<i64> = row.get("item")?;
                dead.push(DeadEvent {
                    shard,
                    event,
                    item: item.and_then(|i| i.try_into().ok()).map(ItemIx),
                    units: row.get::<Option<&str>>("units")?.map(Into::into),
                    json: row.get::<&str>("event")?.into(),
                    reason: row.get::<&str>("reason")?.into(),
                });
                Ok(())
            },
        )
        .await?;
        Ok(dead)
    }

    pub(crate) async fn insert_dead(
        &self,
        tx: &mut Tx,
        shard: ShardId,
        event: &Event,
        poison: Poison,
    ) -> Result<()> {
        let (item, units) = match &event.change {
            Change::Reserved(r) => (Some(i64::from(r.item.0)), Some(units_text(&r.units))),
            _ => (None, None),
        };
        let json = serde_json::to_string(event).unwrap_or_else(|e| format!("\"{e}\""));
        query(
            "INSERT INTO dead_events (sale, shard, made, n, item, units, event, reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (sale, shard, made, n) DO NOTHING",
        )
        .bind(self.id)
        .bind(i64::from(shard.0))
        .bind(i64::from(event.made.0))
        .bind(int(event.n))
        .bind(item)
        .bind(units)
        .bind(json)
        .bind(poison.to_string())
        .execute(tx)
        .await
        .map(|_| ())
        .map_err(|e| self.failed(&e))
    }

    async fn all(&self, tx: &mut Tx, sql: &'static str) -> Result<Vec<DbRow>> {
        query(sql)
            .bind(self.id)
            .fetch_all(tx)
            .await
            .map_err(|e| self.failed(&e))
    }

    /// Gives each row of the answer to `each` as it comes; stops at the first failure.
    pub(crate) async fn each_row(
        &self,
        on: impl Into<On<'_>>,
        query: Query<'_>,
        mut each: impl FnMut(Columns<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut refused = None;
        let read = query.for_each(on, |row| {
            refused = each(Columns(&row, &self.place)).err();
            refused.is_none()
        });
        read.await.map_err(|e| self.failed(&e))?;
        refused.map_or(Ok(()), Err)
    }

    async fn every(&self, sql: &str, each: impl FnMut(Columns<'_>) -> Result<()>) -> Result<()> {
        self.each_row(&self.readers, query(sql).bind(self.id), each).await
    }
}
