//! One shard's keeper: the owner of a shard whose engine runs in Redis.
//!
//! Redis decides; its decisions come out of the outbox, go into the order log, and are promised once they were read
//! back from it. Whenever Redis or the connection to it is lost, the shard is taken over anew: nothing is assumed
//! about what Redis still holds.

use super::takeover::{Taken, take_over};
use super::{Amend, Command};
use crate::audit::Served;
use crate::shared::Shared;
use flashsale_core::engine::Inconsistent;
use flashsale_core::event::{self, Change, Event, Record, ReleaseReason, TicketNo};
use flashsale_core::ids::{ItemIx, Seq, ShardId};
use flashsale_core::owner::{Effect, Owner, Phase};
use flashsale_core::units;
use flashsale_core::view::ShardView;
use flashsale_orders::Orders;
use flashsale_pulsar::{Delivery, Names, OrderLog, Reader, Service};
use flashsale_redis::{CallError, ConnectError, Credentials, Options, SidecarShard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Events of one shard in one record of the log.
const EVENTS_PER_RECORD_MAX: usize = 512;
/// Batches of decided events that wait for the keeper.
const DECIDED_MAX: usize = 64;
/// How often it is looked whether something has to be sent again or trimmed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without progress for so long, what wasn't read back is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(1_000);
/// Before a lost shard is taken over again.
const PAUSE: Duration = Duration::from_millis(200);

/// How gateways reach the shard now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The owner's epoch: calls carry it.
    pub epoch: flashsale_core::ids::Epoch,
    /// The login of this epoch.
    pub login: Credentials,
}

/// Why a shard can't be kept any more.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The log or Redis holds events that don't follow from each other.
    #[error("shard {shard}: {source}; nothing was changed: keep the data and report this")]
    Broken {
        /// Which shard.
        shard: u16,
        /// What is wrong.
        source: Inconsistent,
    },
    /// A record of the log isn't this sale's, or is damaged.
    #[error("shard {shard}: {source}")]
    Record {
        /// Which shard.
        shard: u16,
        /// What is wrong.
        source: event::DecodeError,
    },
    /// Somebody else has claimed the shard.
    #[error(
        "shard {shard}: another owner has taken the shard over; this one takes and promises nothing any more"
    )]
    Fenced {
        /// Which shard.
        shard: u16,
    },
    /// The order database.
    #[error(transparent)]
    Orders(#[from] flashsale_orders::Error),
    /// The shard's row says that the database promises; this keeper doesn't know how to go on then.
    #[error(
        "shard {shard}: the order database says that the log is bypassed, which this version doesn't serve on Redis"
    )]
    Bypassed {
        /// Which shard.
        shard: u16,
    },
    /// This Redis can't serve a sale.
    #[error(transparent)]
    Unfit(ConnectError),
}

/// Why a shard has to be taken over anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// It can't be kept at all.
    #[error(transparent)]
    Ended(#[from] KeeperError),
    /// Redis can't be reached.
    #[error(transparent)]
    Connect(ConnectError),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Nobody needs the shard any more.
    #[error("the keeper was told to end")]
    Stopped,
}

impl From<ConnectError> for Lost {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Address { .. } | ConnectError::Unfit { .. } | ConnectError::Login { .. } => {
                Self::Ended(KeeperError::Unfit(error))
            }
            other => Self::Connect(other),
        }
    }
}

/// What a keeper works with.
pub(super) struct Keeper {
    pub(super) shard: ShardId,
    pub(super) shared: Arc<Shared>,
    pub(super) redis: Options,
    pub(super) service: Service,
    pub(super) names: Names,
    pub(super) log: Arc<OrderLog>,
    pub(super) orders: Arc<Orders>,
    pub(super) applied: watch::Receiver<Seq>,
    pub(super) gate: watch::Sender<Option<Gate>>,
    /// All shards' keepers. Weak, so that they end when nobody else can command them.
    pub(super) keepers: Vec<mpsc::WeakSender<Command>>,
}

