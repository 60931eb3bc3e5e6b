//! A gateway's link to the worker, which takes the place of the worker's own shared memory and desk.

use super::client::{Dial, Reading, Talk, Writing};
use super::frame::{self, FRAME_BYTES_MAX, LinkError, SPEAK_EVERY, foreign};
use super::handshake::Role;
use super::key::LinkKey;
use super::words::{FromWorker, Known, ToWorker};
use crate::amendments::Amended;
use crate::desk::{CancelOutcome, PaymentOutcome, Request};
use crate::shards::Wanted;
use crate::shared::Shared;
use flashsale_core::ids::{ItemIx, SaleUid, ShardId};
use flashsale_core::lanes::Forecast;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// How often it is looked whether the buyers wait for something else.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Requests that wait for the connection; one more is answered "busy".
const REQUESTS_MAX: usize = 16 * 1_024;

/// Requests that are sent at once.
const REQUESTS_PER_TURN_MAX: usize = 256;

/// What this gateway has heard of the worker.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    board: AtomicBool,
    loaded: AtomicBool,
    /// Told when one of them has changed.
    pub(crate) changed: Notify,
}

impl Figures {
    /// What was never heard, if anything.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        if !self.board.load(Ordering::Acquire) {
            return Some("the worker hasn't shown the orders yet");
        }
        (!self.loaded.load(Ordering::Acquire)).then_some("the stock isn't loaded yet")
    }

    fn note(&self, which: &AtomicBool) {
        if !which.swap(true, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }
}

/// The link to the worker.
pub(crate) struct DeskLink {
    shared: Arc<Shared>,
    figures: Arc<Figures>,
    wanted: Arc<Wanted>,
    open: Rc<RefCell<Option<mpsc::Sender<Request>>>>,
}

impl DeskLink {
    /// The link, and what passes on the desk's `requests`: without a connection they are dropped, which says "busy".
    pub(crate) fn new(
        shared: Arc<Shared>,
        figures: Arc<Figures>,
        wanted: Arc<Wanted>,
        mut requests: mpsc::Receiver<Request>,
    ) -> (Self, impl Future<Output = ()>) {
        let open: Rc<RefCell<Option<mpsc::Sender<Request>>>> = Rc::default();
        let to = Rc::clone(&open);
        let pass = async move {
            while let Some(request) = requests.recv().await {
                if let Some(open) = &*to.borrow() {
                    let _ = open.try_send(request);
                }
            }
        };
        let this = Self {
            shared,
            figures,
            wanted,
            open,
        };
        (this, pass)
    }
}

enum Waiting {
    Paid(oneshot::Sender<PaymentOutcome>),
    Cancelled(oneshot::Sender<CancelOutcome>),
}

/// Requests that wait for the worker's answer. Dropped with the connection, which says "busy".
type Waitings = RefCell<HashMap<u64, Waiting>>;

impl Talk for DeskLink {
    async fn talk(&mut self, from: Reading, to: Writing) -> LinkError {
        let (open, requests) = mpsc::channel(REQUESTS_MAX);
        self.open.replace(Some(open));
        let waiting = Waitings::default();
        let ended = tokio::select! {
            ended = self.listen(from, &waiting) => ended,
            ended = self.tell(to, requests, &waiting) => ended,
        };
        ended.err().unwrap_or(LinkError::Silent)
    }

    fn lost(&mut self) {
        self.open.replace(None);
    }
}

impl DeskLink {
    async fn listen(&self, mut from: Reading, waiting: &Waitings) -> Result<(), LinkError> {
        let board = &self.shared.board;
        loop {
            match frame::read(&mut from, FRAME_BYTES_MAX).await? {
                FromWorker::Board { shard, at, bits } => {
                    if !board.copy(shard, at, &bits) {
                        return Err(foreign("a board of other shards"));
                    }
                }
                FromWorker::BoardShown => self.figures.note(&self.figures.board),
                FromWorker::Posts(posts) => {
                    if !posts
                        .iter()
                        .all(|(shard, ix, bits)| board.copy(*shard, *ix, &[*bits]))
                    {
                        return Err(foreign("a board of other shards"));
                    }
                }
                FromWorker::Figures(known) => self.take(known)?,
                FromWorker::Paid(n, outcome) => {
                    let asked = waiting.borrow_mut().remove(&n);
                    if let (Some(Waiting::Paid(reply)), Some(outcome)) = (asked, outcome) {
                        // Whoever asked may have gone.
                        let _ = reply.send(outcome);
                    }
                }
                FromWorker::Cancelled(n, outcome) => {
                    let asked = waiting.borrow_mut().remove(&n);
                    if let (Some(Waiting::Cancelled(reply)), Some(outcome)) = (asked, outcome) {
                        let _ = reply.send(outcome);
                    }
                }
                FromWorker::Amended(text) => {
                    let amended = Amended::read(&text).map_err(|e| foreign(&e.to_string()))?;
                    self.shared.amend(amended);
                }
                FromWorker::Closed(_) | FromWorker::Alive => {}
            }
        }
    }

