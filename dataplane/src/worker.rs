//! The worker: applies what the log made durable to the order database, makes orders at the set rate,
//! closes what isn't paid, and answers the desk. One task: its transactions follow one another.

mod apply;
mod books;
mod convert;
mod delivery;
mod intake;
mod queues;

pub use delivery::Delivery;
pub use intake::{Counted, Intake, IntakeError, Records, Stored};
pub use queues::Queues;

use apply::Unapplied;
use books::Books;

use crate::board::Posted;
use crate::clock::now_ms;
use crate::counters::add;
use crate::desk::{CancelOutcome, PaymentOutcome, Request};
use crate::host::{Message, Port};
use crate::shared::{SalePhase, Shared};
use convert::{recorded, step};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::order::State;
use flashsale_orders::{self as orders, Cancelled, Failed, OrderRow, Orders, Parts, PaymentRefusal, Waiting};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Events in one transaction.
const EVENTS_MAX: usize = 8192;
/// Payments in one transaction.
const REQUESTS_PER_TURN_MAX: usize = 1024;
/// After something became durable, what follows within this time goes into the same transaction.
const GATHER: Duration = Duration::from_millis(3);
/// How often orders are made.
const MAKE_EVERY: Duration = Duration::from_millis(50);
/// How often deadlines are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Payments that wait are taken before orders are closed, in so many transactions at most.
const TURNS_BEFORE_SWEEP_MAX: usize = 32;
/// Orders closed in one transaction.
const CLOSE_MAX: u32 = 5_000;
/// A release that isn't applied after this time is sent again.
const RELEASE_AGAIN_MS: Millis = 1_000;
/// A database that can't be written now is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Why the worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log can't be read.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The order database can't go on.
    #[error(transparent)]
    Orders(#[from] orders::Error),
    /// The database and the log don't follow from each other.
    #[error(
        "shard {shard}: the order database stands at {applied} and can't apply event {next}: keep the data directory and report this"
    )]
    Stalled {
        /// Which shard.
        shard: u16,
        /// What is applied.
        applied: u64,
        /// What came next.
        next: u64,
    },
}

type Key = (ShardId, TicketNo);

/// The worker's state. See the module.
pub struct Worker {
    orders: Arc<Orders>,
    shared: Arc<Shared>,
    port: Port,
    requests: mpsc::Receiver<Request>,
    intake: Intake,
    queues: Queues,
    /// What each open order is for.
    pending: HashMap<Key, (ItemIx, u32)>,
    made_at: Instant,
    swept_at: Instant,
    caught_up: bool,
    /// What a database didn't take.
    unapplied: Unapplied,
    /// Whether a database failed in a call that changes it: the call may have had its effect all the same, so what is
    /// known here of the orders is read anew once all is applied again.
    doubt: bool,
    /// What this process sees of the shards may be as old as this.
    sees_after: Duration,
    closed_at: Option<Instant>,
}

