//! What must hold in every state.

use crate::config::Config;
use crate::step::{ITEM, buyer_of};
use crate::world::{Shard, World, rules};
use flashsale_core::engine::{Engine, Inconsistent};
use flashsale_core::event::{Change, Event};
use flashsale_core::ids::{Seq, ShardId};
use flashsale_core::order::{self, OrderEffect, OrderEvent, State};
use flashsale_core::row::Medium;
use flashsale_core::ticket::{Shown, shown};
use std::collections::BTreeMap;

/// Checks everything that must hold in every state.
///
/// # Errors
/// What doesn't hold.
pub fn check(config: &Config, world: &World) -> Result<(), String> {
    if let Some(problem) = &world.problem {
        return Err(problem.clone());
    }
    let mut engines = Vec::new();
    for (ix, shard) in world.shards.iter().enumerate() {
        let promised =
            fold(config, &shard.promised).map_err(|e| format!("shard {ix}, the promised list: {e}"))?;
        fold(config, &shard.db).map_err(|e| format!("shard {ix}, the database's list: {e}"))?;
        lists(config, shard).map_err(|problem| format!("shard {ix}: {problem}"))?;
        shown_tickets(shard).map_err(|problem| format!("shard {ix}: {problem}"))?;
        orders(shard).map_err(|problem| format!("shard {ix}: {problem}"))?;
        limits(config, shard, &promised)?;
        engines.push(promised);
    }
    units(config, world, &engines)
}

/// The engine that a list makes; an error if it sells a unit that isn't free, or anything else that
/// doesn't follow.
pub(crate) fn fold(config: &Config, list: &[Event]) -> Result<Engine, Inconsistent> {
    let mut engine = Engine::new(rules(config));
    list.iter().try_for_each(|event| engine.apply(event))?;
    Ok(engine)
}

fn starts_with(long: &[Event], short: &[Event]) -> bool {
    long.len() >= short.len() && long[..short.len()] == *short
}

/// In order, once, and no promise broken: who has more has what the others have.
fn lists(config: &Config, shard: &Shard) -> Result<(), String> {
    let (promised, db, log) = (&shard.promised[..], &shard.db[..], &shard.log.list[..]);
    if shard.row.applied != db.len() as u64 {
        return Err("the row doesn't say what is applied".into());
    }
    if config.worker && !starts_with(promised, db) && !starts_with(db, promised) {
        return Err("the database has another event than was promised".into());
    }
    match shard.row.medium {
        Medium::Log if !starts_with(log, promised) => return Err("the log lacks a promised event".into()),
        Medium::Log if !starts_with(log, db) => return Err("the database has what the log hasn't".into()),
        Medium::Bypass if !starts_with(db, promised) => {
            return Err("in bypass, the database lacks a promised event".into());
        }
        Medium::Log | Medium::Bypass => {}
    }
    let newest = shard.newest().map(|ix| &shard.nodes[ix]);
    if let Some(node) = newest.filter(|n| n.owner.takes() && !starts_with(&n.list, promised)) {
        let epoch = node.owner.epoch().0;
        return Err(format!(
            "the owner of epoch {epoch} sells without having a promised event"
        ));
    }
    Ok(())
}

/// What any owner's progress makes a gateway show of any ticket that any owner gave out.
fn shown_tickets(shard: &Shard) -> Result<(), String> {
    let promised = |n: Seq| shard.promised.get(n as usize - 1);
    let reserved = |e: &&Event| buyer_of(e).is_some();
    for viewer in &shard.nodes {
        let progress = viewer.owner.progress();
        let kept = |ticket, promised: bool| match shown(ticket, &progress, None) {
            Shown::Reserved if !promised => {
                Err(format!("{ticket:?} is shown as reserved and isn't promised"))
            }
            Shown::Lost if promised => Err(format!("{ticket:?} is shown as lost and was promised")),
            _ => Ok(()),
        };
        for event in shard.nodes.iter().flat_map(|n| &n.list).filter(reserved) {
            // The same number for another buyer isn't the same ticket.
            kept(event.ticket(), promised(event.n) == Some(event))?;
        }
        for &ticket in shard.lost.iter() {
            kept(ticket, promised(ticket.n).is_some_and(|e| e.ticket() == ticket))?;
        }
    }
    Ok(())
}

