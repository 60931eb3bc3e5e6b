//! The host: the one thread that owns all shards of this process.
//!
//! Batches of attempts come in from the gateways, answers go back, events go to the journal, and what
//! the journal has made durable comes back and becomes promises. Nothing here blocks on the disk or
//! the database.

use crate::audit::Served;
use crate::clock::now_ms;
use crate::counters::add;
use crate::shared::{Shared, UNKNOWN};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use flashsale_core::attempt::{Answer, Attempt, Registered};
use flashsale_core::engine::Engine;
use flashsale_core::event::{self, Change, Record, ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, ItemIx, Seq, ShardId};
use flashsale_core::owner::{Effect, Phase};
use flashsale_core::room::{Room, ShardEffect};
use flashsale_core::units;
use flashsale_core::view::ShardView;
use flashsale_journal::{AppendError, CommittedBatch, Failure, Journal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, UnboundedSender};

/// At most so many messages wait for the host; a gateway that finds it full answers "busy".
pub const INBOX_MAX: usize = 4096;
/// At most so many attempts wait for units of other shards.
pub const WAITING_MAX: usize = 200_000;
/// Events of one shard in one record.
const EVENTS_PER_RECORD_MAX: usize = 512;
/// Messages taken before answers go out.
const BURST_MAX: usize = 256;
/// Without progress for so long, what wasn't read back is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// What the host is asked to do.
#[derive(Debug)]
pub enum Message {
    /// Attempts of buyers whose home is `shard`. Tokens come from [`token`].
    Purchase {
        /// The buyers' home.
        shard: ShardId,
        /// The attempts.
        attempts: Vec<Attempt>,
    },
    /// A buyer registers ahead of the sale.
    Register {
        /// From [`token`].
        token: u64,
        /// The buyer's home.
        shard: ShardId,
        /// Who.
        buyer: BuyerKey,
    },
    /// The database has closed these orders: free their units. Repeated until applied.
    Release(Vec<(ShardId, TicketNo, ReleaseReason)>),
    /// The database has applied these shards' events up to these numbers.
    Applied(Vec<(ShardId, Seq)>),
    /// Load the declared stock; answers when all of it is promised.
    Load(Sender<()>),
    /// Send a copy of each shard's state, for the audit.
    Dump(Sender<Vec<Option<Served>>>),
    /// End the thread.
    Stop,
}

/// What the host answers a gateway.
#[derive(Debug, Clone, Copy)]
pub enum HostReply {
    /// To an attempt.
    Purchase(u64, Answer),
    /// To a registration.
    Register(u64, Registered),
    /// What was sent to the shard may have been taken or not.
    Unknown(u64),
}

/// Where a gateway's answers go.
pub type ReplySender = UnboundedSender<Vec<HostReply>>;

/// The token of a gateway's `slot`: comes back with the answer, which goes to that gateway.
#[must_use]
pub fn token(gateway: u8, slot: u64) -> u64 {
    u64::from(gateway) << 56 | slot & (u64::MAX >> 8)
}

/// The gateway's own slot in a token.
#[must_use]
pub fn slot_of(token: u64) -> u64 {
    token & (u64::MAX >> 8)
}

/// A gateway's way to whoever decides: the host, or the shards elsewhere.
#[derive(Debug, Clone)]
pub struct Port {
    inbox: Inbox,
}

#[derive(Debug, Clone)]
enum Inbox {
    Host(Sender<Message>),
    Room(mpsc::Sender<Message>),
}

impl Port {
    /// A port and the inbox for [`Host::run`].
    #[must_use]
    pub fn channel() -> (Self, Receiver<Message>) {
        let (inbox, receiver) = crossbeam_channel::bounded(INBOX_MAX);
        let inbox = Inbox::Host(inbox);
        (Self { inbox }, receiver)
    }

    /// A port and the inbox for a task.
    #[must_use]
    pub fn to_task() -> (Self, mpsc::Receiver<Message>) {
        let (inbox, receiver) = mpsc::channel(INBOX_MAX);
        let inbox = Inbox::Room(inbox);
        (Self { inbox }, receiver)
    }

    /// Sends without waiting; gives the message back if the host is too busy or gone.
    ///
    /// # Errors
    /// The message, not sent.
    pub fn try_send(&self, message: Message) -> Result<(), Message> {
        match &self.inbox {
            Inbox::Host(inbox) => inbox.try_send(message).map_err(|refused| match refused {
                TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
            }),
            Inbox::Room(inbox) => inbox.try_send(message).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message) => {
                    message
                }
            }),
        }
    }

    /// Sends, waiting for room; `false` if the host is gone. Not for gateways: their threads never wait.
    #[must_use]
    pub fn send(&self, message: Message) -> bool {
        match &self.inbox {
            Inbox::Host(inbox) => inbox.send(message).is_ok(),
            Inbox::Room(inbox) => inbox.blocking_send(message).is_ok(),
        }
    }
}

