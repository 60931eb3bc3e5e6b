//! What is read from all databases together, and the messages of all of them.

use crate::audit::{DeadEvent, ItemTotals, PaymentRow, Sum, Totals};
use crate::error::Result;
use crate::health::bounded;
use crate::messages::{Message, Replay, Retry};
use crate::orders::Orders;
use crate::recover::{Recovered, Release};
use crate::row::OrderRow;
use crate::store::Store;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::row::Row;
use futures_util::future::join_all;

impl Orders {
    /// All shards' rows, in order.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn rows(&self) -> Result<Vec<(ShardId, Row)>> {
        let mut rows = self.all(Store::rows).await?;
        rows.sort_unstable_by_key(|(shard, _)| *shard);
        Ok(rows)
    }

    /// Reads everything as of one moment of each database: each order goes to `each`, database by database,
    /// there by shard and number; the rest is returned.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn recover(&self, mut each: impl FnMut(OrderRow)) -> Result<Recovered> {
        let mut all = Recovered {
            rows: Vec::new(),
            waiting: Vec::new(),
            releases: Vec::new(),
        };
        for store in &self.stores {
            let part = store.recover(&mut each).await?;
            all.rows.extend(part.rows);
            all.waiting.extend(part.waiting);
            all.releases.extend(part.releases);
        }
        all.rows.sort_unstable_by_key(|(shard, _)| *shard);
        all.waiting
            .sort_unstable_by_key(|w| (w.item, w.place, w.at, w.shard, w.ticket));
        all.releases
            .sort_unstable_by_key(|r| (r.decided_at, r.shard, r.ticket));
        Ok(all)
    }

    /// Up to `limit` releases that aren't applied yet, the oldest first. A database that can't be read holds
    /// up its own only.
    ///
    /// # Errors
    /// No database can be read.
    pub async fn releases(&self, limit: u32) -> Result<Vec<Release>> {
        let mut releases = self.any(|store| store.releases(limit)).await?;
        releases.sort_unstable_by_key(|r| (r.decided_at, r.shard, r.ticket));
        releases.truncate(limit as usize);
        Ok(releases)
    }

    /// One order.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn order(&self, shard: ShardId, ticket: TicketNo) -> Result<Option<OrderRow>> {
        let store = self.of(shard);
        bounded(store, store.order(shard, ticket)).await
    }

    /// All totals, as of one moment of each database.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn totals(&self) -> Result<Totals> {
        let parts = self
            .all(|store| async { Ok(vec![store.totals().await?]) })
            .await?;
        let mut totals = Totals {
            items: vec![ItemTotals::default(); self.sale().items.len()],
            ..Totals::default()
        };
        for part in parts {
            for (item, of) in totals.items.iter_mut().zip(&part.items) {
                item.add(of);
            }
            add(&mut totals.accepted, part.accepted);
            add(&mut totals.refund_due, part.refund_due);
            totals.releases += part.releases;
            totals.dead_events += part.dead_events;
        }
        Ok(totals)
    }

    /// All payments, database by database, there by id.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn payments(&self, mut each: impl FnMut(PaymentRow)) -> Result<()> {
        for store in &self.stores {
            store.payments(&mut each).await?;
        }
        Ok(())
    }

    /// All messages, database by database, there by number.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn messages(&self, mut each: impl FnMut(Message)) -> Result<()> {
        for (ix, store) in self.stores.iter().enumerate() {
            store.messages(|message| each(self.public(ix, message))).await?;
        }
        Ok(())
    }

    /// Which ticket holds each live unit, database by database, there by shard, item and unit.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn live_units(&self, mut each: impl FnMut(ShardId, ItemIx, u32, TicketNo)) -> Result<()> {
        for store in &self.stores {
            store.live_units(&mut each).await?;
        }
        Ok(())
    }

    /// All dead events, by shard and number.
    ///
    /// # Errors
    /// A database can't be read.
    pub async fn dead_events(&self) -> Result<Vec<DeadEvent>> {
        let mut dead = self.all(Store::dead_events).await?;
        dead.sort_by_key(|d| (d.shard, d.event.n, d.event.made));
        Ok(dead)
    }

    /// Up to `limit` messages to be sent now, the longest due first. Nothing is marked: one sender at a time.
    /// A database that can't be read holds up its own only.
    ///
    /// # Errors
    /// No database can be read.
    pub async fn due(&self, now: Millis, limit: u32) -> Result<Vec<Message>> {
        let mut due = self.numbered(|store| store.due(now, limit)).await?;
        due.sort_by_key(|m| (m.next_at, m.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    /// The same of messages to `target` only.
    ///
    /// # Errors
    /// No database can be read.
    pub async fn due_to(&self, target: &str, now: Millis, limit: u32) -> Result<Vec<Message>> {
        let mut due = self.numbered(|store| store.due_to(target, now, limit)).await?;
        due.sort_by_key(|m| (m.next_at, m.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    /// When the next message is due, if any is.
    ///
    /// # Errors
    /// No database can be read.
    pub async fn next_due(&self) -> Result<Option<Millis>> {
        let times = self.any(|store| async { Ok(store.next_due().await?.into_iter().collect()) });
        Ok(times.await?.into_iter().min())
    }

    /// These messages were delivered.
    ///
    /// # Errors
    /// A database can't be written: its own will be sent again.
    pub async fn delivered(&self, ids: &[u64]) -> Result<()> {
        let parts = self.local(ids);
        let calls = self.stores.iter().zip(&parts).map(async |(store, ids)| {
            if ids.is_empty() {
                return Ok(());
            }
            bounded(store, store.delivered(ids)).await
        });
        join_all(calls).await.into_iter().collect()
    }

    /// A message couldn't be delivered. Does nothing to one that was delivered meanwhile.
    ///
    /// # Errors
    /// The database can't be written: it will be sent again.
    pub async fn undelivered(&self, id: u64, error: &str, retry: Retry) -> Result<()> {
        let of = self.stores.len() as u64;
        let store = &self.stores[(id % of) as usize];
        bounded(store, store.undelivered(id / of, error, retry)).await
    }

    /// Up to `limit` messages that were given up, the oldest first.
    ///
    /// # Errors
    /// No database can be read.
    pub async fn dead_messages(&self, limit: u32) -> Result<Vec<Message>> {
        let mut dead = self.numbered(|store| store.dead_messages(limit)).await?;
        dead.sort_by_key(|m| m.id);
        dead.truncate(limit as usize);
        Ok(dead)
    }

    /// Makes dead messages due again at `now`; how many there were.
    ///
    /// # Errors
    /// A database can't be written: none of its own is due again.
    pub async fn replay(&self, which: Replay<'_>, now: Millis) -> Result<u64> {
        let mut replayed = 0;
        let ids = match which {
            Replay::All => Vec::new(),
            Replay::Ids(ids) => self.local(ids),
        };
        for (ix, store) in self.stores.iter().enumerate() {
            let which = ids.get(ix).map_or(Replay::All, |ids| Replay::Ids(ids));
            replayed += bounded(store, store.replay(which, now)).await?;
        }
        Ok(replayed)
    }

    /// A message under the number that is unique among all databases, and tells which it lies in.
    fn public(&self, ix: usize, mut message: Message) -> Message {
        message.id = message.id * self.stores.len() as u64 + ix as u64;
        message
    }

    /// The databases' own numbers of messages, by database.
    fn local(&self, ids: &[u64]) -> Vec<Vec<u64>> {
        let of = self.stores.len() as u64;
        let mut parts = vec![Vec::new(); self.stores.len()];
        for id in ids {
            parts[(id % of) as usize].push(id / of);
        }
        parts
    }

    async fn numbered<'a, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Result<Vec<Message>>
    where
        F: Future<Output = Result<Vec<Message>>>,
    {
        let calls = self.stores.iter().map(|store| bounded(store, call(store)));
        let answers = join_all(calls).await.into_iter().enumerate();
        let public = |(ix, answer): (usize, Result<Vec<Message>>)| {
            answer.map(|messages| messages.into_iter().map(|m| self.public(ix, m)).collect())
        };
        any_of(answers.map(public).collect())
    }

    /// What all databases answer; the first failure if one doesn't.
    async fn all<'a, T, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Result<Vec<T>>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let calls = self.stores.iter().map(call);
        let answers: Vec<Vec<T>> = join_all(calls).await.into_iter().collect::<Result<_>>()?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// What those databases answer that do.
    async fn any<'a, T, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Result<Vec<T>>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let calls = self.stores.iter().map(|store| bounded(store, call(store)));
        any_of(join_all(calls).await)
    }
}

fn any_of<T>(answers: Vec<Result<Vec<T>>>) -> Result<Vec<T>> {
    let (mut found, mut answered, mut failed) = (Vec::new(), false, None);
    for answer in answers {
        match answer {
            Ok(part) => {
                found.extend(part);
                answered = true;
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !answered => Err(error),
        Some(error) => {
            tracing::warn!(%error, "one database is left out");
            Ok(found)
        }
        None => Ok(found),
    }
}

fn add(sum: &mut (u64, u64), part: (u64, u64)) {
    sum.0 += part.0;
    sum.1 += part.1;
}

impl ItemTotals {
    fn add(&mut self, part: &Self) {
        let Self {
            reserved,
            pending,
            paid,
            closed,
            live_units,
        } = part;
        self.reserved.add(reserved);
        self.pending.add(pending);
        self.paid.add(paid);
        self.closed.add(closed);
        self.live_units += live_units;
    }
}

impl Sum {
    fn add(&mut self, part: &Self) {
        self.orders += part.orders;
        self.units += part.units;
        self.amount += part.amount;
    }
}