/// Paid or released, never both; every payment is accepted or to be given back; a closed order's units
/// come back.
fn orders(shard: &Shard) -> Result<(), String> {
    let released = |list: &[Event], ticket| {
        list.iter()
            .any(|e| matches!(e.change, Change::Released { ticket: t, .. } if t == ticket))
    };
    for order in shard.orders.iter() {
        let closed = matches!(order.state, State::Closed(_));
        let anywhere = released(&shard.promised, order.ticket)
            || released(&shard.db, order.ticket)
            || shard.nodes.iter().any(|n| released(&n.list, order.ticket));
        let ticket = order.ticket;
        if anywhere && !closed {
            return Err(format!("{ticket:?} is released and its order isn't closed"));
        }
        if order.accepted > 0 && (closed || anywhere) {
            return Err(format!("{ticket:?} is paid and closed"));
        }
        if u32::from(order.accepted + order.refunds) != order.payments.count_ones() || order.accepted > 1 {
            return Err(format!(
                "{ticket:?}: money is neither accepted nor to be given back"
            ));
        }
        let late = order::step(order.state, OrderEvent::Pay { again: false });
        if order.state != State::Pending && late != Ok((order.state, &[OrderEffect::RefundDue])) {
            return Err(format!("{ticket:?}: late money would do {late:?}"));
        }
        let again = order::step(order.state, OrderEvent::Pay { again: true });
        if again != Ok((order.state, &[])) {
            return Err(format!(
                "{ticket:?}: a payment that comes again would do {again:?}"
            ));
        }
        if closed && order.release.is_none() && !released(&shard.db, ticket) {
            return Err(format!("{ticket:?} is closed and nobody will release its unit"));
        }
    }
    Ok(())
}

fn limits(config: &Config, shard: &Shard, promised: &Engine) -> Result<(), String> {
    let mut held: BTreeMap<_, u32> = BTreeMap::new();
    for (ticket, _, units) in promised.live() {
        let buyer = shard.promised.get(ticket.n as usize - 1).and_then(buyer_of);
        *held.entry(buyer).or_default() += units.iter().map(|r| r.len).sum::<u32>();
    }
    match held.iter().find(|(_, units)| **units > config.limit) {
        Some((buyer, units)) => Err(format!(
            "{buyer:?} was promised {units} units, limit {}",
            config.limit
        )),
        None => Ok(()),
    }
}

/// Every promised unit is in exactly one place, at every instant: free, held, or between two shards.
fn units(config: &Config, world: &World, engines: &[Engine]) -> Result<(), String> {
    let mut places = vec![0u32; config.stock() as usize];
    let mut put = |ranges: &[flashsale_core::units::UnitRange]| {
        for unit in ranges.iter().flat_map(|r| r.iter()) {
            places[unit as usize] += 1;
        }
    };
    for (engine, shard) in engines.iter().zip(&world.shards) {
        put(engine.free_ranges(ITEM));
        engine.live().for_each(|(_, _, units)| put(units));
        for event in shard.promised.iter() {
            if let Change::TransferOut { to, units, .. } = &event.change {
                let from = ShardId(1 - to.0);
                let arrived = world.shards[to.ix()].promised.iter().any(|e| {
                    matches!(&e.change, Change::TransferIn { from: f, number, .. }
                        if (*f, *number) == (from, event.n))
                });
                if !arrived {
                    put(units);
                }
            }
        }
    }
    let loaded = |unit: usize| {
        world.shards.iter().flat_map(|s| s.promised.iter()).any(
            |e| matches!(&e.change, Change::Loaded { units, .. } if units.iter().any(|u| u as usize == unit)),
        )
    };
    for (unit, places) in places.into_iter().enumerate() {
        if places != u32::from(loaded(unit)) {
            return Err(format!("unit {unit} is in {places} places"));
        }
    }
    for &(recipient, donor, number) in world.acks.iter() {
        let promised = world.shards[recipient.ix()].promised.iter().any(|e| {
            matches!(&e.change, Change::TransferIn { from, number: n, .. } if (*from, *n) == (donor, number))
        });
        if !promised {
            return Err(format!(
                "transfer {number} of {donor:?} was acknowledged and isn't promised"
            ));
        }
    }
    Ok(())
}