/// Why the host ended.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The journal stopped.
    #[error("{0}")]
    Journal(#[from] Failure),
    /// The journal's content isn't a consistent history of this sale.
    #[error("shard {shard}: {problem}; nothing was changed: keep the data directory and report this")]
    Broken {
        /// Which shard.
        shard: u16,
        /// What is wrong.
        problem: String,
    },
}

/// The thread's state. See the module.
pub struct Host {
    room: Room,
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    gateways: Vec<ReplySender>,
    replies: Vec<Vec<HostReply>>,
    answers: Vec<(u64, Answer)>,
    effects: Vec<ShardEffect>,
    dirty: Vec<bool>,
    progress_at: Instant,
    loading: Option<Sender<()>>,
}

impl Host {
    /// A host of `room`, whose owners have been claimed, that answers `gateways`.
    #[must_use]
    pub fn new(room: Room, shared: Arc<Shared>, journal: Arc<Journal>, gateways: Vec<ReplySender>) -> Self {
        Self {
            replies: gateways.iter().map(|_| Vec::new()).collect(),
            dirty: vec![true; usize::from(shared.sale.shards)],
            room,
            shared,
            journal,
            gateways,
            answers: Vec::new(),
            effects: Vec::new(),
            progress_at: Instant::now(),
            loading: None,
        }
    }

    /// Publishes the owners' barriers, which fence off whoever held the shards before.
    ///
    /// # Errors
    /// The journal stopped.
    pub fn fence(&mut self) -> Result<(), HostError> {
        self.room.resend(&mut self.effects);
        self.act()
    }

    /// Feeds a durable record of the past, or one that has just become durable.
    ///
    /// # Errors
    /// The record isn't one of this sale, or doesn't follow from those before it.
    pub fn read(&mut self, partition: u16, bytes: &[u8]) -> Result<(), HostError> {
        let shard = ShardId(partition);
        let broken = |problem: String| HostError::Broken {
            shard: partition,
            problem,
        };
        if usize::from(partition) >= self.dirty.len() {
            return Err(broken(format!(
                "the journal has more shards than the sale's {}",
                self.dirty.len()
            )));
        }
        let record = event::decode(self.shared.sale.uid, shard, bytes).map_err(|e| broken(e.to_string()))?;
        // For the past: what this process made is in already.
        self.remember_winners(&record);
        self.room.read(shard, &record, &mut self.effects);
        self.dirty[shard.ix()] = true;
        self.act()
    }

    /// Runs until told to stop or until the journal fails.
    ///
    /// # Errors
    /// See [`HostError`]; nothing that was promised is lost.
    pub fn run(
        mut self,
        inbox: &Receiver<Message>,
        committed: &Receiver<Result<CommittedBatch, Failure>>,
    ) -> Result<(), HostError> {
        let ticker = crossbeam_channel::tick(RESEND_AFTER / 2);
        loop {
            crossbeam_channel::select! {
                recv(committed) -> batch => match batch {
                    Ok(batch) => self.committed(batch?)?,
                    Err(_) => return Ok(()),
                },
                recv(inbox) -> message => match message {
                    Ok(Message::Stop) | Err(_) => return Ok(()),
                    Ok(message) => self.take(message),
                },
                recv(ticker) -> _ => self.resend_if_stuck()?,
            }
            for _ in 0..BURST_MAX {
                if let Ok(batch) = committed.try_recv() {
                    self.committed(batch?)?;
                } else if let Ok(message) = inbox.try_recv() {
                    if matches!(message, Message::Stop) {
                        return Ok(());
                    }
                    self.take(message);
                } else {
                    break;
                }
            }
            self.room.settle(now_ms(), &mut self.answers);
            self.publish()?;
            self.show();
            self.answer();
        }
    }

