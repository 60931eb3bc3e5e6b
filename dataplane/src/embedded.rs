//! A whole sale in one process: shards, journal, order database, worker, gateways and admin port.

mod books;
mod front;
mod parts;

pub use books::{audit_closed, described, open_existing_orders, open_orders};
pub use front::{Doors, Front, FrontOptions};
pub use parts::{Kinds, Parts, PulsarAt};
pub(crate) use parts::{TENANT, Wake, follow};

use crate::audit::{self, Audit, Evidence, ItemTotals};
use crate::clock::now_ms;
use crate::data_dir::{DataDir, DataError};
use crate::desk::Desk;
use crate::evidence::{self, EvidenceError};
use crate::host::{Host, HostError, HostReply, Message, Port, ReplySender};
use crate::sale::Sale;
use crate::shards::{KeeperError, Room as RedisRoom, RoomOptions};
use crate::shared::{SalePhase, Shared};
use crate::worker::{Delivery, Intake, Records, Worker, WorkerError};
use flashsale_core::ids::{OwnerId, ShardId};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::room::Room;
use flashsale_journal::{Journal, JournalError, Position};
use flashsale_orders::{LoadState, Orders};
use flashsale_pulsar::{AdminError, Names, Service};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long the shards may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// How long the host may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Why a sale can't be served, or can't be served any longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The sale or its directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The order log.
    #[error("order log: {0}")]
    Journal(#[from] JournalError),
    /// The order database.
    #[error(transparent)]
    Orders(#[from] flashsale_orders::Error),
    /// The shards.
    #[error("{0}")]
    Host(#[from] HostError),
    /// The shards in Redis.
    #[error("{0}")]
    Keeper(#[from] KeeperError),
    /// The order log on Pulsar.
    #[error("order log: {0}")]
    Pulsar(#[from] AdminError),
    /// The parts that the sale runs on.
    #[error("{0}")]
    Parts(String),
    /// The worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The audit's evidence.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Gateways or admin port.
    #[error("{0}")]
    Front(String),
    /// Something didn't happen in time.
    #[error("{0}: try again, and report it if it comes back")]
    Late(&'static str),
}

/// A running sale.
pub struct Embedded {
    /// What all threads know of it.
    pub shared: Arc<Shared>,
    orders: Arc<Orders>,
    log: Log,
    port: Port,
    desk: Desk,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    failures: mpsc::UnboundedReceiver<ServeError>,
    /// Signs payment callbacks and webhooks.
    payment_secret: Arc<str>,
    /// The gateways' ends of their answers; taken by [`Front`].
    replies: Vec<mpsc::UnboundedReceiver<Vec<HostReply>>>,
}

/// Where the events are.
enum Log {
    Journal(Arc<Journal>),
    Pulsar((Service, Names)),
}

/// The shards, the way to them, and what the worker reads of them.
struct Started {
    port: Port,
    log: Log,
    records: Box<dyn Records>,
    thread: JoinHandle<()>,
}

impl Embedded {
    /// Opens the sale's data, takes all shards over, loads the stock if that hasn't been done, and starts
    /// the worker. Buyers come in through a [`Front`].
    ///
    /// # Errors
    /// The data or the parts can't be used; nothing was lost.
    pub async fn start(
        dir: &DataDir,
        sale: Sale,
        spec: serde_json::Value,
        parts: &Parts,
        gateways: usize,
        payment_secret: Arc<str>,
    ) -> Result<Self, ServeError> {
        parts.check()?;
        dir.keep_kinds(&parts.kinds())?;
        let orders = Arc::new(open_orders(dir, &sale, spec, parts).await?);
        let shared = Arc::new(Shared::new(sale));
        let (senders, replies): (Vec<_>, Vec<_>) = (0..gateways).map(|_| mpsc::unbounded_channel()).unzip();
        let (failed, failures) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (desk, requests) = Desk::channel();
        let Started {
            port,
            log,
            records,
            thread,
        } = match parts.room(shared.sale.uid) {
            Some(room) => {
                parts.ensure_topics(&shared.sale).await?;
                start_room(&room, &shared, &orders, senders, &failed)
            }
            None => start_host(dir, &shared, &orders, senders, &failed).await?,
        };
        let intake = Intake::new(shared.sale.uid, shared.sale.shards, records);
        let worker = Worker::recover(
            Arc::clone(&orders),
            Arc::clone(&shared),
            port.clone(),
            requests,
            intake,
        )
        .await?;
        let client = crate::shop::client();
        let secret = Arc::clone(&payment_secret);
        let delivery = Delivery::new(Arc::clone(&orders), Arc::clone(&shared), client, secret);
        let working = spawn("worker", &failed, move || run_worker(worker, delivery, stopped));

        let mut this = Self {
            shared,
            orders,
            log,
            port,
            desk,
            stop,
            threads: vec![thread, working],
            failures,
            payment_secret,
            replies,
        };
        this.wait_open().await?;
        this.load().await?;
        if this.orders.phase().await? == SalePhase::Draining.word() {
            this.shared.advance(SalePhase::Draining);
        }
        Ok(this)
    }

    async fn wait_open(&mut self) -> Result<(), ServeError> {
        let deadline = tokio::time::Instant::now() + OPEN_WITHIN;
        while !self.shared.shards.iter().all(|s| s.load().phase == Phase::Open) {
            if let Ok(error) = self.failures.try_recv() {
                return Err(error);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(ServeError::Late("the shards did not open within a minute"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Loads the declared stock once: the database knows whether that was begun and finished, and each
    /// shard knows which loads it has.
    async fn load(&self) -> Result<(), ServeError> {
        if self.orders.load_state().await? == LoadState::Seeded {
            self.shared.loaded.store(true, Ordering::Release);
            return Ok(());
        }
        self.orders
            .move_load_state(LoadState::Unseeded, LoadState::Seeding)
            .await?;
        let (done, loaded) = crossbeam_channel::bounded(1);
        self.ask(Message::Load(done), loaded).await?;
        self.orders
            .move_load_state(LoadState::Seeding, LoadState::Seeded)
            .await?;
        self.shared.loaded.store(true, Ordering::Release);
        Ok(())
    }

    async fn ask<T: Send + 'static>(
        &self,
        message: Message,
        answer: crossbeam_channel::Receiver<T>,
    ) -> Result<T, ServeError> {
        let port = self.port.clone();
        let asked = tokio::task::spawn_blocking(move || {
            port.send(message)
                .then(|| answer.recv_timeout(ANSWER_WITHIN).ok())
                .flatten()
        });
        asked
            .await
            .ok()
            .flatten()
            .ok_or(ServeError::Late("the shards did not answer within a minute"))
    }

    /// Waits until something fails that ends the process.
    pub async fn failed(&mut self) -> ServeError {
        self.failures
            .recv()
            .await
            .unwrap_or(ServeError::Late("a thread ended without a word"))
    }

    /// Ends the sale before its closing time, for good.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn close_early(&self) -> Result<(), ServeError> {
        let draining = SalePhase::Draining.word();
        self.orders.move_phase(SalePhase::Armed.word(), draining).await?;
        self.shared.advance(SalePhase::Draining);
        Ok(())
    }

    /// Waits until every order is final and every unit is where it belongs, or something fails.
    ///
    /// # Errors
    /// What failed.
    pub async fn settled(&mut self) -> Result<(), ServeError> {
        loop {
            if self.shared.phase(now_ms()) == SalePhase::Settled {
                return Ok(());
            }
            tokio::select! {
                error = self.failures.recv() => {
                    return Err(error.unwrap_or(ServeError::Late("a thread ended without a word")));
                }
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// Audits the sale as it stands. Only a sale at rest adds up: see [`Embedded::settled`].
    ///
    /// # Errors
    /// The evidence can't be collected.
    pub async fn audit(&self) -> Result<(Audit, Vec<ItemTotals>, Evidence), ServeError> {
        let (to, dumped) = crossbeam_channel::bounded(1);
        let engines = self.ask(Message::Dump(to), dumped).await?;
        let records: Box<dyn Records> = match &self.log {
            Log::Journal(journal) => Box::new(journal.reader(Position::START)?),
            Log::Pulsar(log) => Box::new(parts::read_all(log, self.shared.sale.shards).await?),
        };
        let evidence = evidence::collect(&self.shared.sale, records, &self.orders, engines).await?;
        let (verdict, totals) = audit::audit(&self.shared.sale, &evidence);
        Ok((verdict, totals, evidence))
    }

    /// The order database.
    #[must_use]
    pub fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// Ends the threads and closes the files. What is durable stays; what isn't was promised to nobody.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let Self {
            port,
            threads,
            orders,
            log,
            ..
        } = self;
        // Joining blocks; both threads end within a transaction or a commit.
        let ended = tokio::task::spawn_blocking(move || {
            let _ = port.send(Message::Stop);
            threads.into_iter().for_each(|thread| drop(thread.join()));
            match log {
                Log::Journal(journal) => journal.close().map(drop),
                Log::Pulsar(_) => Ok(()),
            }
        });
        if let Ok(Err(failure)) = ended.await {
            tracing::error!(%failure, "the order log didn't close cleanly");
        }
        orders.close().await;
    }
}

fn is_before(record: &Result<flashsale_journal::Committed, JournalError>, end: Position) -> bool {
    record.as_ref().map_or(true, |r| r.position < end)
}

fn journal_options() -> flashsale_journal::Options {
    flashsale_journal::Options {
        segment_bytes_max: 16 << 20,
        ..Default::default()
    }
}

/// Engines in this process, and a journal on its disk.
async fn start_host(
    dir: &DataDir,
    shared: &Arc<Shared>,
    orders: &Orders,
    gateways: Vec<ReplySender>,
    failed: &mpsc::UnboundedSender<ServeError>,
) -> Result<Started, ServeError> {
    let opened = Journal::open(dir.journal(), journal_options())?;
    let journal = Arc::new(opened.journal);
    let (port, inbox) = Port::channel();
    let room = claim(orders, &shared.sale).await?;
    let mut host = Host::new(room, Arc::clone(shared), Arc::clone(&journal), gateways);
    host.fence()?;
    for record in journal
        .reader(Position::START)?
        .take_while(|r| is_before(r, opened.recovered.end))
    {
        let record = record?;
        host.read(record.partition, &record.record)?;
    }
    let thread = spawn("host", failed, move || Ok(host.run(&inbox, &opened.committed)?));
    let records = Box::new(journal.reader(Position::START)?);
    let log = Log::Journal(journal);
    Ok(Started {
        port,
        log,
        records,
        thread,
    })
}

/// Engines in Redis, and the order log on Pulsar.
fn start_room(
    options: &RoomOptions,
    shared: &Arc<Shared>,
    orders: &Arc<Orders>,
    gateways: Vec<ReplySender>,
    failed: &mpsc::UnboundedSender<ServeError>,
) -> Started {
    let (port, inbox) = Port::to_task();
    let log = (options.service.clone(), options.names.clone());
    let records = Box::new(parts::follow(
        &log,
        shared.sale.shards,
        parts::Wake(Arc::clone(shared)),
    ));
    let (options, shared, orders) = (options.clone(), Arc::clone(shared), Arc::clone(orders));
    let thread = spawn("shards", failed, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| ServeError::Front(format!("can't start the shards: {e}")))?;
        runtime.block_on(async {
            let room = RedisRoom::start(&options, &shared, &orders, &gateways);
            Ok(room.run(inbox).await?)
        })
    });
    let log = Log::Pulsar(log);
    Started {
        port,
        log,
        records,
        thread,
    }
}

/// Claims every shard: whoever held one before is fenced off.
async fn claim(orders: &Orders, sale: &Sale) -> Result<Room, ServeError> {
    let mut room = Room::new(sale.shards, sale.items.len(), crate::host::WAITING_MAX);
    for shard in (0..sale.shards).map(ShardId) {
        let me = OwnerId(rand::random());
        let claimed = orders.claim(shard, me).await?;
        // The barrier goes out with `Host::fence`, and nobody waits at a shard that had no owner.
        let owner = Owner::claimed(shard, me, claimed.epoch, sale.rules(), &mut Vec::new());
        room.own(owner, &mut Vec::new());
    }
    Ok(room)
}

fn run_worker(worker: Worker, delivery: Delivery, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ServeError::Front(format!("can't start the worker: {e}")))?;
    runtime.block_on(async {
        let delivering = tokio::spawn(delivery.run(stop.clone()));
        let worked = worker.run(stop).await;
        delivering.abort();
        Ok(worked?)
    })
}

fn spawn(
    name: &str,
    failed: &mpsc::UnboundedSender<ServeError>,
    run: impl FnOnce() -> Result<(), ServeError> + Send + 'static,
) -> JoinHandle<()> {
    let failed = failed.clone();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = run() {
            // Nobody listens only when the process ends anyway.
            let _ = failed.send(error);
        }
    });
    thread.unwrap_or_else(|error| panic!("the system gives no thread for the {name}: {error}"))
}
