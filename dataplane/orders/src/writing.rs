//! Collects what a batch of events means and writes it in few statements, with the outcome that writing the
//! events one after the other would have.

use crate::codec::{int, state_words, units_text};
use crate::db::Tx;
use crate::error::Result;
use crate::live::{LiveUnit, live_units};
use crate::poison::{self, Poison};
use crate::row::{OrderRow, Waiting};
use crate::store::Store;
use flashsale_core::event::{Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::ShardId;
use flashsale_core::order::State;
use flashsale_core::units;
use rustc_hash::FxHashSet;

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) reserved: Vec<Waiting>,
    pub(crate) released: Vec<(ShardId, TicketNo)>,
    pub(crate) dead: Vec<(ShardId, TicketNo, Poison)>,
}

/// A reservation that is to become a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewOrder<'a> {
    pub(crate) shard: ShardId,
    pub(crate) event: &'a Event,
    pub(crate) reservation: &'a Reservation,
    pub(crate) amount: u64,
}

impl NewOrder<'_> {
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            shard: self.shard,
            ticket: self.event.ticket(),
            item: self.reservation.item,
            quantity: units::count(&self.reservation.units),
            place: self.reservation.place,
            at: self.reservation.at,
        }
    }
}

/// The writes of one batch. Frees come before reservations whenever both wait to be written, so whatever
/// must not be swapped is written before.
pub(crate) struct Writing<'w, 'a> {
    pub(crate) orders: &'w Store,
    pub(crate) tx: &'w mut Tx,
    pub(crate) done: Done,
    inserts: Vec<NewOrder<'a>>,
    frees: Vec<(ShardId, TicketNo)>,
    freed: Vec<LiveUnit>,
    /// Whether the batch releases anything: only then the set below is needed.
    watch: bool,
    inserts_units: FxHashSet<(ShardId, u16, u32)>,
}

impl<'w, 'a> Writing<'w, 'a> {
    pub(crate) fn new(orders: &'w Store, tx: &'w mut Tx, watch: bool) -> Self {
        Self {
            orders,
            tx,
            done: Done::default(),
            inserts: Vec::new(),
            frees: Vec::new(),
            freed: Vec::new(),
            watch,
            inserts_units: FxHashSet::default(),
        }
    }

    pub(crate) fn reserve(&mut self, order: NewOrder<'a>) {
        if self.watch {
            let units = live_units(order.shard, order.event.ticket(), order.reservation);
            self.inserts_units.extend(units.map(LiveUnit::place));
        }
        self.inserts.push(order);
    }

    /// Writes an impossible reservation as a closed order and a dead event.
    pub(crate) async fn refuse(
        &mut self,
        shard: ShardId,
        event: &Event,
        reservation: &Reservation,
        poison: Poison,
    ) -> Result<()> {
        let order = NewOrder {
            shard,
            event,
            reservation,
            amount: 0,
        };
        self.insert_orders(&[order], State::Closed(ReleaseReason::Refused))
            .await?;
        self.bury(shard, event, poison).await
    }

    pub(crate) async fn release(
        &mut self,
        shard: ShardId,
        event: &Event,
        (ticket, reason): (TicketNo, ReleaseReason),
        known: Option<&OrderRow>,
    ) -> Result<()> {
        let read;
        let order = match known {
            Some(order) => order,
            // Unknown when the batch began: it may have been reserved in this very batch.
            None => {
                self.flush().await?;
                read = self.orders.orders_of(self.tx, &[(shard, ticket)]).await?;
                match read.first() {
                    Some(order) => order,
                    None => return self.bury(shard, event, Poison::Unknown).await,
                }
            }
        };
        match order.state {
            State::Paid => return self.bury(shard, event, Poison::Paid).await,
            State::Closed(_) => {}
            // The log knows more than this database: it is being made again from the log.
            State::Reserved | State::Pending => self.orders.close_applied(self.tx, order, reason).await?,
        }
        let units: Vec<LiveUnit> = LiveUnit::of(order).collect();
        if units.iter().any(|u| self.inserts_units.contains(&u.place())) {
            self.flush().await?;
        }
        self.freed.extend(units);
        self.frees.push((shard, ticket));
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<Done> {
        self.flush().await?;
        Ok(self.done)
    }

    async fn flush(&mut self) -> Result<()> {
        self.flush_frees().await?;
        let inserts = std::mem::take(&mut self.inserts);
        self.inserts_units.clear();
        if inserts.is_empty() {
            return Ok(());
        }
        let units: Vec<LiveUnit> = inserts
            .iter()
            .flat_map(|o| live_units(o.shard, o.event.ticket(), o.reservation))
            .collect();
        let rows = self.insert_orders(&inserts, State::Reserved).await?;
        let live = self.insert_live(&units).await?;
        if (rows, live) == (inserts.len() as u64, units.len() as u64) {
            self.done.reserved.extend(inserts.iter().map(NewOrder::waiting));
            return Ok(());
        }
        self.one_by_one(&inserts).await
    }

    async fn flush_frees(&mut self) -> Result<()> {
        if self.frees.is_empty() {
            return Ok(());
        }
        let freed = std::mem::take(&mut self.freed);
        let deleted = self.delete_live(&freed).await?;
        let frees = std::mem::take(&mut self.frees);
        tracing::trace!(deleted, tickets = frees.len(), "units freed");
        self.orders
            .statements
            .delete_releases
            .run(self.tx, &frees, |row, (shard, ticket)| {
                row.add(i64::from(shard.0));
                row.add(i64::from(ticket.made.0));
                row.add(int(ticket.n));
            })
            .await
            .map_err(|e| self.orders.failed(&e))?;
        self.done.released.extend(frees);
        Ok(())
    }

    /// Inserts orders that aren't there; how many were inserted.
    pub(crate) async fn insert_orders(&mut self, orders: &[NewOrder<'_>], state: State) -> Result<u64> {
        let (word, reason) = state_words(state);
        let closed = matches!(state, State::Closed(_));
        self.orders
            .statements
            .insert_orders
            .run(self.tx, orders, |row, order| {
                let r = order.reservation;
                let ticket = order.event.ticket();
                let quantity: u64 = r.units.iter().map(|u| u64::from(u.len)).sum();
                row.add(i64::from(order.shard.0));
                row.add(i64::from(ticket.made.0));
                row.add(int(ticket.n));
                if closed {
                    row.add(poison::storable(&r.buyer_id));
                } else {
                    row.add(&*r.buyer_id);
                }
                row.add(i64::from(r.item.0));
                row.add(int(quantity));
                row.add(units_text(&r.units));
                row.add(r.key.map(|k| k.0.to_be_bytes().to_vec()));
                row.add(i64::from(r.place));
                row.add(int(order.amount));
                row.add(word);
                row.add(reason);
                row.add(int(r.at));
                row.add(closed.then_some(int(r.at)));
            })
            .await
            .map_err(|e| self.orders.failed(&e))
    }

    /// Keeps an event that can't be applied.
    pub(crate) async fn bury(&mut self, shard: ShardId, event: &Event, poison: Poison) -> Result<()> {
        self.orders.insert_dead(self.tx, shard, event, poison).await?;
        self.done.dead.push((shard, event.ticket(), poison));
        Ok(())
    }
}