impl Keeper {
    /// Keeps the shard until the commands' other ends are dropped.
    ///
    /// # Errors
    /// The shard can't be kept any more.
    pub(super) async fn run(self, mut commands: mpsc::Receiver<Command>) -> Result<(), KeeperError> {
        let mut served = false;
        loop {
            let lost = match take_over(&self, &mut commands).await {
                Ok(taken) => {
                    served = true;
                    Serving::new(&self, taken).run(&mut commands).await
                }
                Err(lost) => lost,
            };
            self.gate.send_replace(None);
            let items = self.shared.sale.items.len();
            let mut view = (*self.shared.shards[self.shard.ix()].load_full()).clone();
            // What was promised stays true while nobody keeps the shard.
            view.phase = Phase::Fencing;
            view.free = vec![0; items];
            self.shared.show(self.shard, view);
            match lost {
                Lost::Stopped => return Ok(()),
                // The claim waits for the database.
                Lost::Ended(KeeperError::Orders(error)) if error.kind().may_pass() => {
                    tracing::warn!(shard = self.shard.0, %error, "the shard can't be claimed now; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                // A Redis that served before is being mended or failed over; one that never did is set up wrongly.
                Lost::Ended(error) if !(served && matches!(error, KeeperError::Unfit(_))) => {
                    return Err(error);
                }
                Lost::Ended(_) | Lost::Connect(_) | Lost::Call(_) => {
                    tracing::warn!(shard = self.shard.0, %lost, "the shard is lost; taking it over again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Publishes what an owner wants published; what it finds wrong ends the keeper.
    pub(super) fn act(&self, effects: Vec<Effect>) -> Result<(), KeeperError> {
        let shard = self.shard.0;
        for effect in effects {
            match effect {
                Effect::Publish(record) => self.publish(&record),
                Effect::Broken(source) => return Err(KeeperError::Broken { shard, source }),
                Effect::Fenced => return Err(KeeperError::Fenced { shard }),
                Effect::Send { to, transfer } => {
                    let from = self.shard;
                    self.tell(to, Command::TransferArrived { from, transfer });
                }
                Effect::Ack { to, number } => {
                    let recipient = self.shard;
                    self.tell(
                        to,
                        Command::Acked {
                            to: recipient,
                            number,
                        },
                    );
                }
                Effect::Opened | Effect::Promised { .. } | Effect::BypassCopied => {}
            }
        }
        Ok(())
    }

    /// Tells another keeper; one that has no room now is told again.
    fn tell(&self, shard: ShardId, command: Command) {
        if let Some(keeper) = self.keepers[shard.ix()].upgrade() {
            let _ = keeper.try_send(command);
        }
    }

    pub(super) fn publish(&self, record: &Record) {
        let bytes = event::encode(self.shared.sale.uid, self.shard, record);
        if let Err(refused) = self.log.append(self.shard.0, bytes) {
            // It isn't read back, so it is sent again.
            tracing::debug!(shard = self.shard.0, %refused, "a record has to wait");
        }
    }

    /// The record of a delivery; `None` for its other kinds.
    pub(super) fn record(&self, delivery: &Delivery) -> Result<Option<Record>, KeeperError> {
        let Delivery::Record(record) = delivery else {
            return Ok(None);
        };
        let decoded = event::decode(self.shared.sale.uid, self.shard, &record.bytes);
        decoded.map(Some).map_err(|source| KeeperError::Record {
            shard: self.shard.0,
            source,
        })
    }

    /// Before anybody hears of their ticket, so that no winner is ever told "sold out" from memory.
    pub(super) fn remember_winners(&self, events: &[Event]) {
        for event in events {
            if let Change::Reserved(reservation) = &event.change {
                self.shared.winners.insert(reservation.buyer);
            }
        }
    }

    pub(super) fn show(&self, owner: &Owner) {
        let items = self.shared.sale.items.len();
        self.shared.show(self.shard, ShardView::of(owner, items));
    }
}

/// Units that come in under a load id.
type Load = (u32, ItemIx, units::UnitRange);
/// Loads, and who waits for them to be promised.
type Awaited = (Vec<(u32, ItemIx)>, oneshot::Sender<()>);

/// An open shard.
struct Serving<'k> {
    keeper: &'k Keeper,
    owner: Owner,
    redis: SidecarShard,
    log: Reader,
    decided: mpsc::Receiver<Result<Vec<Event>, CallError>>,
    outbox: JoinHandle<()>,
    progress_at: Instant,
    trimmed: Seq,
    /// Recipients that a transfer was asked for of which the outbox hasn't shown anything yet.
    asked: BTreeSet<ShardId>,
    /// Who waits for loads to be promised.
    loading: Vec<Awaited>,
    applied: watch::Receiver<Seq>,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.outbox.abort();
    }
}

impl<'k> Serving<'k> {
    fn new(keeper: &'k Keeper, taken: Taken) -> Self {
        let Taken { owner, redis, log } = taken;
        let (to, decided) = mpsc::channel(DECIDED_MAX);
        let outbox = tokio::spawn(read_outbox(redis.clone(), owner.engine().len(), to));
        Self {
            keeper,
            trimmed: 0,
            owner,
            redis,
            log,
            decided,
            outbox,
            progress_at: Instant::now(),
            asked: BTreeSet::new(),
            loading: Vec::new(),
            applied: keeper.applied.clone(),
        }
    }

    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) -> Lost {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.keeper.show(&self.owner);
        loop {
            let turn = tokio::select! {
                Some(decided) = self.decided.recv() => self.decided(decided),
                Some(delivery) = self.log.next() => self.read(&delivery),
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return Lost::Stopped,
                },
                Ok(()) = self.applied.changed() => {
                    self.owner.applied(*self.applied.borrow_and_update());
                    Ok(())
                }
                _ = looks.tick() => self.look().await,
            };
            if let Err(lost) = turn {
                return lost;
            }
            while let Some(record) = self.owner.publish(EVENTS_PER_RECORD_MAX) {
                self.keeper.publish(&record);
            }
            self.keeper.show(&self.owner);
            self.loaded();
        }
    }

    fn decided(&mut self, decided: Result<Vec<Event>, CallError>) -> Result<(), Lost> {
        let mut next = Some(decided?);
        let mut batches = 0;
        // What has come meanwhile goes into the same record.
        while let Some(events) = next {
            for event in &events {
                if let Change::TransferOut { to, .. } = &event.change {
                    self.asked.remove(to);
                }
            }
            self.keeper.remember_winners(&events);
            let shard = self.keeper.shard.0;
            let taken_in = self.owner.decided(events);
            taken_in.map_err(|source| KeeperError::Broken { shard, source })?;
            batches += 1;
            next = if batches < DECIDED_MAX {
                self.decided.try_recv().ok().transpose()?
            } else {
                None
            };
        }
        Ok(())
    }

    fn read(&mut self, delivery: &Delivery) -> Result<(), Lost> {
        if let Some(record) = self.keeper.record(delivery)? {
            let mut effects = Vec::new();
            self.owner.read(&record, &mut effects);
            self.progress_at = Instant::now();
            self.keeper.act(effects)?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), Lost> {
        match command {
            Command::Release(tickets) => self.release(tickets).await?,
            Command::TransferOut { to, item, units } => self.transfer_out(to, item, units).await?,
            Command::TransferArrived { from, transfer } => {
                let mut effects = Vec::new();
                if self.owner.wants_transfer(from, &transfer, &mut effects) {
                    self.redis.transfer_in(from, &transfer).await?;
                }
                self.keeper.act(effects)?;
            }
            Command::Acked { to, number } => self.owner.acked(to, number),
            Command::Load(done) => {
                let declared = self.shares();
                self.load(&declared, done).await?;
            }
            Command::Amend(amend, done) => self.amend(amend, done).await?,
            Command::Dump(to) => {
                // What was decided before is all in the outbox now, and it is read in order.
                let state = self.redis.dump().await?;
                let engine = self.owner.engine();
                let served = if state == flashsale_redis::State::from(engine) {
                    Served::Engine(Box::new(engine.clone()))
                } else {
                    let (held, decided) = (state.n, engine.len());
                    Served::Differs(format!(
                        "what Redis holds (up to event {held}) differs from what it decided (up to event {decided})"
                    ))
                };
                // Whoever asked may have gone.
                let _ = to.send(served);
            }
        }
        Ok(())
    }

    async fn release(&mut self, tickets: Vec<(TicketNo, ReleaseReason)>) -> Result<(), Lost> {
        let may = |(ticket, _): &(TicketNo, ReleaseReason)| self.owner.may_release(*ticket);
        let tickets: Vec<_> = tickets.into_iter().filter(may).collect();
        for some in tickets.chunks(EVENTS_PER_RECORD_MAX) {
            self.redis.release(some).await?;
        }
        Ok(())
    }

    async fn transfer_out(&mut self, to: ShardId, item: ItemIx, units: u32) -> Result<(), Lost> {
        if !self.owner.may_transfer(to) || !self.asked.insert(to) {
            return Ok(());
        }
        if !self.redis.transfer_out(to, item, units).await? {
            self.asked.remove(&to);
        }
        Ok(())
    }

    /// Lets the sale end later, and loads what was added.
    async fn amend(&mut self, amend: Amend, done: oneshot::Sender<()>) -> Result<(), Lost> {
        self.keeper.shared.extend(amend.closes);
        if amend.closes > self.owner.engine().rules().closes {
            self.redis.extend(amend.closes).await?;
            self.owner.extend(amend.closes);
        }
        self.load(&amend.loads, done).await
    }

    /// Loads units, as far as these loads haven't come in.
    async fn load(&mut self, loads: &[Load], done: oneshot::Sender<()>) -> Result<(), Lost> {
        for (load, item, units) in loads {
            if !self.owner.engine().has_load(*load, *item) {
                self.redis.load_units(*load, *item, *units).await?;
            }
        }
        let awaited: Vec<_> = loads.iter().map(|(load, item, _)| (*load, *item)).collect();
        // Asked again meanwhile: the last one is answered.
        self.loading.retain(|(before, _)| *before != awaited);
        self.loading.push((awaited, done));
        Ok(())
    }

    /// This shard's part of the declared stock.
    fn shares(&self) -> Vec<Load> {
        let (sale, shard) = (&self.keeper.shared.sale, self.keeper.shard);
        let items = (0..).map(ItemIx).zip(&sale.items);
        items
            .map(|(ix, item)| (1, ix, units::share(item.stock, shard.0, sale.shards)))
            .filter(|(_, _, units)| units.len > 0)
            .collect()
    }

    /// Answers whoever waits for loads, once all of them are promised.
    fn loaded(&mut self) {
        if self.loading.is_empty() {
            return;
        }
        let (engine, progress) = (self.owner.engine(), self.owner.progress());
        if progress.promised < engine.len() {
            return;
        }
        let all = std::mem::take(&mut self.loading);
        let here =
            |awaited: &[(u32, ItemIx)]| awaited.iter().all(|(load, item)| engine.has_load(*load, *item));
        let (there, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|(awaited, _)| here(awaited));
        self.loading = waiting;
        for (_, done) in there {
            // Whoever asked may have gone; the units are loaded all the same.
            let _ = done.send(());
        }
    }

    async fn look(&mut self) -> Result<(), Lost> {
        let progress = self.owner.progress();
        let unread = progress.promised + 1 < progress.next;
        if unread && self.progress_at.elapsed() > RESEND_AFTER {
            self.progress_at = Instant::now();
            let mut effects = Vec::new();
            self.owner.republish(&mut effects);
            self.keeper.act(effects)?;
        }
        let mut effects = Vec::new();
        self.owner.resend_transfers(&mut effects);
        self.keeper.act(effects)?;
        let behind = progress.applied.min(progress.promised);
        if behind > self.trimmed {
            self.redis.trim(behind).await?;
            self.trimmed = behind;
        }
        Ok(())
    }
}

/// Hands on what Redis decided behind number `after`, until that fails or nobody listens.
async fn read_outbox(redis: SidecarShard, mut after: Seq, to: mpsc::Sender<Result<Vec<Event>, CallError>>) {
    loop {
        let read = redis.read_outbox(after).await;
        let failed = read.is_err();
        if let Ok(Some(last)) = read.as_ref().map(|events| events.last()) {
            after = last.n;
        }
        if to.send(read).await.is_err() || failed {
            return;
        }
    }
}
