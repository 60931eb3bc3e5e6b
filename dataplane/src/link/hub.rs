//! The worker's end for gateways: shows orders, takes payments and wishes to cancel, hears who waits for what.

use super::client::{Reading, Writing};
use super::frame::{self, FRAME_BYTES_MAX, LinkError, SPEAK_EVERY};
use super::handshake::{Caller, Role};
use super::words::{FromWorker, Known, LIST_MAX, ToWorker};
use crate::clock::now_ms;
use crate::desk::{Desk, Payment};
use crate::shards::Wanted;
use crate::shared::{SalePhase, Shared};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{ItemIx, ShardId};
use flashsale_orders::Orders;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often it is looked what there is to show.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often what gateways' buyers wait for is added up.
const ADD_UP_EVERY: Duration = Duration::from_millis(5);
/// Figures that have changed are shown this often.
const FIGURES_EVERY: Duration = Duration::from_millis(50);
/// A worker that starts shows nothing for so long: by then every gateway that tries again has come back. Shown to one before
/// the others, what was committed just before the last worker's end would seem taken back to a buyer who asks another one.
const GATHER: Duration = Duration::from_millis(300);
/// Requests of one connection that wait to be taken.
const REQUESTS_MAX: usize = 1_024;
/// Requests of one connection under way; those behind it wait.
const UNDER_WAY_MAX: usize = 16 * 1_024;

/// Units that are waited for.
type Wants = Vec<(ShardId, ItemIx, u32)>;
type Answer = Pin<Box<dyn Future<Output = FromWorker>>>;

/// What all connections of the worker share.
pub(crate) struct Hub {
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    desk: Desk,
    /// Whether the stock is loaded.
    loaded: Arc<AtomicBool>,
    /// What buyers wait for, over all gateways.
    wanted: Arc<Wanted>,
    /// The same by connection.
    wants: RefCell<HashMap<u64, Wants>>,
    /// Whether they have changed since they were added up.
    changed: Cell<bool>,
    /// What all connections are shown next.
    latest: RefCell<Option<Figures>>,
    shows_from: tokio::time::Instant,
}

/// Figures as they were at a time, the same for every connection.
struct Figures {
    n: u64,
    known: Known,
    at: Instant,
}

enum Request {
    Pay(u64, Payment),
    Cancel(u64, ShardId, TicketNo),
    Close,
}

impl Hub {
    pub(crate) fn new(
        shared: Arc<Shared>,
        orders: Arc<Orders>,
        desk: Desk,
        loaded: Arc<AtomicBool>,
        wanted: Arc<Wanted>,
    ) -> Self {
        // From here on, whatever is posted is told.
        shared.board.news();
        Self {
            shared,
            orders,
            desk,
            loaded,
            wanted,
            wants: RefCell::default(),
            changed: Cell::new(false),
            latest: RefCell::default(),
            shows_from: tokio::time::Instant::now() + GATHER,
        }
    }

    /// Talks with a gateway or a tool.
    pub(crate) async fn talk(&self, caller: Caller, from: Reading, to: Writing) -> LinkError {
        if matches!(caller.role, Role::Worker | Role::Payments) {
            return LinkError::Foreign("a worker serves gateways only: correct `worker`".into());
        }
        let place = Place::new(self);
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let ended = tokio::select! {
            ended = self.listen(from, requests, &place, caller.role) => ended,
            ended = Showing::new(self, to, caller.role).run(asked) => ended,
        };
        ended.err().unwrap_or(LinkError::Silent)
    }

