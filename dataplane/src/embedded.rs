//! A whole sale in one process: shards, journal, order database, worker, gateways and admin port.

mod front;

pub use front::{Doors, Front, FrontOptions};

use crate::audit::{self, Audit, Evidence, ItemTotals};
use crate::clock::now_ms;
use crate::data_dir::{DataDir, DataError};
use crate::desk::Desk;
use crate::evidence::{self, EvidenceError};
use crate::host::{Host, HostError, HostReply, Message, Port};
use crate::sale::{Occasion, Sale};
use crate::shared::{SalePhase, Shared};
use crate::worker::{Delivery, Intake, Worker, WorkerError};
use flashsale_core::ids::{OwnerId, ShardId};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::room::Room;
use flashsale_journal::{Journal, JournalError, Position};
use flashsale_orders::{LoadState, Orders, Routes, SaleItem, TicketSecret};
use std::sync::Arc;
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
    journal: Arc<Journal>,
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

impl Embedded {
    /// Opens the sale's data, takes all shards over, loads the stock if that hasn't been done, and starts
    /// the worker. Buyers come in through a [`Front`].
    ///
    /// # Errors
    /// The data can't be used; nothing was lost.
    pub async fn start(
        dir: &DataDir,
        sale: Sale,
        spec: serde_json::Value,
        gateways: usize,
        payment_secret: Arc<str>,
    ) -> Result<Self, ServeError> {
        let orders = Arc::new(open_orders(dir, &sale, spec).await?);
        let opened = Journal::open(dir.journal(), journal_options())?;
        let journal = Arc::new(opened.journal);
        let shared = Arc::new(Shared::new(sale));
        let (port, inbox) = Port::channel();
        let (senders, replies): (Vec<_>, Vec<_>) = (0..gateways).map(|_| mpsc::unbounded_channel()).unzip();

        let room = claim(&orders, &shared.sale).await?;
        let mut host = Host::new(room, Arc::clone(&shared), Arc::clone(&journal), senders);
        host.fence()?;
        for record in journal
            .reader(Position::START)?
            .take_while(|r| is_before(r, opened.recovered.end))
        {
            let record = record?;
            host.read(record.partition, &record.record)?;
        }
        let (failed, failures) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (desk, requests) = Desk::channel();
        let mut threads = vec![spawn("host", &failed, move || {
            Ok(host.run(&inbox, &opened.committed)?)
        })];

        let intake = Intake::new(
            shared.sale.uid,
            shared.sale.shards,
            journal.reader(Position::START)?,
        );
        let worker = Worker::recover(
            Arc::clone(&orders),
            Arc::clone(&shared),
            port.clone(),
            requests,
            intake,
        )
        .await?;
        let client = reqwest::Client::new();
        let secret = Arc::clone(&payment_secret);
        let delivery = Delivery::new(Arc::clone(&orders), Arc::clone(&shared), client, secret);
        threads.push(spawn("worker", &failed, move || {
            run_worker(worker, delivery, stopped)
        }));

        let this = Self {
            shared,
            orders,
            journal,
            port,
            desk,
            stop,
            threads,
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

    async fn wait_open(&self) -> Result<(), ServeError> {
        let deadline = tokio::time::Instant::now() + OPEN_WITHIN;
        while !self.shared.shards.iter().all(|s| s.load().phase == Phase::Open) {
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
        let room = self.ask(Message::Dump(to), dumped).await?;
        let reader = self.journal.reader(Position::START)?;
        let evidence = evidence::collect(&self.shared.sale, reader, &self.orders, Some(&room)).await?;
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
            journal,
            ..
        } = self;
        // Joining blocks; both threads end within a transaction or a commit.
        let ended = tokio::task::spawn_blocking(move || {
            let _ = port.send(Message::Stop);
            threads.into_iter().for_each(|thread| drop(thread.join()));
            journal.close()
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

/// Opens the audit's view of a sale that nobody serves.
///
/// # Errors
/// The evidence can't be collected.
pub async fn audit_closed(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
) -> Result<(Audit, Vec<ItemTotals>, Evidence), ServeError> {
    let (reader, _) = flashsale_journal::read_closed(dir.journal())?;
    let orders = open_existing_orders(dir, sale, spec).await?;
    let evidence = evidence::collect(sale, reader, &orders, None).await?;
    orders.close().await;
    let (verdict, totals) = audit::audit(sale, &evidence);
    Ok((verdict, totals, evidence))
}

/// Opens the sale's order database, which must be there.
///
/// # Errors
/// There is none, or the file can't be used.
pub async fn open_existing_orders(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
) -> Result<Orders, ServeError> {
    dir.require_orders()?;
    Ok(open_orders(dir, sale, spec).await?)
}

/// Opens the sale's order database, or makes it.
///
/// # Errors
/// The file can't be used.
pub async fn open_orders(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
) -> Result<Orders, flashsale_orders::Error> {
    let on = |occasion| {
        let told = sale.targets.iter().filter(move |t| t.on == occasion);
        told.map(|t| t.name.as_str().into()).collect::<Vec<Box<str>>>()
    };
    let items = sale.items.iter().map(|item| SaleItem {
        id: item.id.as_str().into(),
        price: item.price.minor().unsigned_abs(),
    });
    let sale = flashsale_orders::Sale {
        uid: sale.uid,
        namespace: sale.namespace.as_str().into(),
        name: sale.name.as_str().into(),
        spec,
        phase: SalePhase::Armed.word().into(),
        currency: sale.currency.code().into(),
        decimals: sale.currency.decimals(),
        shards: sale.shards,
        items: items.collect(),
        routes: Routes {
            handover: on(Occasion::Ordered),
            paid: on(Occasion::Paid),
            closed: on(Occasion::Closed),
            refund: on(Occasion::Paid),
        },
        fresh_secret: TicketSecret(rand::random()),
        now: now_ms(),
    };
    Orders::open(&dir.orders().display().to_string(), sale).await
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
