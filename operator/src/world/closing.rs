//! Closing a sale whose processes are gone: its log is folded into the databases, and what nobody can pay any more is closed.

use super::World;
use super::books::{Books, read_all};
use flashsale_dataplane::worker::{Counted, Intake};
use flashsale_operator_core::Millis;
use flashsale_operator_core::observed::Closing;
use flashsale_orders::{Counted as Step, Orders, ShardBatch, TicketSecret};

/// Events applied in one transaction.
const EVENTS_MAX: usize = 8_192;
/// Orders closed in one transaction.
const ORDERS_MAX: u32 = 1_000;

impl World {
    /// Applies what the log holds, then closes every reservation and every unpaid order. Their units needn't be freed in a
    /// shard: no shard sells any more.
    ///
    /// # Errors
    /// Log or databases can't be used. What was done until then stays done; doing it again goes on from there.
    pub(crate) async fn close_from_log(&self, books: &Books<'_>, now: Millis) -> Result<Closing, String> {
        let log = self.log_service(books.class, books.names).await?;
        let urls = self.book_urls(books.class, books.names).await?;
        let (sale, orders) = books.open(&urls, TicketSecret(rand::random())).await?;
        let closed = async {
            let records = Box::new(read_all(&log, sale.shards).await?);
            let mut intake = Intake::new(sale.uid, sale.shards, records);
            let unapplied = apply(&orders, &mut intake).await?;
            close(&orders, now).await?;
            let totals = orders.totals().await.map_err(|e| e.to_string())?;
            let waiting = |of: fn(&flashsale_orders::ItemTotals) -> u64| totals.items.iter().map(of).sum();
            Ok(Closing {
                unapplied,
                backlog: waiting(|item| item.reserved.orders),
                pending: waiting(|item| item.pending.orders),
            })
        };
        let closed = closed.await;
        orders.close().await;
        closed
    }
}

/// Applies everything. Answers how many events couldn't be applied.
async fn apply(orders: &Orders, intake: &mut Intake) -> Result<u64, String> {
    let mut unapplied = 0;
    loop {
        let taken = intake.take(EVENTS_MAX).map_err(|e| e.to_string())?;
        if taken.is_empty() {
            return Ok(unapplied);
        }
        let batches: Vec<ShardBatch<'_>> = taken
            .iter()
            .map(|(shard, counted)| ShardBatch {
                shard: *shard,
                steps: counted.iter().map(step).collect(),
            })
            .collect();
        let applied = orders.apply(&batches).await.map_err(|e| e.to_string())?;
        unapplied += applied.iter().filter(|shard| shard.stall.is_some()).count() as u64;
    }
}

fn step(counted: &Counted) -> Step<'_> {
    match counted {
        Counted::Opened { epoch, base } => Step::Opened {
            epoch: *epoch,
            base: *base,
        },
        Counted::Events { epoch, events } => Step::Events {
            epoch: *epoch,
            events,
        },
    }
}

/// Closes whatever isn't paid, made into an order or not, some at a time.
async fn close(orders: &Orders, now: Millis) -> Result<(), String> {
    loop {
        let parts = orders.close_unpaid_parts(now, ORDERS_MAX).await;
        if let Some(failed) = parts.failed.into_iter().next() {
            return Err(failed.error.to_string());
        }
        if parts.done.is_empty() {
            return Ok(());
        }
    }
}
