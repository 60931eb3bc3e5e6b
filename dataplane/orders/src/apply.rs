//! Applying what the log counted: one transaction moves the cursors and writes what the events mean.

use crate::db::Tx;
use crate::error::Result;
use crate::poison::{self, Poison};
use crate::row::{OrderRow, Waiting};
use crate::store::Store;
use crate::writing::{Done, NewOrder, Writing};
use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{Epoch, Seq, ShardId};
use flashsale_core::row::{Apply, Row};
use rustc_hash::FxHashMap;

/// What one shard's reader counted, in order.
#[derive(Debug, Clone)]
pub struct ShardBatch<'a> {
    /// Which shard.
    pub shard: ShardId,
    /// What was counted.
    pub steps: Vec<Counted<'a>>,
}

/// One record that counted.
#[derive(Debug, Clone, Copy)]
pub enum Counted<'a> {
    /// The owner of `epoch` opened with the list as it was up to `base`.
    Opened {
        /// The owner's epoch.
        epoch: Epoch,
        /// The length of the list that stands.
        base: Seq,
    },
    /// Events that extended the list, published under `epoch`.
    Events {
        /// The publisher's epoch.
        epoch: Epoch,
        /// In order of number.
        events: &'a [Event],
    },
}

/// What became of one shard's part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Which shard.
    pub shard: ShardId,
    /// Its row before this batch.
    pub before: Row,
    /// Its row now.
    pub row: Row,
    /// Reservations that are new in the database, in order.
    pub reserved: Vec<Waiting>,
    /// Reservations whose units are free again.
    pub released: Vec<TicketNo>,
    /// Events that could not be applied; a reservation among them is closed as `refused`.
    pub dead: Vec<(TicketNo, Poison)>,
    /// The first thing that doesn't follow what is applied: an earlier one is missing, or the shard is in
    /// another mode. Nothing behind it was applied; read the log again from the cursor.
    pub stall: Option<Stall>,
}

/// Where a shard's part of a batch could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// The epoch it was counted under.
    pub epoch: Epoch,
    /// The event's number, or the base of an opening.
    pub n: Seq,
}

/// What is to be written for one event.
enum Effect<'a> {
    Reserve(ShardId, &'a Event, &'a Reservation),
    Release(ShardId, &'a Event, TicketNo, ReleaseReason),
}

impl Store {
    /// Applies what the readers of some shards counted, in one transaction for all of them. What is applied
    /// already is skipped, so the same batch may come any number of times. An event that can't be applied
    /// becomes a dead event and holds nobody up.
    ///
    /// # Errors
    /// The database can't be written; nothing is applied.
    pub(crate) async fn apply(&self, batches: &[ShardBatch<'_>]) -> Result<Vec<Applied>> {
        let mut tx = self.begin().await?;
        let mut shards: Vec<ShardId> = batches.iter().map(|b| b.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        // A second worker that applies the same waits here, and then finds it done.
        let rows = self.read_rows(&mut tx, &shards).await?;
        let rows: FxHashMap<ShardId, Row> = rows.into_iter().collect();
        let mut results: Vec<Applied> = Vec::with_capacity(shards.len());
        let mut of_shard = FxHashMap::default();
        let mut effects = Vec::new();
        for batch in batches {
            let row = rows.get(&batch.shard).ok_or_else(|| self.not_ours(batch.shard))?;
            let at = *of_shard.entry(batch.shard).or_insert_with(|| {
                results.push(Applied::from(batch.shard, *row));
                results.len() - 1
            });
            advance(&mut results[at], batch, &mut effects);
        }
        if effects.is_empty() && results.iter().all(|r| r.row == r.before) {
            return Ok(results);
        }
        let done = self.write_effects(&mut tx, &effects).await?;
        let moved = results.iter().filter(|r| r.row != r.before);
        let moved: Vec<(ShardId, Row)> = moved.map(|r| (r.shard, r.row)).collect();
        self.write_rows(&mut tx, &moved).await?;
        self.commit(tx).await?;
        for waiting in done.reserved {
            results[of_shard[&waiting.shard]].reserved.push(waiting);
        }
        for (shard, ticket) in done.released {
            results[of_shard[&shard]].released.push(ticket);
        }
        for (shard, event, poison) in done.dead {
            results[of_shard[&shard]].dead.push((event, poison));
        }
        Ok(results)
    }

    async fn write_effects(&self, tx: &mut Tx, effects: &[Effect<'_>]) -> Result<Done> {
        let mut known = self.released_orders(tx, effects).await?;
        let mut writing = Writing::new(self, tx, !known.is_empty());
        for effect in effects {
            match *effect {
                Effect::Reserve(shard, event, reservation) => match poison::price(&self.sale, reservation) {
                    Ok(amount) => writing.reserve(NewOrder {
                        shard,
                        event,
                        reservation,
                        amount,
                    }),
                    Err(poison) => writing.refuse(shard, event, reservation, poison).await?,
                },
                Effect::Release(shard, event, ticket, reason) => {
                    // What was read before the batch is true once: the release itself changes it.
                    let order = known.remove(&(shard, ticket));
                    writing
                        .release(shard, event, (ticket, reason), order.as_ref())
                        .await?;
                }
            }
        }
        writing.finish().await
    }

    /// The orders that the batch releases, as they are before it.
    async fn released_orders(
        &self,
        tx: &mut Tx,
        effects: &[Effect<'_>],
    ) -> Result<FxHashMap<(ShardId, TicketNo), OrderRow>> {
        let tickets: Vec<(ShardId, TicketNo)> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Release(shard, _, ticket, _) => Some((*shard, *ticket)),
                Effect::Reserve(..) => None,
            })
            .collect();
        let rows = self.orders_of(tx, &tickets).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.shard, row.ticket), row))
            .collect())
    }
}

impl Applied {
    fn from(shard: ShardId, row: Row) -> Self {
        Self {
            shard,
            before: row,
            row,
            reserved: Vec::new(),
            released: Vec::new(),
            dead: Vec::new(),
            stall: None,
        }
    }
}

/// Moves a shard's cursor over what can be applied now and lists what is to be written for it.
fn advance<'a>(result: &mut Applied, batch: &ShardBatch<'a>, effects: &mut Vec<Effect<'a>>) {
    for step in &batch.steps {
        match *step {
            Counted::Opened { epoch, base } => {
                if result.row.apply_opened(epoch, base) == Apply::Not {
                    result.stall = Some(Stall { epoch, n: base });
                    return;
                }
            }
            Counted::Events { epoch, events } => {
                for event in events {
                    match result.row.apply(epoch, event.n) {
                        Apply::Now => effects.extend(effect_of(batch.shard, event)),
                        Apply::Done => {}
                        Apply::Not => {
                            result.stall = Some(Stall { epoch, n: event.n });
                            return;
                        }
                    }
                }
            }
        }
    }
}

fn effect_of(shard: ShardId, event: &Event) -> Option<Effect<'_>> {
    match &event.change {
        Change::Reserved(reservation) => Some(Effect::Reserve(shard, event, reservation)),
        Change::Released { ticket, reason } => Some(Effect::Release(shard, event, *ticket, *reason)),
        // Stock that came in, left or moved, and who registered: the shard's state, not an order's.
        Change::Loaded { .. }
        | Change::Registered { .. }
        | Change::TransferOut { .. }
        | Change::TransferIn { .. } => None,
    }
}
