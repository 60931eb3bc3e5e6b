//! What changes orders, each in the database of its shard; the databases work at the same time.

use crate::apply::{Applied, ShardBatch};
use crate::close::Cancelled;
use crate::error::Result;
use crate::health::bounded;
use crate::make::Made;
use crate::orders::{Failed, Orders, Parts};
use crate::pay::{Payment, PaymentOutcome, PaymentRefusal};
use crate::row::{OrderRow, Waiting};
use crate::shards::Claimed;
use crate::store::Store;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, Millis, OwnerId, ShardId};
use flashsale_core::row::RowRefusal;
use futures_util::future::join_all;

impl Orders {
    /// Claims `shard` for `owner`: the next epoch after the one that the row has now, in one transaction.
    /// Everything older is fenced off.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn claim(&self, shard: ShardId, owner: OwnerId) -> Result<Claimed> {
        let store = self.of(shard);
        bounded(store, store.claim(shard, owner)).await
    }

    /// Claims `shard` for `owner` if its epoch still is `expect`.
    ///
    /// # Errors
    /// The database can't be written; or, inside, somebody else has claimed the shard since.
    pub async fn claim_after(
        &self,
        shard: ShardId,
        expect: Epoch,
        owner: OwnerId,
    ) -> Result<Result<Claimed, RowRefusal>> {
        let store = self.of(shard);
        bounded(store, store.claim_after(shard, expect, owner)).await
    }

    /// Applies what the readers of some shards counted, in one transaction for each database. What is applied
    /// already is skipped, so the same batch may come any number of times. An event that can't be applied
    /// becomes a dead event and holds nobody up.
    ///
    /// # Errors
    /// A database can't be written: nothing of its shards is applied. What was applied in the others is
    /// reported when the call is repeated; [`Orders::apply_parts`] reports it at once.
    pub async fn apply(&self, batches: &[ShardBatch<'_>]) -> Result<Vec<Applied>> {
        self.apply_parts(batches).await.all_or_held(&self.applied)
    }

    /// Like [`Orders::apply`]: says which shards' events were applied, and which not because their database
    /// can't be written now.
    pub async fn apply_parts(&self, batches: &[ShardBatch<'_>]) -> Parts<Applied> {
        let parts = self.split(batches, |batch| batch.shard);
        let calls = self.stores.iter().zip(&parts).map(async |(store, part)| {
            if part.is_empty() {
                return Ok(Vec::new());
            }
            let failed = |error| Failed {
                shards: part.iter().map(|batch| batch.shard).collect(),
                error,
            };
            bounded(store, store.apply(part)).await.map_err(failed)
        });
        together(join_all(calls).await)
    }

    /// Makes orders of these reservations, to be paid within `payment_timeout` milliseconds from `now`, and
    /// writes the handover messages. Returns those that were made, in the same order (database by database):
    /// what is missing was closed before, or made before.
    ///
    /// # Errors
    /// A database can't be written: nothing of its shards is made. What was made in the others is reported
    /// when the call is repeated; [`Orders::make_parts`] reports it at once.
    pub async fn make(&self, waiting: &[Waiting], now: Millis, payment_timeout: Millis) -> Result<Vec<Made>> {
        let parts = self.make_parts(waiting, now, payment_timeout).await;
        parts.all_or_held(&self.made)
    }

    /// Like [`Orders::make`]: says which orders were made, and for which shards none could be.
    pub async fn make_parts(&self, waiting: &[Waiting], now: Millis, payment_timeout: Millis) -> Parts<Made> {
        let parts = self.split(waiting, |w| w.shard);
        let calls = self.stores.iter().zip(&parts).map(async |(store, part)| {
            let failed = |error| {
                let mut shards: Vec<ShardId> = part.iter().map(|w| w.shard).collect();
                shards.sort_unstable();
                shards.dedup();
                Failed { shards, error }
            };
            let made = store.make(part, now, payment_timeout);
            bounded(store, made).await.map_err(failed)
        });
        together(join_all(calls).await)
    }

    /// Closes up to `limit` orders in each database whose payment deadline is `now` or before, the oldest
    /// deadline first. Returns them as they are now. Call it again at once if it returns `limit` or more.
    ///
    /// # Errors
    /// Nothing was closed, and a database can't be written. [`Orders::expire_parts`] says it also if another
    /// one could.
    pub async fn expire(&self, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.expire_parts(now, limit).await.some()
    }

    /// Like [`Orders::expire`]: says what was closed, and for which shards nothing could be.
    pub async fn expire_parts(&self, now: Millis, limit: u32) -> Parts<OrderRow> {
        self.everywhere(|store| store.expire(now, limit)).await
    }

    /// Closes up to `limit` reservations in each database that were made before `before` and still wait for
    /// their order, the oldest first. Returns them as they are now.
    ///
    /// # Errors
    /// Nothing was closed, and a database can't be written. [`Orders::close_backlog_parts`] says it also if
    /// another one could.
    pub async fn close_backlog(&self, before: Millis, now: Millis, limit: u32) -> Result<Vec<OrderRow>> {
        self.close_backlog_parts(before, now, limit).await.some()
    }

    /// Like [`Orders::close_backlog`]: says what was closed, and for which shards nothing could be.
    pub async fn close_backlog_parts(&self, before: Millis, now: Millis, limit: u32) -> Parts<OrderRow> {
        self.everywhere(|store| store.close_backlog(before, now, limit))
            .await
    }

    /// Closes up to `limit` orders in each database that aren't paid, whether they are made or not: says what was
    /// closed, and for which shards nothing could be.
    pub async fn close_unpaid_parts(&self, now: Millis, limit: u32) -> Parts<OrderRow> {
        self.everywhere(|store| store.close_unpaid(now, limit)).await
    }

    /// Closes an order because its buyer wants it.
    ///
    /// # Errors
    /// The database can't be written; nothing is closed.
    pub async fn cancel(&self, shard: ShardId, ticket: TicketNo, now: Millis) -> Result<Cancelled> {
        if shard.0 >= self.sale().shards {
            return Ok(Cancelled::Unknown);
        }
        let store = self.of(shard);
        bounded(store, store.cancel(shard, ticket, now)).await
    }

    /// Takes a payment. The same payment again gets the same answer and changes nothing.
    ///
    /// # Errors
    /// The database can't be written; nothing is recorded.
    pub async fn pay(&self, payment: &Payment) -> Result<PaymentOutcome> {
        let outcomes = self.pay_all(std::slice::from_ref(payment)).await?;
        let outcome = outcomes.first().copied();
        outcome.ok_or_else(|| self.stores[0].broken("a payment without an answer"))
    }

    /// Takes payments in this order, in one transaction for each database; the answers are in the same order.
    /// Many payments at once share the cost of reaching the disk.
    ///
    /// # Errors
    /// A database can't be written: none of its shards' is recorded. [`Orders::pay_parts`] says which.
    pub async fn pay_all(&self, payments: &[Payment]) -> Result<Vec<PaymentOutcome>> {
        self.pay_parts(payments).await.into_iter().collect()
    }

    /// Like [`Orders::pay_all`], with each payment's own answer: those of a database that can't be written
    /// aren't recorded and are to be reported again.
    ///
    /// A payment's id is known to the database of its order. The same id for two orders in different
    /// databases is recorded for both.
    pub async fn pay_parts(&self, payments: &[Payment]) -> Vec<Result<PaymentOutcome>> {
        let unknown = PaymentOutcome::Refused(PaymentRefusal::UnknownOrder);
        let mut outcomes: Vec<Result<PaymentOutcome>> = payments.iter().map(|_| Ok(unknown)).collect();
        // What names no order of this sale is answered by the first, which knows all other reasons to refuse.
        let ix_of = |p: &Payment| {
            self.ticket_of(&p.order_id)
                .map_or(0, |(shard, _)| self.ix_of(shard))
        };
        let calls = self.stores.iter().enumerate().map(async |(ix, store)| {
            let mine = payments.iter().enumerate().filter(|(_, p)| ix_of(p) == ix);
            let (places, mine): (Vec<usize>, Vec<Payment>) = mine.map(|(at, p)| (at, p.clone())).unzip();
            if mine.is_empty() {
                return (places, Ok(Vec::new()));
            }
            let answers = bounded(store, store.pay_all(&mine)).await;
            (places, answers)
        });
        for (places, answers) in join_all(calls).await {
            match answers {
                Ok(answers) => {
                    for (at, answer) in places.into_iter().zip(answers) {
                        outcomes[at] = Ok(answer);
                    }
                }
                Err(error) => {
                    for at in places {
                        outcomes[at] = Err(error.clone());
                    }
                }
            }
        }
        outcomes
    }

    async fn everywhere<'a, T, F>(&'a self, call: impl Fn(&'a Store) -> F) -> Parts<T>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let calls = self.stores.iter().map(|store| bounded(store, call(store)));
        let answers = join_all(calls).await.into_iter().enumerate();
        let answers = answers.map(|(ix, answer)| {
            let shards = || self.shards_in(ix);
            answer.map_err(|error| Failed {
                shards: shards(),
                error,
            })
        });
        together(answers.collect())
    }
}

fn together<T>(answers: Vec<Result<Vec<T>, Failed>>) -> Parts<T> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(part) => done.extend(part),
            Err(part) => failed.push(part),
        }
    }
    Parts { done, failed }
}