    async fn listen(
        &self,
        mut from: Reading,
        requests: mpsc::Sender<Request>,
        place: &Place<'_>,
        role: Role,
    ) -> Result<(), LinkError> {
        loop {
            let request = match frame::read(&mut from, FRAME_BYTES_MAX).await? {
                ToWorker::Pay(n, payment_id, order_id, amount_minor, currency) => {
                    let payment = Payment {
                        payment_id,
                        order_id,
                        amount_minor,
                        currency,
                    };
                    Request::Pay(n, payment)
                }
                ToWorker::Cancel(n, shard, ticket) => Request::Cancel(n, shard, ticket),
                ToWorker::Close if role == Role::Tool => Request::Close,
                ToWorker::Wanted(wants) => {
                    place.want(wants);
                    continue;
                }
                ToWorker::Alive | ToWorker::Close => continue,
            };
            if requests.send(request).await.is_err() {
                return Err(LinkError::Silent);
            }
        }
    }

    /// Keeps the sum of what the gateways' buyers wait for up to date.
    pub(crate) async fn add_up(&self) {
        let mut looks = tokio::time::interval(ADD_UP_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.changed.replace(false) {
                self.sum();
            }
        }
    }

    fn sum(&self) {
        let mut sums: HashMap<(ShardId, ItemIx), u32> = HashMap::new();
        for &(shard, item, units) in self.wants.borrow().values().flatten() {
            let sum = sums.entry((shard, item)).or_default();
            *sum = sum.saturating_add(units);
        }
        for shard in (0..self.shared.sale.shards).map(ShardId) {
            for item in (0..self.shared.sale.items.len()).map(|ix| ItemIx(ix as u16)) {
                let units = sums.get(&(shard, item)).copied().unwrap_or(0);
                self.wanted.set(shard, item, units);
            }
        }
    }

    /// The latest figures and their number, unless it is this one.
    fn figures_behind(&self, shown: Option<u64>) -> Option<(u64, Known)> {
        let mut latest = self.latest.borrow_mut();
        let is_due = latest
            .as_ref()
            .is_none_or(|figures| figures.at.elapsed() >= FIGURES_EVERY);
        if is_due {
            let (known, at) = (self.figures(), Instant::now());
            let n = match &*latest {
                Some(old) if old.known == known => old.n,
                Some(old) => old.n + 1,
                None => 0,
            };
            *latest = Some(Figures { n, known, at });
        }
        let latest = latest.as_ref().filter(|latest| shown != Some(latest.n))?;
        Some((latest.n, latest.known.clone()))
    }

    fn figures(&self) -> Known {
        let (shared, now) = (&self.shared, now_ms());
        let stock = shared.stock.iter().map(|stock| {
            let read = |n: &std::sync::atomic::AtomicU32| n.load(Ordering::Acquire);
            (read(&stock.sold), read(&stock.served), read(&stock.waiting))
        });
        let (lanes, per_second) = shared.forecast.load().inputs();
        Known {
            loaded: self.loaded.load(Ordering::Acquire),
            phase: shared.phase(now),
            oldest_waiting: shared.oldest_waiting.load(Ordering::Relaxed),
            stock: stock.collect(),
            lanes,
            per_second,
        }
    }
}

/// Ends the sale before its time, for good.
async fn close(shared: &Shared, orders: &Orders) -> bool {
    let (armed, draining) = (SalePhase::Armed.word(), SalePhase::Draining.word());
    if let Err(error) = orders.move_phase(armed, draining).await {
        tracing::warn!(%error, "the sale can't be closed now");
        return false;
    }
    shared.advance(SalePhase::Draining);
    true
}

/// One connection's part of what is waited for; gone with the connection.
struct Place<'h> {
    hub: &'h Hub,
    id: u64,
}

impl<'h> Place<'h> {
    fn new(hub: &'h Hub) -> Self {
        let id = rand::random();
        Self { hub, id }
    }

    fn want(&self, wants: Wants) {
        self.hub.wants.borrow_mut().insert(self.id, wants);
        self.hub.changed.set(true);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.hub.wants.borrow_mut().remove(&self.id);
        self.hub.changed.set(true);
    }
}

/// What one connection was shown so far.
struct Showing<'h> {
    hub: &'h Hub,
    to: Writing,
    role: Role,
    /// The number of the next post to tell.
    posts: Option<u64>,
    /// The number of the figures that were told.
    figures: Option<u64>,
    /// The revision of the amendments that was told.
    amended: u64,
    said: Instant,
}

