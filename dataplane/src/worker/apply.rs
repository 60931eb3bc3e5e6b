//! Applying what the log made durable. A database that can't be written holds up its own shards only.

use super::{Counted, EVENTS_MAX, RETRY_AFTER, Worker, WorkerError, step};
use crate::counters::add;
use crate::host::Message;
use flashsale_core::event::ReleaseReason;
use flashsale_core::ids::{Seq, ShardId};
use flashsale_core::order::State;
use flashsale_orders::{Applied, Parts, ShardBatch};
use std::collections::BTreeMap;
use std::time::Instant;

/// Events kept for databases that can't be written; with more of them nothing is read from the log.
const UNAPPLIED_MAX: usize = 500_000;

/// What was read and not applied, by shard, in order.
#[derive(Debug, Default)]
pub(super) struct Unapplied {
    by_shard: BTreeMap<ShardId, Vec<Counted>>,
    events: usize,
    /// When it is tried again.
    again_at: Option<Instant>,
}

impl Unapplied {
    pub(super) fn is_empty(&self) -> bool {
        self.by_shard.is_empty()
    }

    fn due(&self) -> bool {
        self.again_at.is_none_or(|at| at <= Instant::now())
    }

    fn put(&mut self, shard: ShardId, counted: Vec<Counted>) {
        self.events += counted.iter().map(events).sum::<usize>();
        self.by_shard.entry(shard).or_default().extend(counted);
    }

    /// Everything, if it is time to try again.
    fn take_due(&mut self) -> BTreeMap<ShardId, Vec<Counted>> {
        if !self.due() {
            return BTreeMap::new();
        }
        self.events = 0;
        self.again_at = None;
        std::mem::take(&mut self.by_shard)
    }
}

fn events(counted: &Counted) -> usize {
    match counted {
        Counted::Opened { .. } => 0,
        Counted::Events { events, .. } => events.len(),
    }
}

impl Worker {
    /// Applies the next durable events, behind those of the same shards that couldn't be applied before.
    pub(super) async fn apply(&mut self) -> Result<(), WorkerError> {
        let mut turn = self.unapplied.take_due();
        self.caught_up = true;
        if self.unapplied.events < UNAPPLIED_MAX {
            for (shard, counted) in self.intake.take(EVENTS_MAX)? {
                self.caught_up = false;
                if self.unapplied.by_shard.contains_key(&shard) {
                    self.unapplied.put(shard, counted);
                } else {
                    turn.entry(shard).or_default().extend(counted);
                }
            }
        }
        if turn.is_empty() {
            return Ok(());
        }
        let batches: Vec<ShardBatch<'_>> = turn
            .iter()
            .map(|(shard, counted)| ShardBatch {
                shard: *shard,
                steps: counted.iter().map(step).collect(),
            })
            .collect();
        let Parts { done, failed } = self.orders.apply_parts(&batches).await;
        let cursors = self.applied(&done)?;
        self.tell(Message::Applied(cursors)).await;
        for shard in self.passing(failed)? {
            if let Some(counted) = turn.remove(&shard) {
                self.unapplied.put(shard, counted);
            }
            self.unapplied.again_at = Some(Instant::now() + RETRY_AFTER);
        }
        Ok(())
    }

    /// Takes in what was applied; returns how far each shard is.
    fn applied(&mut self, applied: &[Applied]) -> Result<Vec<(ShardId, Seq)>, WorkerError> {
        let mut cursors = Vec::with_capacity(applied.len());
        for shard in applied {
            if let Some(stall) = shard.stall {
                let (applied, next) = (shard.row.applied, stall.n);
                return Err(WorkerError::Stalled {
                    shard: shard.shard.0,
                    applied,
                    next,
                });
            }
            cursors.push((shard.shard, shard.row.applied));
            add(&self.shared.counters.reserved, shard.reserved.len() as u64);
            add(&self.shared.counters.dead_events, shard.dead.len() as u64);
            for waiting in &shard.reserved {
                self.queues.push(*waiting);
                self.post(waiting.shard, waiting.ticket, State::Reserved, 0);
            }
            for (ticket, poison) in &shard.dead {
                tracing::error!(shard = shard.shard.0, event = ticket.n, %poison, "an event was quarantined");
                self.post(shard.shard, *ticket, State::Closed(ReleaseReason::Refused), 0);
            }
        }
        Ok(cursors)
    }
}
