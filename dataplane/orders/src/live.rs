//! The index of live units: which ticket holds a unit. A second holder is an oversell.

use crate::codec::int;
use crate::error::Result;
use crate::poison::Poison;
use crate::row::OrderRow;
use crate::writing::{NewOrder, Writing};
use flashsale_core::event::{ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{ItemIx, ShardId};
use flashsale_core::order::State;
use flashsale_core::units::UnitRange;
use rustc_hash::FxHashMap;

/// One unit and the ticket that holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveUnit {
    shard: ShardId,
    item: ItemIx,
    unit: u32,
    ticket: TicketNo,
}

impl LiveUnit {
    /// Which unit it is, whoever holds it.
    pub(crate) fn place(self) -> (ShardId, u16, u32) {
        (self.shard, self.item.0, self.unit)
    }

    /// The units of an order.
    pub(crate) fn of(order: &OrderRow) -> impl Iterator<Item = Self> {
        each(order.shard, order.item, order.ticket, &order.units)
    }
}

/// The units of a reservation.
pub(crate) fn live_units(
    shard: ShardId,
    ticket: TicketNo,
    reservation: &Reservation,
) -> impl Iterator<Item = LiveUnit> {
    each(shard, reservation.item, ticket, &reservation.units)
}

fn each(
    shard: ShardId,
    item: ItemIx,
    ticket: TicketNo,
    units: &[UnitRange],
) -> impl Iterator<Item = LiveUnit> {
    let numbers = units.iter().flat_map(|range| range.iter());
    numbers.map(move |unit| LiveUnit {
        shard,
        item,
        unit,
        ticket,
    })
}

impl Writing<'_, '_> {
    /// Enters units that nobody holds; how many were entered.
    pub(crate) async fn insert_live(&mut self, units: &[LiveUnit]) -> Result<u64> {
        let insert = &self.orders.statements.insert_live;
        insert
            .run(self.tx, units, |row, unit| add(row, *unit))
            .await
            .map_err(|e| self.orders.failed(&e))
    }

    /// Removes units that these very tickets hold; how many were removed.
    pub(crate) async fn delete_live(&mut self, units: &[LiveUnit]) -> Result<u64> {
        let delete = &self.orders.statements.delete_live;
        delete
            .run(self.tx, units, |row, unit| add(row, *unit))
            .await
            .map_err(|e| self.orders.failed(&e))
    }

    /// Not everything of a bulk insert went in: undoes what did and takes each order by itself, in order,
    /// so that exactly the ones that can't be applied are refused.
    pub(crate) async fn one_by_one(&mut self, inserts: &[NewOrder<'_>]) -> Result<()> {
        let tickets: Vec<_> = inserts.iter().map(|o| (o.shard, o.event.ticket())).collect();
        let rows = self.orders.orders_of(self.tx, &tickets).await?;
        let rows: FxHashMap<_, _> = rows.iter().map(|r| ((r.shard, r.ticket), r)).collect();
        let is_own = |o: &NewOrder<'_>| {
            rows.get(&(o.shard, o.event.ticket())).is_some_and(|row| {
                let r = o.reservation;
                row.state == State::Reserved
                    && (&row.buyer, row.item, &row.units) == (&r.buyer_id, r.item, &r.units)
            })
        };
        let (own, taken): (Vec<_>, Vec<_>) = inserts.iter().copied().partition(is_own);
        for order in taken {
            self.bury(order.shard, order.event, Poison::Taken).await?;
        }
        let units_of = |o: &NewOrder<'_>| live_units(o.shard, o.event.ticket(), o.reservation).collect();
        let all: Vec<LiveUnit> = own
            .iter()
            .flat_map(|o| -> Vec<LiveUnit> { units_of(o) })
            .collect();
        self.delete_live(&all).await?;
        for order in own {
            let units: Vec<LiveUnit> = units_of(&order);
            if self.insert_live(&units).await? == units.len() as u64 {
                self.done.reserved.push(order.waiting());
                continue;
            }
            self.delete_live(&units).await?;
            let row = rows[&(order.shard, order.event.ticket())];
            self.orders
                .close_row(self.tx, row, ReleaseReason::Refused, order.reservation.at)
                .await?;
            self.bury(order.shard, order.event, Poison::Oversell).await?;
        }
        Ok(())
    }
}

fn add(row: &mut crate::bulk::Row, unit: LiveUnit) {
    row.add(i64::from(unit.shard.0));
    row.add(i64::from(unit.item.0));
    row.add(i64::from(unit.unit));
    row.add(i64::from(unit.ticket.made.0));
    row.add(int(unit.ticket.n));
}
