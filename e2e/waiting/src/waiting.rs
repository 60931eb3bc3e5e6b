//! The run in which everybody waits until the order is made.

use crate::crowd::{self, Openers, Plan};
use crate::promises::Promises;
use crate::server::{Cpu, Server};
use crate::streams;
use crate::world::World;
use anyhow::ensure;
use serde::Serialize;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::unbounded_channel;

/// How often somebody looks whether all have their tickets.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Tickets for all must have been given out within this time.
const TICKETS_WITHIN: Duration = Duration::from_secs(180);

/// What a run came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waited {
    pub(crate) buyers: u32,
    pub(crate) streams: u32,
    pub(crate) shared_streams: u32,
    /// From the first purchase until everybody held a ticket.
    pub(crate) tickets_seconds: f64,
    /// From the first purchase until everybody had an order.
    pub(crate) seconds: f64,
    pub(crate) orders_per_second: f64,
    pub(crate) set_orders_per_second: f64,
    /// Buyers without an order at the end of the run.
    pub(crate) unfinished: u32,
    /// Observations of a position larger than the one before.
    pub(crate) grew: u64,
    pub(crate) setbacks: u64,
    pub(crate) most_streams: u32,
    /// The server's HTTP requests per second after all tickets were out.
    pub(crate) requests_per_second: f64,
    pub(crate) events_per_second: f64,
    /// From a request to its answer, seen by the client: half, 99 %, 99.9 %.
    pub(crate) latency_ms: [f64; 3],
    /// Cores in use by the server's threads from then until half were served.
    pub(crate) cores: Cpu,
    pub(crate) promises: Promises,
}

/// Starts the crowd; its streams are opened as tickets come.
pub(crate) fn launch(world: &Rc<World>, plan: Plan, seed: u64) {
    let (own, own_buyers) = unbounded_channel();
    let (shared, shared_buyers) = unbounded_channel();
    tokio::task::spawn_local(streams::own(world.clone(), own_buyers));
    tokio::task::spawn_local(streams::shared(world.clone(), shared_buyers));
    crowd::start(world, plan, &Openers { own, shared }, seed);
}

/// Waits until everybody holds a ticket.
pub(crate) async fn tickets(world: &World) -> anyhow::Result<()> {
    while world.tickets.get() < world.len() {
        let (have, all) = (world.tickets.get(), world.len());
        ensure!(
            world.started.elapsed() < TICKETS_WITHIN,
            "only {have} of {all} buyers got a ticket in {} s",
            TICKETS_WITHIN.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Lets everybody wait as `plan` says.
pub(crate) async fn run(
    program: &Path,
    buyers: u32,
    rate_per_minute: u32,
    plan: Plan,
    seed: u64,
) -> anyhow::Result<Waited> {
    let server = Server::start(program, buyers, rate_per_minute).await?;
    let world = Rc::new(World::new(server.listen, buyers, seed)?);
    let done = world.done.notified();
    launch(&world, plan, seed);
    tickets(&world).await?;
    let tickets_seconds = world.started.elapsed().as_secs_f64();
    world.latency.borrow_mut().reset();
    let (since, cpu, polls, events) = (
        Instant::now(),
        server.cpu()?,
        world.polls.get(),
        world.events.get(),
    );
    while world.ordered.get() < buyers / 2 && since.elapsed() < TICKETS_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = since.elapsed().as_secs_f64();
    let cores = server.cpu()?.cores_since(&cpu, seconds);
    let requests_per_second = (world.polls.get() - polls) as f64 / seconds;
    let events_per_second = (world.events.get() - events) as f64 / seconds;
    let latency = {
        let latency = world.latency.borrow();
        [0.5, 0.99, 0.999].map(|q| latency.value_at_quantile(q) as f64 / 1e3)
    };
    // Twice what the set rate needs, and as much again for a slow machine.
    let patience =
        Duration::from_secs_f64(f64::from(buyers) * 60.0 / f64::from(rate_per_minute) * 2.0 + 60.0);
    let _ = tokio::time::timeout(patience, done).await;
    server.end().await?;
    let buyers_seen = world.buyers.borrow();
    let last = buyers_seen.iter().filter_map(|b| b.ordered_ms).max();
    let first = buyers_seen.iter().filter_map(|b| b.ordered_ms).min();
    let span = last.unwrap_or(0).saturating_sub(first.unwrap_or(0)) as f64 / 1e3;
    Ok(Waited {
        buyers,
        streams: plan.streams,
        shared_streams: plan.shared_streams,
        tickets_seconds,
        seconds: world.started.elapsed().as_secs_f64(),
        orders_per_second: f64::from(world.ordered.get()) / span.max(0.001),
        set_orders_per_second: f64::from(rate_per_minute) / 60.0,
        unfinished: buyers - world.ordered.get(),
        grew: buyers_seen.iter().map(|b| u64::from(b.grew)).sum(),
        setbacks: world.setbacks.get(),
        most_streams: world.most_streams.get(),
        requests_per_second,
        events_per_second,
        latency_ms: latency,
        cores,
        promises: Promises::of(&buyers_seen),
    })
}