impl<'h> Showing<'h> {
    fn new(hub: &'h Hub, to: Writing, role: Role) -> Self {
        Self {
            hub,
            to,
            role,
            posts: None,
            figures: None,
            amended: 0,
            said: Instant::now(),
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Result<(), LinkError> {
        tokio::time::sleep_until(self.hub.shows_from).await;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut under_way: FuturesUnordered<Answer> = FuturesUnordered::new();
        loop {
            let (mut taken, mut answers) = (Vec::new(), Vec::new());
            tokio::select! {
                _ = looks.tick() => {}
                _ = requests.recv_many(&mut taken, REQUESTS_MAX), if under_way.len() < UNDER_WAY_MAX => {}
                Some(answer) = under_way.next(), if !under_way.is_empty() => answers.push(answer),
            }
            under_way.extend(taken.into_iter().map(|request| self.serve(request)));
            // A commit answers many at once.
            while let Some(Some(answer)) = under_way.next().now_or_never() {
                answers.push(answer);
            }
            // What it changed is shown before the answer says so.
            self.show().await?;
            for answer in answers {
                self.say(&answer).await?;
            }
            if self.said.elapsed() > SPEAK_EVERY {
                self.say(&FromWorker::Alive).await?;
            }
            frame::flush(&mut self.to).await?;
        }
    }

    fn serve(&self, request: Request) -> Answer {
        let desk = self.hub.desk.clone();
        match request {
            Request::Pay(n, payment) => {
                Box::pin(async move { FromWorker::Paid(n, desk.pay(payment).await.ok()) })
            }
            Request::Cancel(n, shard, ticket) => {
                Box::pin(async move { FromWorker::Cancelled(n, desk.cancel(shard, ticket).await.ok()) })
            }
            Request::Close => {
                let (shared, orders) = (Arc::clone(&self.hub.shared), Arc::clone(&self.hub.orders));
                Box::pin(async move { FromWorker::Closed(close(&shared, &orders).await) })
            }
        }
    }

    async fn say(&mut self, what: &FromWorker) -> Result<(), LinkError> {
        self.said = Instant::now();
        frame::write(&mut self.to, what).await
    }

    async fn show(&mut self) -> Result<(), LinkError> {
        if self.role == Role::Tool {
            return Ok(());
        }
        let amended = self.hub.shared.amended();
        if amended.revision > self.amended {
            self.amended = amended.revision;
            self.say(&FromWorker::Amended(amended.text())).await?;
        }
        self.board().await?;
        if let Some((n, known)) = self.hub.figures_behind(self.figures) {
            self.figures = Some(n);
            self.say(&FromWorker::Figures(known)).await?;
        }
        Ok(())
    }

    async fn board(&mut self) -> Result<(), LinkError> {
        let board = &self.hub.shared.board;
        let mut told = self.posts.and_then(|at| board.news().since(at, LIST_MAX));
        if told.is_none() {
            // The first time, or so much was posted meanwhile that the board itself is shorter.
            let at = board.news().end();
            for (shard, at, bits) in board.pieces() {
                self.say(&FromWorker::Board { shard, at, bits }).await?;
            }
            self.say(&FromWorker::BoardShown).await?;
            self.posts = Some(at);
            told = board.news().since(at, LIST_MAX);
        }
        while let Some((places, behind)) = told.filter(|(places, _)| !places.is_empty()) {
            // What stands there now: a place that was posted twice never shows its older state again.
            let posts = places
                .into_iter()
                .map(|(shard, ix)| (shard, ix, board.bits(shard, ix)));
            let posts = FromWorker::Posts(posts.collect());
            self.posts = Some(behind);
            self.say(&posts).await?;
            told = board.news().since(behind, LIST_MAX);
        }
        Ok(())
    }
}
