//! Taking a shard over: claim, close, fence, fold, rebuild, open.

use super::Command;
use super::keeper::{Gate, Keeper, KeeperError, Lost};
use crate::amendments::Amended;
use flashsale_core::engine::Rules;
use flashsale_core::event::Record;
use flashsale_core::ids::OwnerId;
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::Medium;
use flashsale_pulsar::{From as Begin, Reader};
use flashsale_redis::{Leftover, ShardName, SidecarShard};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Between two tries to reach Redis.
const TRY_EVERY: Duration = Duration::from_millis(200);
/// What isn't read back within this time is published again.
const AGAIN_AFTER: Duration = Duration::from_millis(1_000);
/// Events of a former owner in one record.
const EVENTS_PER_RECORD_MAX: usize = 512;

/// A shard that is open.
pub(super) struct Taken {
    pub(super) owner: Owner,
    pub(super) redis: SidecarShard,
    pub(super) log: Reader,
}

/// Takes the shard over, for as long as that takes.
pub(super) async fn take_over(
    keeper: &Keeper,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<Taken, Lost> {
    let name = ShardName::new(keeper.shared.sale.uid, keeper.shard);
    let mut redis = reach(keeper, name, commands).await?;
    let me = OwnerId(rand::random());
    let claimed = keeper
        .orders
        .claim(keeper.shard, me)
        .await
        .map_err(KeeperError::from)?;
    if claimed.medium != Medium::Log {
        let shard = keeper.shard.0;
        return Err(KeeperError::Bypassed { shard }.into());
    }
    // From here on nobody can buy in Redis: what it holds now is all that the former owner's epoch has.
    redis.close_gate(claimed.epoch).await?;
    if let Some(leftover) = redis.leftover_outbox().await? {
        publish_leftover(keeper, leftover);
    }
    let mut effects = Vec::new();
    let rules = rules(keeper).await;
    let mut owner = Owner::claimed(keeper.shard, me, claimed.epoch, rules, &mut effects);
    owner.applied(claimed.row.applied);
    keeper.act(effects)?;
    let mut log = Reader::start(&keeper.service, &keeper.names, [(keeper.shard.0, Begin::Start)]);
    read_until(keeper, &mut owner, &mut log, commands, |phase| {
        phase != Phase::Fencing
    })
    .await?;
    redis.load(owner.engine(), claimed.epoch, me).await?;
    read_until(keeper, &mut owner, &mut log, commands, |phase| {
        phase == Phase::Open
    })
    .await?;
    let login = redis.open_gate(claimed.epoch).await?;
    keeper.show(&owner);
    let epoch = claimed.epoch;
    keeper.gate.send_replace(Some(Gate { epoch, login }));
    tracing::info!(
        shard = keeper.shard.0,
        epoch = epoch.0,
        events = owner.engine().len(),
        "the shard is open"
    );
    Ok(Taken { owner, redis, log })
}

/// The sale's rules with what was amended. If the database that knows can't be asked now, the worker says it again.
async fn rules(keeper: &Keeper) -> Rules {
    let known = keeper.orders.amended().await;
    match known.map(|(_, text)| Amended::read(&text)) {
        Ok(Ok(amended)) => keeper.shared.amend(amended),
        Ok(Err(error)) => tracing::warn!(%error, "what was amended can't be read"),
        Err(error) => tracing::warn!(%error, "what was amended isn't known now"),
    }
    Rules {
        closes: keeper.shared.closes(),
        ..keeper.shared.sale.rules()
    }
}

/// Connects, trying again while nobody answers.
async fn reach(
    keeper: &Keeper,
    name: ShardName,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<SidecarShard, Lost> {
    let mut told = false;
    loop {
        match SidecarShard::connect(&keeper.redis, name.clone())
            .await
            .map_err(Lost::from)
        {
            Ok(redis) => return Ok(redis),
            Err(Lost::Connect(error)) if !told => {
                tracing::warn!(shard = keeper.shard.0, %error, "waiting for Redis");
                told = true;
            }
            Err(Lost::Connect(_) | Lost::Call(_)) => {}
            Err(ended) => return Err(ended),
        }
        forget(commands)?;
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// What the former owner took and may not have published: it was promised to nobody, but it can still count.
fn publish_leftover(keeper: &Keeper, leftover: Leftover) {
    let Leftover { epoch, owner, events } = leftover;
    keeper.remember_winners(&events);
    for some in events.chunks(EVENTS_PER_RECORD_MAX) {
        let events = some.to_vec();
        keeper.publish(&Record::Batch { epoch, owner, events });
    }
}

/// Feeds the log to the owner until it stands where it should, publishing again what isn't read back.
async fn read_until(
    keeper: &Keeper,
    owner: &mut Owner,
    log: &mut Reader,
    commands: &mut mpsc::Receiver<Command>,
    there: impl Fn(Phase) -> bool,
) -> Result<(), Lost> {
    let mut heard = Instant::now();
    while !there(owner.phase()) {
        forget(commands)?;
        let mut effects = Vec::new();
        if let Ok(Some(delivery)) = tokio::time::timeout(AGAIN_AFTER, log.next()).await
            && let Some(record) = keeper.record(&delivery)?
        {
            remember_past_winners(keeper, &record);
            owner.read(&record, &mut effects);
        }
        if heard.elapsed() > AGAIN_AFTER {
            heard = Instant::now();
            owner.republish(&mut effects);
        }
        keeper.act(effects)?;
    }
    Ok(())
}

fn remember_past_winners(keeper: &Keeper, record: &Record) {
    if let Record::Batch { events, .. } = record {
        keeper.remember_winners(events);
    }
}

/// Commands are repeated, so those that come while the shard is closed are dropped.
fn forget(commands: &mut mpsc::Receiver<Command>) -> Result<(), Lost> {
    loop {
        match commands.try_recv() {
            Ok(_) => {}
            Err(mpsc::error::TryRecvError::Empty) => return Ok(()),
            Err(mpsc::error::TryRecvError::Disconnected) => return Err(Lost::Stopped),
        }
    }
}