    fn take(&self, known: Known) -> Result<(), LinkError> {
        let Known {
            loaded,
            phase,
            oldest_waiting,
            stock,
            lanes,
            per_second,
        } = known;
        let shared = &self.shared;
        if stock.len() != shared.stock.len() {
            return Err(foreign("figures of other items"));
        }
        for (own, (sold, served, waiting)) in shared.stock.iter().zip(stock) {
            own.sold.store(sold, Ordering::Relaxed);
            own.waiting.store(waiting, Ordering::Relaxed);
            own.served.store(served, Ordering::Release);
        }
        shared.oldest_waiting.store(oldest_waiting, Ordering::Relaxed);
        shared.forecast.store(Arc::new(Forecast::new(&lanes, per_second)));
        shared.advance(phase);
        if loaded {
            shared.loaded.store(true, Ordering::Release);
            self.figures.note(&self.figures.loaded);
        }
        Ok(())
    }

    async fn tell(
        &self,
        mut to: Writing,
        mut requests: mpsc::Receiver<Request>,
        waiting: &Waitings,
    ) -> Result<(), LinkError> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut n, mut wanted, mut said) = (0, Vec::new(), tokio::time::Instant::now());
        loop {
            let (mut taken, mut words) = (Vec::new(), Vec::new());
            tokio::select! {
                _ = looks.tick() => {
                    let now = self.wants();
                    if now != wanted {
                        wanted.clone_from(&now);
                        words.push(ToWorker::Wanted(now));
                    }
                }
                _ = requests.recv_many(&mut taken, REQUESTS_PER_TURN_MAX) => {}
            }
            for request in taken {
                n += 1;
                words.push(note(n, request, waiting));
            }
            if said.elapsed() > SPEAK_EVERY {
                words.push(ToWorker::Alive);
            }
            for word in words {
                frame::write(&mut to, &word).await?;
                said = tokio::time::Instant::now();
            }
            frame::flush(&mut to).await?;
        }
    }

    fn wants(&self) -> Vec<(ShardId, ItemIx, u32)> {
        let sale = &self.shared.sale;
        let items = || (0..sale.items.len()).map(|ix| ItemIx(ix as u16));
        let cells = (0..sale.shards)
            .map(ShardId)
            .flat_map(|shard| items().map(move |item| (shard, item)));
        let wants = cells.map(|(shard, item)| (shard, item, self.wanted.units(shard, item)));
        wants.filter(|(_, _, units)| *units > 0).collect()
    }
}

fn note(n: u64, request: Request, waiting: &Waitings) -> ToWorker {
    let (word, reply) = match request {
        Request::Pay(payment, reply) => {
            let crate::desk::Payment {
                payment_id,
                order_id,
                amount_minor,
                currency,
            } = payment;
            let word = ToWorker::Pay(n, payment_id, order_id, amount_minor, currency);
            (word, Waiting::Paid(reply))
        }
        Request::Cancel(shard, ticket, reply) => {
            (ToWorker::Cancel(n, shard, ticket), Waiting::Cancelled(reply))
        }
    };
    waiting.borrow_mut().insert(n, reply);
    word
}

/// Asks the worker at `address` to end the sale before its time, for good.
///
/// # Errors
/// The worker can't be reached, or can't write it down now: try again.
pub async fn close_early(address: &str, key: &LinkKey, sale: SaleUid) -> Result<(), String> {
    let dial = Dial {
        address: address.to_owned(),
        what: "worker",
        shards: Vec::new(),
        role: Role::Tool,
        name: "tool".to_owned(),
        sale,
        key: key.clone(),
        links: Arc::default(),
    };
    let close = async {
        let (mut from, mut to) = dial.connect().await?;
        frame::write(&mut to, &ToWorker::Close).await?;
        frame::flush(&mut to).await?;
        loop {
            if let FromWorker::Closed(closed) = frame::read(&mut from, FRAME_BYTES_MAX).await? {
                return Ok::<_, LinkError>(closed);
            }
        }
    };
    match close.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "worker at {address}: the order database can't be written now; try again"
        )),
        Err(why) => Err(format!("worker at {address}: {why}")),
    }
}
