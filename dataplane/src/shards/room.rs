//! All shards of a sale that live in Redis, and the way to them from this process.

use super::caller::Caller;
use super::keeper::{Keeper, KeeperError};
use super::waits::Wanted;
use super::{Ask, Command, planner};
use crate::audit::Served;
use crate::host::{Message, ReplySender};
use crate::shared::Shared;
use flashsale_core::ids::{Seq, ShardId};
use flashsale_orders::Orders;
use flashsale_pulsar::{LogOptions, Names, OrderLog, Service};
use flashsale_redis::Options;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Commands that wait for one keeper.
pub(super) const COMMANDS_MAX: usize = 4096;
/// How long a shard may take to say what its Redis holds.
const DUMP_WITHIN: Duration = Duration::from_secs(20);
/// Between two such questions.
const DUMP_AGAIN: Duration = Duration::from_millis(100);
/// Asks that wait for one caller.
pub(super) const ASKS_MAX: usize = 4096;

/// Where the shards are.
#[derive(Debug, Clone)]
pub struct RoomOptions {
    /// The Redis servers; shard *s* lives in the one at *s* modulo their number.
    pub redis: Vec<Options>,
    /// Where the order log is.
    pub service: Service,
    /// What its topics are called.
    pub names: Names,
}

impl RoomOptions {
    pub(super) fn redis(&self, shard: ShardId) -> Options {
        self.redis[shard.ix() % self.redis.len()].clone()
    }
}

/// The keepers and callers of all shards of a sale.
pub struct Room {
    shards: Vec<Shard>,
    keepers: JoinSet<Result<(), KeeperError>>,
    callers: JoinSet<()>,
    loading: JoinSet<()>,
}

struct Shard {
    commands: mpsc::Sender<Command>,
    applied: watch::Sender<Seq>,
    asks: mpsc::Sender<Ask>,
}

impl Room {
    /// Starts keepers and callers on the current runtime, which must have one thread: what keepers show of their
    /// shards is reckoned together without locks.
    #[must_use]
    pub fn start(
        options: &RoomOptions,
        shared: &Arc<Shared>,
        orders: &Arc<Orders>,
        gateways: &[ReplySender],
    ) -> Self {
        let shards = shared.sale.shards;
        let wanted = Arc::new(Wanted::new(shards, shared.sale.items.len()));
        let log = OrderLog::start(&options.service, &options.names, 0..shards, LogOptions::default());
        let log = Arc::new(log);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel(COMMANDS_MAX)).unzip();
        let mut this = Self {
            shards: Vec::new(),
            keepers: JoinSet::new(),
            callers: JoinSet::new(),
            loading: JoinSet::new(),
        };
        for (shard, commands) in (0..).map(ShardId).zip(receivers) {
            let (gate, opened) = watch::channel(None);
            let (applied, seen) = watch::channel(0);
            let keeper = Keeper {
                shard,
                shared: Arc::clone(shared),
                redis: options.redis(shard),
                service: options.service.clone(),
                names: options.names.clone(),
                log: Arc::clone(&log),
                orders: Arc::clone(orders),
                applied: seen,
                gate,
                keepers: senders.iter().map(mpsc::Sender::downgrade).collect(),
            };
            this.keepers.spawn(keeper.run(commands));
            let (asks, asked) = mpsc::channel(ASKS_MAX);
            let (shared, wanted, gateways) = (Arc::clone(shared), Arc::clone(&wanted), gateways.to_vec());
            let caller = Caller::new(shard, shared, options.redis(shard), opened, wanted, gateways);
            this.callers.spawn(caller.run(asked));
            let commands = senders[shard.ix()].clone();
            this.shards.push(Shard {
                commands,
                applied,
                asks,
            });
        }
        let keepers = senders.iter().map(mpsc::Sender::downgrade).collect();
        this.callers
            .spawn(planner::run(Arc::clone(shared), wanted, keepers));
        this
    }

    /// Serves until told to stop, or until a shard can't be kept any more.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) -> Result<(), KeeperError> {
        loop {
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(Message::Stop) | None => break,
                    Some(message) => self.take(message),
                },
                Some(ended) = self.keepers.join_next() => {
                    // A keeper ends only with an error while its commands can still come; a panic is one, too.
                    if let Ok(Err(error)) = ended {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        // Without their commands the keepers end, and without asks the callers.
        self.shards.clear();
        while self.callers.join_next().await.is_some() {}
        while let Some(ended) = self.keepers.join_next().await {
            if let Ok(Err(error)) = ended {
                return Err(error);
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Purchase { shard, attempts } => {
                // Bounded by the gateways' own bound on waiting purchases; a full caller lets them time out.
                let _ = self.shards[shard.ix()].asks.try_send(Ask::Purchase(attempts));
            }
            Message::Register { token, shard, buyer } => {
                let _ = self.shards[shard.ix()]
                    .asks
                    .try_send(Ask::Register { token, buyer });
            }
            Message::Release(releases) => {
                let mut by_shard = vec![Vec::new(); self.shards.len()];
                for (shard, ticket, reason) in releases {
                    by_shard[shard.ix()].push((ticket, reason));
                }
                for (shard, releases) in self.shards.iter().zip(by_shard) {
                    if !releases.is_empty() {
                        // Sent again by the worker until it is applied.
                        let _ = shard.commands.try_send(Command::Release(releases));
                    }
                }
            }
            Message::Applied(applied) => {
                for (shard, n) in applied {
                    self.shards[shard.ix()].applied.send_replace(n);
                }
            }
            Message::Load(done) => self.load(done),
            Message::Dump(to) => self.dump(to),
            Message::Stop => {}
        }
    }

    /// Asks every keeper to load, again if its shard was lost meanwhile.
    fn load(&mut self, done: crossbeam_channel::Sender<()>) {
        let keepers: Vec<_> = self.shards.iter().map(|s| s.commands.clone()).collect();
        self.loading.spawn(async move {
            for keeper in keepers {
                loop {
                    let (loaded, answer) = oneshot::channel();
                    if keeper.send(Command::Load(loaded)).await.is_err() {
                        return;
                    }
                    if answer.await.is_ok() {
                        break;
                    }
                }
            }
            // Whoever asked may have gone; the stock is loaded all the same.
            let _ = done.send(());
        });
    }

    fn dump(&mut self, to: crossbeam_channel::Sender<Vec<Option<Served>>>) {
        let keepers: Vec<_> = self.shards.iter().map(|s| s.commands.clone()).collect();
        self.loading.spawn(async move {
            let engines = join_all(keepers.iter().map(dump_of)).await;
            let engines = engines.into_iter().map(Some).collect();
            // Whoever asked may have gone.
            let _ = to.send(engines);
        });
    }
}

/// What Redis holds of one shard, asked again while the shard is being taken over.
async fn dump_of(keeper: &mpsc::Sender<Command>) -> Served {
    let asked_at = Instant::now();
    while asked_at.elapsed() < DUMP_WITHIN {
        let (state, answer) = oneshot::channel();
        if keeper.send(Command::Dump(state)).await.is_err() {
            break;
        }
        match answer.await {
            Ok(served) => return served,
            Err(_) => tokio::time::sleep(DUMP_AGAIN).await,
        }
    }
    Served::Differs("its Redis can't be asked what it holds".to_owned())
}