    fn committed(&mut self, batch: CommittedBatch) -> Result<(), HostError> {
        self.progress_at = Instant::now();
        batch
            .into_iter()
            .try_for_each(|c| self.read(c.partition, &c.record))
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Purchase { shard, attempts } => {
                add(&self.shared.counters.core_calls, 1);
                add(&self.shared.counters.core_attempts, attempts.len() as u64);
                self.room.purchase(now_ms(), shard, attempts, &mut self.answers);
                self.dirty[shard.ix()] = true;
            }
            Message::Register { token, shard, buyer } => {
                let registered = self.room.register(shard, buyer);
                self.reply(token, HostReply::Register(token, registered));
            }
            Message::Release(releases) => {
                for (shard, ticket, reason) in releases {
                    self.room.release(shard, ticket, reason);
                    self.dirty[shard.ix()] = true;
                }
            }
            Message::Applied(applied) => {
                for (shard, n) in applied {
                    self.room.applied(shard, n);
                    self.dirty[shard.ix()] = true;
                }
            }
            Message::Load(done) => {
                self.load();
                self.loading = Some(done);
            }
            Message::Dump(to) => {
                // Whoever asked may have gone; then nobody needs the copy.
                let served = |engine: &Engine| Served::Engine(Box::new(engine.clone()));
                let _ = to.send(self.room.engines().map(|engine| engine.map(served)).collect());
            }
            Message::Stop => {}
        }
    }

    fn load(&mut self) {
        let shards = self.shared.sale.shards;
        for (ix, item) in self.shared.sale.items.iter().enumerate() {
            for shard in 0..shards {
                let units = units::share(item.stock, shard, shards);
                self.room.load(ShardId(shard), 1, ItemIx(ix as u16), units);
            }
        }
        self.dirty.fill(true);
    }

    fn act(&mut self) -> Result<(), HostError> {
        for (shard, effect) in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Publish(record) => self.append(shard, &record)?,
                Effect::Broken(inconsistent) => {
                    let problem = inconsistent.to_string();
                    return Err(HostError::Broken {
                        shard: shard.0,
                        problem,
                    });
                }
                Effect::Fenced => {
                    let problem = "another owner has taken the shard over".to_owned();
                    return Err(HostError::Broken {
                        shard: shard.0,
                        problem,
                    });
                }
                Effect::Opened | Effect::Promised { .. } => self.dirty[shard.ix()] = true,
                // The room routes transfers itself; bypass isn't entered while log and database share a disk.
                Effect::Send { .. } | Effect::Ack { .. } | Effect::BypassCopied => {}
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), HostError> {
        loop {
            let mut records = Vec::new();
            self.room.publish(EVENTS_PER_RECORD_MAX, &mut records);
            if records.is_empty() {
                return Ok(());
            }
            for (shard, record) in &records {
                // Before anybody hears of it, so that no winner is ever told "sold out" from memory.
                self.remember_winners(record);
                self.dirty[shard.ix()] = true;
                self.append(*shard, record)?;
            }
        }
    }

    fn remember_winners(&self, record: &Record) {
        let Record::Batch { events, .. } = record else {
            return;
        };
        for event in events {
            if let Change::Reserved(reservation) = &event.change {
                self.shared.winners.insert(reservation.buyer);
            }
        }
    }

    fn append(&self, shard: ShardId, record: &Record) -> Result<(), HostError> {
        match self
            .journal
            .append(shard.0, event::encode(self.shared.sale.uid, shard, record))
        {
            // A full queue drops the record; it wasn't read back, so it is sent again.
            Ok(_) | Err(AppendError::Full { .. }) => Ok(()),
            Err(refused) => match self.journal.failure() {
                Some(failure) => Err(failure.into()),
                None => Err(HostError::Broken {
                    shard: shard.0,
                    problem: refused.to_string(),
                }),
            },
        }
    }

    fn resend_if_stuck(&mut self) -> Result<(), HostError> {
        let unread = self
            .room
            .owners()
            .any(|o| o.phase() != Phase::Open || behind(&o.progress()));
        if unread && self.progress_at.elapsed() > RESEND_AFTER {
            self.progress_at = Instant::now();
            self.room.resend(&mut self.effects);
            self.act()?;
        }
        Ok(())
    }

    /// Shows the gateways what has changed, before they get their answers.
    fn show(&mut self) {
        if !self.dirty.contains(&true) {
            return;
        }
        let items = self.shared.sale.items.len();
        for (owner, dirty) in self.room.owners().zip(&mut self.dirty) {
            if std::mem::take(dirty) {
                let view = ShardView::of(owner, items);
                self.shared.shards[owner.shard().ix()].store(Arc::new(view));
            }
        }
        for (ix, stock) in self.shared.stock.iter().enumerate() {
            let item = ItemIx(ix as u16);
            let in_transfer = self.room.owners().map(|o| o.in_transfer(item)).sum();
            stock.in_transfer.store(in_transfer, Ordering::Relaxed);
            let available = self.room.available(item).unwrap_or(UNKNOWN);
            stock.available.store(available, Ordering::Release);
        }
        if self.loading.is_some() && !self.room.owners().any(|o| behind(&o.progress())) {
            // Whoever asked may have gone; the stock is loaded all the same.
            let _ = self.loading.take().map(|done| done.send(()));
        }
    }

    fn answer(&mut self) {
        for (token, answer) in std::mem::take(&mut self.answers) {
            self.reply(token, HostReply::Purchase(token, answer));
        }
        for (gateway, replies) in self.gateways.iter().zip(&mut self.replies) {
            if !replies.is_empty() {
                // A gateway that has ended needs no answers.
                let _ = gateway.send(std::mem::take(replies));
            }
        }
    }

    fn reply(&mut self, token: u64, reply: HostReply) {
        if let Some(replies) = self.replies.get_mut((token >> 56) as usize) {
            replies.push(reply);
        }
    }
}

fn behind(progress: &flashsale_core::owner::Progress) -> bool {
    progress.promised + 1 < progress.next
}
