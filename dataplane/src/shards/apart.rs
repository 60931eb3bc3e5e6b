//! The same keepers and callers when they live in different processes: a sidecar keeps some of the shards, a gateway
//! calls them all, and the planner is with the worker. What they tell each other goes over the [`crate::link`].

use super::caller::Caller;
use super::keeper::{Gate, Keeper, KeeperError};
use super::room::{ASKS_MAX, COMMANDS_MAX, RoomOptions};
use super::waits::Wanted;
use super::{Ask, Command, planner};
use crate::host::{Message, ReplySender};
use crate::shared::Shared;
use flashsale_core::ids::{Seq, ShardId};
use flashsale_orders::Orders;
use flashsale_pulsar::{LogOptions, OrderLog};
use flashsale_redis::Options;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// A shard that this process keeps.
pub(crate) struct Kept {
    pub(crate) shard: ShardId,
    /// What its keeper is asked to do.
    pub(crate) commands: mpsc::Sender<Command>,
    /// How far the database has applied its events.
    pub(crate) applied: watch::Sender<Seq>,
    /// How gateways reach it.
    pub(crate) gate: watch::Receiver<Option<Gate>>,
}

/// The other ends of a shard's [`Kept`], for its keeper.
pub(crate) struct Seat {
    shard: ShardId,
    commands: mpsc::Receiver<Command>,
    applied: watch::Receiver<Seq>,
    gate: watch::Sender<Option<Gate>>,
}

/// The places of some shards' keepers, before the keepers are there: others can be talked to already.
pub(crate) fn seats(own: &[ShardId]) -> (Vec<Kept>, Vec<Seat>) {
    let seat = |&shard: &ShardId| {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (gate, opened) = watch::channel(None);
        let (applied, seen) = watch::channel(0);
        let kept = Kept {
            shard,
            commands,
            applied,
            gate: opened,
        };
        let seat = Seat {
            shard,
            commands: receiver,
            applied: seen,
            gate,
        };
        (kept, seat)
    };
    own.iter().map(seat).unzip()
}

/// The keepers of some of a sale's shards.
pub(crate) struct Keepers {
    tasks: JoinSet<Result<(), KeeperError>>,
    /// So that the keepers can tell other processes' keepers.
    others: JoinSet<()>,
    /// The ways to the keepers elsewhere. The own keepers have weak ones only.
    ways: Vec<mpsc::Sender<Command>>,
}

impl Keepers {
    /// Starts them on the current runtime, which must have one thread: what keepers show of their shards is reckoned
    /// together without locks. What they have for other shards goes to `elsewhere`. They end when `kept`, their
    /// places' other ends, are dropped.
    pub(crate) fn start(
        options: &RoomOptions,
        seats: Vec<Seat>,
        kept: &[Kept],
        shared: &Arc<Shared>,
        orders: &Arc<Orders>,
        elsewhere: &mpsc::Sender<(ShardId, Command)>,
    ) -> Self {
        let partitions: Vec<u16> = seats.iter().map(|seat| seat.shard.0).collect();
        let log = OrderLog::start(
            &options.service,
            &options.names,
            partitions,
            LogOptions::default(),
        );
        let log = Arc::new(log);
        let (mut all, mut ways, mut others) = (Vec::new(), Vec::new(), JoinSet::new());
        for shard in (0..shared.sale.shards).map(ShardId) {
            if let Some(own) = kept.iter().find(|kept| kept.shard == shard) {
                all.push(own.commands.downgrade());
                continue;
            }
            let (sender, mut receiver) = mpsc::channel(COMMANDS_MAX);
            all.push(sender.downgrade());
            ways.push(sender);
            let elsewhere = elsewhere.clone();
            others.spawn(async move {
                while let Some(command) = receiver.recv().await {
                    // It comes again.
                    let _ = elsewhere.try_send((shard, command));
                }
            });
        }
        let mut tasks = JoinSet::new();
        for seat in seats {
            let Seat {
                shard,
                commands,
                applied,
                gate,
            } = seat;
            let keeper = Keeper {
                shard,
                shared: Arc::clone(shared),
                redis: options.redis(shard),
                service: options.service.clone(),
                names: options.names.clone(),
                log: Arc::clone(&log),
                orders: Arc::clone(orders),
                applied,
                gate,
                keepers: all.clone(),
            };
            tasks.spawn(keeper.run(commands));
        }
        Self { tasks, others, ways }
    }

    /// Waits until one of them ends, which without being told to is a failure.
    pub(crate) async fn failed(&mut self) -> Option<KeeperError> {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => Some(error),
            _ => None,
        }
    }

    /// Waits until all have ended; to be called once nobody can command them any more.
    pub(crate) async fn ended(mut self) {
        self.ways.clear();
        while self.tasks.join_next().await.is_some() {}
        self.others.shutdown().await;
    }
}

/// A gateway's callers of all shards.
pub(crate) struct Callers {
    asks: Vec<mpsc::Sender<Ask>>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Starts them on the current runtime; the answer holds what opens and closes each shard's gate for them. `redis`:
    /// shard *s* lives in the one at *s* modulo their number.
    pub(crate) fn start(
        redis: &[Options],
        shared: &Arc<Shared>,
        wanted: &Arc<Wanted>,
        gateways: &[ReplySender],
    ) -> (Self, Vec<watch::Sender<Option<Gate>>>) {
        let (mut asks, mut gates, mut tasks) = (Vec::new(), Vec::new(), JoinSet::new());
        for shard in (0..shared.sale.shards).map(ShardId) {
            let (gate, opened) = watch::channel(None);
            let (ask, asked) = mpsc::channel(ASKS_MAX);
            let redis = redis[shard.ix() % redis.len()].clone();
            let (shared, wanted) = (Arc::clone(shared), Arc::clone(wanted));
            let caller = Caller::new(shard, shared, redis, opened, wanted, gateways.to_vec());
            tasks.spawn(caller.run(asked));
            asks.push(ask);
            gates.push(gate);
        }
        (Self { asks, tasks }, gates)
    }

    /// Takes what gateways ask until they have gone, then waits for the answers to what is under way.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(message) = inbox.recv().await {
            let (shard, ask) = match message {
                Message::Purchase { shard, attempts } => (shard, Ask::Purchase(attempts)),
                Message::Register { token, shard, buyer } => (shard, Ask::Register { token, buyer }),
                Message::Stop => break,
                // The worker's, which is elsewhere.
                Message::Release(_) | Message::Applied(_) | Message::Load(_) | Message::Dump(_) => continue,
            };
            // Bounded by the gateways' own bound on waiting purchases; a full caller lets them time out.
            let _ = self.asks[shard.ix()].try_send(ask);
        }
        self.asks.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Plans transfers until the ways to the shards, one for each, are gone.
pub(crate) async fn plan(shared: Arc<Shared>, wanted: Arc<Wanted>, ways: Vec<mpsc::WeakSender<Command>>) {
    planner::run(shared, wanted, ways).await;
}
