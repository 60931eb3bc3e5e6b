//! From every state the shards can recover: a fresh owner takes over, nothing fails any more, and then
//! nothing promised is missing, nothing is lost and the database has it all.

use crate::check::{check, fold};
use crate::config::Config;
use crate::log::{Meaning, Sent};
use crate::step::{self, Action, ITEM, Kind, Turn, attempt, by_key, settle};
use crate::world::{World, tickets};
use flashsale_core::attempt::{Answer, Verdict};
use flashsale_core::event::Record;
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::{Apply, Medium};
use std::rc::Rc;

/// More rounds than any recovery within the bounds can need.
const ROUNDS_MAX: usize = 200;

/// Takes every shard over, lets nothing fail, and checks what is there in the end.
///
/// # Errors
/// What is missing or stuck.
pub fn recovers(config: &Config, world: &World) -> Result<(), String> {
    let mut world = world.clone();
    for shard in 0..world.shards.len() {
        let expect = world.shards[shard].row.claimed.0 as usize;
        Turn {
            config,
            world: &mut world,
            shard,
        }
        .claim_unbounded(expect);
    }
    settle(config, &mut world);
    for _ in 0..ROUNDS_MAX {
        let before = world.fingerprint(config);
        world = round(config, world);
        check(config, &world).map_err(|problem| format!("while recovering: {problem}"))?;
        if world.fingerprint(config) == before {
            return recovered(config, &world).map_err(|problem| format!("after recovery, {problem}"));
        }
    }
    Err("recovery doesn't come to an end".into())
}

/// Everything that the newest owners and one worker can do, once.
fn round(config: &Config, mut world: World) -> World {
    for shard in 0..world.shards.len() {
        let Some(node) = world.shards[shard].newest() else {
            continue;
        };
        let arg = 0;
        for kind in [Kind::Reply, Kind::Read, Kind::Commit, Kind::Leave, Kind::Left] {
            world = go(
                config,
                world,
                Action {
                    kind,
                    shard,
                    node,
                    arg,
                },
            );
        }
        world = land_own(config, world, shard, node);
        if config.worker {
            work(config, &mut world, shard);
        }
        let Some(node) = world.shards[shard].newest() else {
            continue;
        };
        for arg in 0..world.shards[shard].orders.len() {
            world = go(
                config,
                world,
                Action {
                    kind: Kind::Release,
                    shard,
                    node,
                    arg,
                },
            );
        }
        let mut possible = Vec::new();
        step::actions(config, &world, &mut possible);
        let transfer = |a: &&Action| matches!(a.kind, Kind::Arrive | Kind::Acked);
        for action in possible
            .iter()
            .filter(transfer)
            .filter(|a| (a.shard, a.node) == (shard, node))
        {
            world = go(config, world, *action);
        }
    }
    world
}

fn go(config: &Config, world: World, action: Action) -> World {
    let there = world.shards[action.shard].nodes.get(action.node);
    let fits = match (action.kind, there.map(|n| n.owner.phase())) {
        (_, None) => false,
        (Kind::Commit | Kind::Leave, Some(phase)) => phase == Phase::Bypass,
        (Kind::Left, Some(phase)) => phase == Phase::LeavingBypass && there.is_some_and(|node| node.copied),
        _ => true,
    };
    if !fits {
        return world;
    }
    step::step(config, &world, action).unwrap_or(world)
}

fn land_own(config: &Config, mut world: World, shard: usize, node: usize) -> World {
    let Some(owner) = world.shards[shard].nodes.get(node) else {
        return world;
    };
    let (epoch, me) = (owner.owner.epoch(), owner.me);
    let messages: Vec<Record> = world.shards[shard].sent.iter().flat_map(Sent::messages).collect();
    for (arg, record) in messages.iter().enumerate() {
        let (Record::Barrier { epoch: e, owner: o }
        | Record::Opened {
            epoch: e, owner: o, ..
        }
        | Record::Batch {
            epoch: e, owner: o, ..
        }) = record;
        if (*e, *o) != (epoch, me) {
            continue;
        }
        let action = Action {
            kind: Kind::Land,
            shard,
            node,
            arg,
        };
        if let Some(after) = step::step(config, &world, action) {
            return after;
        }
    }
    world = settled(config, world);
    world
}