impl Worker {
    /// A worker that goes on where the database stands.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn recover(
        orders: Arc<Orders>,
        shared: Arc<Shared>,
        port: Port,
        requests: mpsc::Receiver<Request>,
        intake: Intake,
    ) -> Result<Self, WorkerError> {
        let Books { queues, pending } = Books::read(&orders, &shared).await?;
        let now = Instant::now();
        let this = Self {
            orders,
            shared,
            port,
            requests,
            intake,
            queues,
            pending,
            made_at: now,
            swept_at: now,
            caught_up: false,
            unapplied: Unapplied::default(),
            doubt: false,
            sees_after: Duration::ZERO,
            closed_at: None,
        };
        // Before anybody is served: a buyer who was first in line must not find the line grown.
        this.show();
        Ok(this)
    }

    /// For a worker in a process of its own, which hears of the shards with a delay of up to `sees_after`: not before
    /// that has passed since the closing is the sale said to be drained.
    pub(crate) fn sees_after(mut self, sees_after: Duration) -> Self {
        self.sees_after = sees_after;
        self
    }

    /// Works until `stop` says so.
    ///
    /// # Errors
    /// Something that waiting doesn't mend; nothing committed is lost.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), WorkerError> {
        let mut tick = tokio::time::interval(MAKE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        let mut requests = Vec::new();
        while !*stop.borrow() {
            if self.caught_up {
                tokio::select! {
                    _ = stop.changed() => continue,
                    () = shared.durable.notified() => tokio::time::sleep(GATHER).await,
                    _ = self.requests.recv_many(&mut requests, REQUESTS_PER_TURN_MAX) => {}
                    _ = tick.tick() => {}
                }
            }
            self.gather(&mut requests);
            let turn = self.turn(&mut requests).await;
            match turn {
                Ok(()) => {}
                Err(WorkerError::Orders(error)) if waits_for(&error) => {
                    self.doubt = true;
                    tracing::warn!(%error, "the order database can't be written now; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills up with requests that wait, as many as go into one turn.
    fn gather(&mut self, requests: &mut Vec<Request>) {
        while requests.len() < REQUESTS_PER_TURN_MAX {
            let Ok(request) = self.requests.try_recv() else {
                break;
            };
            requests.push(request);
        }
    }

    async fn turn(&mut self, requests: &mut Vec<Request>) -> Result<(), WorkerError> {
        self.apply().await?;
        self.serve(std::mem::take(requests)).await?;
        self.resolve().await?;
        if self.made_at.elapsed() >= MAKE_EVERY {
            let seconds = std::mem::replace(&mut self.made_at, Instant::now())
                .elapsed()
                .as_secs_f64();
            self.make(seconds).await?;
        }
        if self.swept_at.elapsed() >= SWEEP_EVERY {
            self.swept_at = Instant::now();
            // No order is closed while the money that came in time for it waits here.
            for _ in 0..TURNS_BEFORE_SWEEP_MAX {
                self.gather(requests);
                if requests.is_empty() {
                    break;
                }
                self.serve(std::mem::take(requests)).await?;
            }
            self.sweep().await?;
        }
        Ok(())
    }

    async fn make(&mut self, seconds: f64) -> Result<(), WorkerError> {
        self.queues.set_rate(self.shared.orders_per_minute());
        let turn = self.queues.take(seconds);
        if !turn.is_empty() {
            let timeout = self.shared.sale.payment_timeout.as_millis() as u64;
            let Parts { done, failed } = self.orders.make_parts(&turn, now_ms(), timeout).await;
            add(&self.shared.counters.ordered, done.len() as u64);
            let failed = self.passing(failed)?;
            let back = turn.iter().filter(|w| failed.contains(&w.shard));
            let back: Vec<Waiting> = back.copied().collect();
            let unmade = turn.len().saturating_sub(done.len() + back.len());
            self.queues.not_made(unmade as u32);
            self.queues.put_back(back);
            for order in done {
                self.queues.made(order.item, order.place);
                self.pending
                    .insert((order.shard, order.ticket), (order.item, order.quantity));
                self.post(order.shard, order.ticket, State::Pending, order.expires_at);
            }
        }
        self.show();
        Ok(())
    }

    /// The shards whose database failed in a way that passes; from now on what it did is in doubt.
    ///
    /// # Errors
    /// One failed for good.
    fn passing(&mut self, failed: Vec<Failed>) -> Result<Vec<ShardId>, WorkerError> {
        let mut shards = Vec::new();
        for part in failed {
            if !waits_for(&part.error) {
                return Err(part.error.into());
            }
            if !self.doubt {
                tracing::warn!(error = %part.error, shards = part.shards.len(), "these shards' orders have to wait");
            }
            self.doubt = true;
            shards.extend(part.shards);
        }
        Ok(shards)
    }

    /// After a database failed: reads what is true, once every event that was in doubt is applied.
    async fn resolve(&mut self) -> Result<(), WorkerError> {
        if self.doubt && self.unapplied.is_empty() {
            let Books { queues, pending } = Books::read(&self.orders, &self.shared).await?;
            (self.queues, self.pending) = (queues, pending);
            self.doubt = false;
            tracing::info!("the order databases are back");
            self.show();
        }
        Ok(())
    }

    fn show(&self) {
        let waiting = self.queues.waiting();
        for ((stock, waiting), served) in self.shared.stock.iter().zip(&waiting).zip(self.queues.served()) {
            stock.waiting.store(*waiting, Ordering::Relaxed);
            stock.served.store(*served, Ordering::Release);
        }
        self.shared
            .oldest_waiting
            .store(self.queues.oldest().unwrap_or(0), Ordering::Relaxed);
        let free = |item| self.shared.available(item).unwrap_or(0);
        let forecast = self.queues.forecast(free);
        self.shared.forecast.store(Arc::new(forecast));
    }

    /// Closes what is due, and asks again for units that aren't released yet.
    async fn sweep(&mut self) -> Result<(), WorkerError> {
        let now = now_ms();
        loop {
            let Parts { done, failed } = self.orders.expire_parts(now, CLOSE_MAX).await;
            let full = done.len() >= CLOSE_MAX as usize;
            self.closed(done).await;
            self.passing(failed)?;
            if !full {
                break;
            }
        }
        if let Some(before) = self.shared.sale.backlog.close_before(now) {
            let Parts { done, failed } = self.orders.close_backlog_parts(before, now, CLOSE_MAX).await;
            self.closed(done).await;
            self.passing(failed)?;
        }
        if self.shared.amended().closes_unpaid() {
            let Parts { done, failed } = self.orders.close_unpaid_parts(now, CLOSE_MAX).await;
            self.closed(done).await;
            self.passing(failed)?;
        }
        let late: Vec<_> = self
            .orders
            .releases(CLOSE_MAX)
            .await?
            .into_iter()
            .filter(|r| r.decided_at + RELEASE_AGAIN_MS <= now)
            .map(|r| (r.shard, r.ticket, r.reason))
            .collect();
        if !late.is_empty() {
            self.tell(Message::Release(late)).await;
        }
        self.settle(now).await
    }

    async fn closed(&mut self, closed: Vec<OrderRow>) {
        let mut releases = Vec::with_capacity(closed.len());
        for order in closed {
            if let State::Closed(reason) = order.state {
                releases.push((order.shard, order.ticket, reason));
            }
            let waited = self.pending.remove(&(order.shard, order.ticket)).is_none();
            self.queues.leave(u32::from(waited));
            post(&self.shared, &order);
        }
        if !releases.is_empty() {
            add(&self.shared.counters.closed, releases.len() as u64);
            self.tell(Message::Release(releases)).await;
        }
    }

    /// Behind the closing time: says how far the sale is.
    async fn settle(&mut self, now: Millis) -> Result<(), WorkerError> {
        let phase = self.shared.phase(now);
        if phase < SalePhase::Draining || phase == SalePhase::Settled {
            return Ok(());
        }
        let closed_at = *self.closed_at.get_or_insert_with(Instant::now);
        let apart = !self.sees_after.is_zero();
        let quiet = self.shared.shards.iter().all(|shard| {
            let view = shard.load();
            // Of a shard that isn't open, a process of its own doesn't know what Redis has decided since.
            view.progress.applied + 1 == view.progress.next && (view.takes() || !apart)
        }) && closed_at.elapsed() >= self.sees_after;
        let drained = quiet && self.caught_up && self.queues.oldest().is_none();
        if !drained {
            self.shared.advance(SalePhase::Draining);
            return Ok(());
        }
        let totals = self.orders.totals().await?;
        let open: u64 = totals
            .items
            .iter()
            .map(|i| i.reserved.orders + i.pending.orders)
            .sum();
        let settled = open == 0 && totals.releases == 0;
        self.shared.advance(if settled {
            SalePhase::Settled
        } else {
            SalePhase::Settling
        });
        Ok(())
    }

    async fn serve(&mut self, requests: Vec<Request>) -> Result<(), WorkerError> {
        let (mut payments, mut replies) = (Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Pay(payment, reply) => {
                    payments.push(recorded(payment));
                    replies.push(reply);
                }
                Request::Cancel(shard, ticket, reply) => match self.cancel(shard, ticket, reply).await {
                    // The payments that came with it have their own chance.
                    Err(WorkerError::Orders(error)) if waits_for(&error) => self.doubt = true,
                    cancelled => cancelled?,
                },
            }
        }
        if payments.is_empty() {
            return Ok(());
        }
        let outcomes = self.orders.pay_parts(&payments).await;
        for (outcome, reply) in outcomes.into_iter().zip(replies) {
            match outcome {
                Ok(outcome) => self.paid(outcome, reply),
                // The reply is dropped: whoever reported the payment is told to report it again.
                Err(error) if waits_for(&error) => self.doubt = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn paid(&mut self, outcome: orders::PaymentOutcome, reply: oneshot::Sender<PaymentOutcome>) {
        let answer = match outcome {
            orders::PaymentOutcome::Paid(order) => {
                if let Some((item, quantity)) = self.pending.remove(&(order.shard, order.ticket)) {
                    self.shared.stock[item.ix()]
                        .sold
                        .fetch_add(quantity, Ordering::Relaxed);
                    add(&self.shared.counters.paid, 1);
                    self.post(order.shard, order.ticket, State::Paid, 0);
                }
                PaymentOutcome::Paid
            }
            orders::PaymentOutcome::RefundDue(order) => {
                add(&self.shared.counters.refund_due, u64::from(!order.again));
                PaymentOutcome::RefundDue
            }
            orders::PaymentOutcome::Refused(refusal) => match refusal {
                PaymentRefusal::UnknownOrder => PaymentOutcome::UnknownOrder,
                PaymentRefusal::Amount { expected } => PaymentOutcome::WrongAmount {
                    expected_minor: expected as i64,
                },
                PaymentRefusal::Currency => PaymentOutcome::WrongAmount { expected_minor: 0 },
                PaymentRefusal::IdReused | PaymentRefusal::Id => PaymentOutcome::Conflict,
                // No answer: the provider is told to report it again later.
                PaymentRefusal::NotMade => return,
            },
        };
        // The gateway may have gone; the payment stands.
        let _ = reply.send(answer);
    }

    async fn cancel(
        &mut self,
        shard: ShardId,
        ticket: TicketNo,
        reply: oneshot::Sender<CancelOutcome>,
    ) -> Result<(), WorkerError> {
        let outcome = match self.orders.cancel(shard, ticket, now_ms()).await? {
            Cancelled::Closed { reason, again } => {
                if !again {
                    let waited = self.pending.remove(&(shard, ticket)).is_none();
                    self.queues.leave(u32::from(waited));
                    add(&self.shared.counters.closed, 1);
                    self.post(shard, ticket, State::Closed(reason), 0);
                    self.tell(Message::Release(vec![(shard, ticket, reason)])).await;
                }
                CancelOutcome::Closed
            }
            Cancelled::Paid => CancelOutcome::Paid,
            Cancelled::Unknown => CancelOutcome::NotYet,
        };
        // The buyer may have gone; the order is closed all the same.
        let _ = reply.send(outcome);
        Ok(())
    }

    fn post(&self, shard: ShardId, ticket: TicketNo, state: State, pay_by: Millis) {
        self.shared.board.post(shard, ticket, Posted { state, pay_by });
    }

    /// Tells the host, waiting for room in its inbox. A host that has ended needs to know nothing.
    async fn tell(&self, message: Message) {
        let mut message = message;
        for _ in 0..1_000 {
            match self.port.try_send(message) {
                Ok(()) => return,
                Err(refused) => message = refused,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Whether to try again. A disk that is full isn't waited for: somebody has to make room, and knows that better
/// from a process that ended than from orders that don't come. What was promised is in the log.
fn waits_for(error: &orders::Error) -> bool {
    error.kind().may_pass() && error.kind() != orders::ErrorKind::NoSpace
}

fn post(shared: &Shared, order: &OrderRow) {
    let pay_by = order.expires_at.unwrap_or(0);
    shared.board.post(
        order.shard,
        order.ticket,
        Posted {
            state: order.state,
            pay_by,
        },
    );
}
