//! A shard twice: in Redis and as the core's engine. Every step goes to both, and every answer, every event and the whole state
//! must be equal.

use flashsale_core::attempt::{Attempt, Registered};
use flashsale_core::engine::{Engine, Outgoing, Rules};
use flashsale_core::event::{Event, ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, OwnerId, Seq, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_redis::{BuyerShard, CallError, ConnectError, Options, ShardName, SidecarShard, State};

/// What differed, or what failed.
pub(crate) type Differs = String;

/// See the module.
pub(crate) struct Pair {
    pub(crate) options: Options,
    /// Of the library.
    source: String,
    pub(crate) name: ShardName,
    pub(crate) sidecar: SidecarShard,
    pub(crate) gateway: BuyerShard,
    pub(crate) engine: Engine,
    pub(crate) epoch: Epoch,
    /// Every event so far.
    pub(crate) history: Vec<Event>,
    /// Up to which number the outbox was emptied.
    pub(crate) trimmed: Seq,
}

fn failed(error: &CallError) -> Differs {
    format!("the call failed: {error}")
}

fn not_made(error: &ConnectError) -> Differs {
    format!("no connection: {error}")
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, redis: &T, core: &T) -> Result<(), Differs> {
    if redis == core {
        return Ok(());
    }
    Err(format!("{what} differs\n redis: {redis:?}\n  core: {core:?}"))
}

impl Pair {
    /// An empty shard, open.
    pub(crate) async fn new(
        options: Options,
        name: ShardName,
        rules: Rules,
        source: &str,
    ) -> Result<Self, Differs> {
        let connected = SidecarShard::connect_with(&options, name.clone(), source).await;
        let mut sidecar = connected.map_err(|e| not_made(&e))?;
        let (engine, epoch) = (Engine::new(rules), Epoch(1));
        let gateway = open(&options, &name, &mut sidecar, &engine, epoch).await?;
        let history = Vec::new();
        Ok(Self {
            options,
            source: source.to_owned(),
            name,
            sidecar,
            gateway,
            engine,
            epoch,
            history,
            trimmed: 0,
        })
    }

    pub(crate) async fn purchase(&mut self, places: &[u32], attempts: &[Attempt]) -> Result<(), Differs> {
        let called = self.gateway.purchase_at(self.epoch, places, attempts).await;
        let (now, verdicts) = called.map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let (engine, epoch) = (&mut self.engine, self.epoch);
        let expected = attempts.iter().map(|attempt| {
            let base = places.get(attempt.item.ix()).copied().unwrap_or(0);
            engine.purchase(epoch, now, base, attempt, &mut events)
        });
        let expected: Vec<_> = expected.collect();
        for ((redis, core), attempt) in verdicts.iter().zip(&expected).zip(attempts) {
            same(&format!("the answer to {attempt:?}"), redis, core)?;
        }
        same("the number of answers", &verdicts.len(), &expected.len())?;
        self.made(events).await
    }

    pub(crate) async fn register(&mut self, buyers: &[BuyerKey], by_gateway: bool) -> Result<(), Differs> {
        let called = if by_gateway {
            self.gateway.register(self.epoch, buyers).await
        } else {
            self.sidecar.register(buyers).await
        };
        let answers = called.map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let (engine, epoch) = (&mut self.engine, self.epoch);
        let expected: Vec<Registered> = buyers
            .iter()
            .map(|&buyer| engine.register(epoch, buyer, &mut events))
            .collect();
        same("the registrations", &answers, &expected)?;
        self.made(events).await
    }

    pub(crate) async fn load(&mut self, load: u32, item: ItemIx, units: UnitRange) -> Result<(), Differs> {
        let answer = self
            .sidecar
            .load_units(load, item, units)
            .await
            .map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let expected = self.engine.load(self.epoch, load, item, units, &mut events);
        same("the load", &answer, &expected)?;
        self.made(events).await
    }

    pub(crate) async fn extend(&mut self, closes: u64) -> Result<(), Differs> {
        let answer = self.sidecar.extend(closes).await.map_err(|e| failed(&e))?;
        let expected = self.engine.extend(closes);
        same("the extension", &answer, &expected)?;
        self.made(Vec::new()).await
    }

    pub(crate) async fn release(&mut self, tickets: &[(TicketNo, ReleaseReason)]) -> Result<(), Differs> {
        let answers = self.sidecar.release(tickets).await.map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let (engine, epoch) = (&mut self.engine, self.epoch);
        let expected: Vec<bool> = tickets
            .iter()
            .map(|(ticket, reason)| engine.release(epoch, *ticket, *reason, &mut events))
            .collect();
        same("the releases", &answers, &expected)?;
        self.made(events).await
    }

    pub(crate) async fn transfer_out(&mut self, to: ShardId, item: ItemIx, want: u32) -> Result<(), Differs> {
        let answer = self
            .sidecar
            .transfer_out(to, item, want)
            .await
            .map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let expected = self.engine.transfer_out(self.epoch, to, item, want, &mut events);
        same("the transfer out", &answer, &expected)?;
        self.made(events).await
    }

    pub(crate) async fn transfer_in(&mut self, from: ShardId, transfer: &Outgoing) -> Result<(), Differs> {
        let answer = self
            .sidecar
            .transfer_in(from, transfer)
            .await
            .map_err(|e| failed(&e))?;
        let mut events = Vec::new();
        let expected = self.engine.transfer_in(self.epoch, from, transfer, &mut events);
        same("the transfer in", &answer, &expected)?;
        self.made(events).await
    }

    /// Another owner rebuilds the engine from the events and Redis from the engine.
    pub(crate) async fn take_over(&mut self) -> Result<(), Differs> {
        let next = self.epoch.next();
        self.sidecar.close_gate(next).await.map_err(|e| failed(&e))?;
        let refused = self.gateway.purchase(self.epoch, &[], &[]).await;
        same("a purchase behind the closed gate", &refused.is_err(), &true)?;
        self.same_state().await?;
        let left = self.sidecar.leftover_outbox().await.map_err(|e| failed(&e))?;
        let left = left.ok_or("nothing was left over")?;
        same("the epoch left over", &left.epoch, &self.epoch)?;
        let behind: Vec<Event> = self
            .history
            .iter()
            .filter(|e| e.n > self.trimmed)
            .cloned()
            .collect();
        // An entry goes once all its events may go.
        let left: Vec<Event> = left.events.into_iter().filter(|e| e.n > self.trimmed).collect();
        same("the outbox left over", &left, &behind)?;
        let mut rebuilt = Engine::new(self.engine.rules().clone());
        for event in &self.history {
            rebuilt.apply(event).map_err(|e| e.to_string())?;
        }
        same("the rebuilt engine", &rebuilt, &self.engine)?;
        let connected = SidecarShard::connect_with(&self.options, self.name.clone(), &self.source).await;
        self.sidecar = connected.map_err(|e| not_made(&e))?;
        self.gateway = open(&self.options, &self.name, &mut self.sidecar, &rebuilt, next).await?;
        (self.epoch, self.trimmed) = (next, self.engine.len());
        self.same_state().await
    }

    pub(crate) async fn trim(&mut self, n: Seq) -> Result<(), Differs> {
        self.sidecar.trim(n).await.map_err(|e| failed(&e))?;
        self.trimmed = self.trimmed.max(n);
        Ok(())
    }

    /// Redis' whole state equals the engine's.
    pub(crate) async fn same_state(&self) -> Result<(), Differs> {
        let redis = self.sidecar.dump().await.map_err(|e| failed(&e))?;
        same("the state", &redis, &State::from(&self.engine))
    }

    /// The step made exactly these events, in Redis, too.
    async fn made(&mut self, events: Vec<Event>) -> Result<(), Differs> {
        let standing = self.sidecar.status().await.map_err(|e| failed(&e))?;
        same("the last number", &standing.n, &self.engine.len())?;
        if events.is_empty() {
            return Ok(());
        }
        let after = self.engine.len() - events.len() as Seq;
        let read = self.sidecar.read_outbox(after).await.map_err(|e| failed(&e))?;
        same("the events", &read, &events)?;
        self.history.extend(events);
        Ok(())
    }
}

async fn open(
    options: &Options,
    name: &ShardName,
    sidecar: &mut SidecarShard,
    engine: &Engine,
    epoch: Epoch,
) -> Result<BuyerShard, Differs> {
    let owner = OwnerId(u64::MAX - u64::from(epoch.0));
    sidecar.load(engine, epoch, owner).await.map_err(|e| failed(&e))?;
    let login = sidecar.open_gate(epoch).await.map_err(|e| failed(&e))?;
    BuyerShard::connect(options, name.clone(), &login)
        .await
        .map_err(|e| not_made(&e))
}