fn settled(config: &Config, mut world: World) -> World {
    settle(config, &mut world);
    world
}

/// A worker that was restarted reads the whole partition in order, and waits at what it may not apply
/// now. (One that passes over it instead is covered by [`Kind::Apply`], which applies in any order.)
fn work(config: &Config, world: &mut World, shard: usize) {
    for record in world.shards[shard].log.records.clone() {
        let row = &mut world.shards[shard].row;
        let apply = match (&record.meaning, &record.record) {
            (Meaning::Opened { epoch, base }, _) => row.apply_opened(*epoch, *base),
            (Meaning::Counted { epoch }, Record::Batch { events, .. }) => {
                let apply = row.apply(*epoch, events[0].n);
                if apply == Apply::Now {
                    let event = events[0].clone();
                    Turn { config, world, shard }.applied(event);
                }
                apply
            }
            _ => Apply::Done,
        };
        if apply == Apply::Not {
            break;
        }
    }
    settle(config, world);
}

fn recovered(config: &Config, world: &World) -> Result<(), String> {
    let mut units = 0;
    for (ix, shard) in world.shards.iter().enumerate() {
        let newest = shard.newest().map(|ix| &shard.nodes[ix]);
        let Some(node) = newest.filter(|n| n.owner.phase() == Phase::Open) else {
            return Err(format!("shard {ix} isn't open"));
        };
        if shard.row.medium != Medium::Log || shard.log.list != node.list {
            return Err(format!("shard {ix}: log and owner differ"));
        }
        if config.worker && *shard.db != node.list {
            return Err(format!(
                "shard {ix}: the database has {} of {} events",
                shard.db.len(),
                node.list.len()
            ));
        }
        if *shard.promised != node.list {
            return Err(format!("shard {ix}: not all is promised"));
        }
        if shard.orders.iter().any(|o| o.release.is_some()) {
            return Err(format!("shard {ix}: a release is pending"));
        }
        if node.owner.in_transfer(ITEM) > 0 {
            return Err(format!("shard {ix}: units are on their way"));
        }
        let rebuilt = fold(config, &node.list).map_err(|e| e.to_string())?;
        if rebuilt != *node.owner.engine() {
            return Err(format!("shard {ix}: a rebuilt engine differs"));
        }
        retries(config, world, ix, &node.owner)?;
        let loaded: u32 = shard.promised.iter().map(loaded_units).sum();
        let held: u32 = rebuilt
            .live()
            .map(|(_, _, u)| flashsale_core::units::count(u))
            .sum();
        units += i64::from(loaded) - i64::from(rebuilt.free(ITEM)) - i64::from(held);
    }
    if units != 0 {
        return Err(format!("{units} units are lost"));
    }
    Ok(())
}

fn loaded_units(event: &flashsale_core::event::Event) -> u32 {
    match &event.change {
        flashsale_core::event::Change::Loaded { units, .. } => units.len,
        _ => 0,
    }
}

/// Every buyer's retry gets the promised ticket.
fn retries(config: &Config, world: &World, shard: usize, owner: &Owner) -> Result<(), String> {
    let here = &world.shards[shard];
    let mut owner = Rc::new(owner.clone());
    for buyer in 0..config.homes.len() {
        for which in 0..config.tries.len() {
            let attempt = attempt(config, buyer, which);
            let Some(promised) = by_key(&here.promised, &attempt) else {
                continue;
            };
            let mut verdicts = Vec::new();
            Rc::make_mut(&mut owner).purchase(1, &[0], &[attempt], &mut verdicts);
            let same = matches!(verdicts[..], [Verdict::Answer(Answer::Existing(t))] if t.ticket == promised.ticket());
            let conflict = config
                .tries
                .iter()
                .filter(|t| t.key == config.tries[which].key)
                .count()
                > 1;
            if !same && !conflict {
                return Err(format!("buyer {buyer}'s retry gets {verdicts:?}"));
            }
        }
    }
    let live = owner
        .engine()
        .live()
        .filter(|(t, _, _)| !tickets(&here.promised).any(|p| p == *t));
    if live.count() > 0 {
        return Err("a live reservation isn't promised".into());
    }
    Ok(())
}
