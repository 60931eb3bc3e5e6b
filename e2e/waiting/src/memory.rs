//! The run in which nobody is served, so that memory and processor time are those of waiting alone.

use crate::crowd::Plan;
use crate::server::{Kernel, Server};
use crate::waiting::{launch, tickets};
use crate::world::World;
use anyhow::ensure;
use serde::Serialize;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// So slow that hardly anybody is served while the memory is looked at.
const RATE_PER_MINUTE: u32 = 60;
/// Streams must be open within this time.
const OPEN_WITHIN: Duration = Duration::from_secs(120);
/// Processor time is looked at for so long.
const LOOK: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Bytes and cores.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    pub(crate) buyers: u32,
    pub(crate) streams: u32,
    pub(crate) shared_streams: u32,
    /// The server's resident memory with an open sale and nobody in it.
    pub(crate) empty_bytes: u64,
    /// With everybody waiting, without a stream.
    pub(crate) waiting_bytes: u64,
    /// With all streams open.
    pub(crate) streaming_bytes: u64,
    /// Per buyer who holds a ticket.
    pub(crate) per_ticket: f64,
    /// More per event stream on a connection of its own, in the server's own memory.
    pub(crate) per_stream: f64,
    /// Per event stream on a shared connection.
    pub(crate) per_shared_stream: f64,
    /// Data in socket buffers per connection, at both ends.
    pub(crate) kernel_buffers_per_stream: f64,
    /// Kernel objects (sockets, files, poll entries) per connection, at both ends.
    pub(crate) kernel_objects_per_stream: f64,
    /// Cores that the server uses while everybody waits and nobody asks.
    pub(crate) cores_waiting: f64,
    /// While all streams are open.
    pub(crate) cores_streaming: f64,
}

/// Lets everybody get a ticket, then those with streams open them, and looks what that takes.
pub(crate) async fn run(program: &Path, buyers: u32, plan: Plan, seed: u64) -> anyhow::Result<Memory> {
    let server = Server::start(program, buyers, RATE_PER_MINUTE).await?;
    let empty_bytes = server.rss()?;
    let world = Rc::new(World::new(server.listen, buyers, seed)?);
    let (own, shared) = (plan.streams, plan.shared_streams);
    let quiet = Plan {
        streams: 0,
        shared_streams: 0,
        polls: false,
        ..plan
    };
    launch(&world, quiet, seed);
    tickets(&world).await?;
    applied(&server, buyers).await?;
    let (cpu, since) = (server.cpu()?, Instant::now());
    tokio::time::sleep(LOOK).await;
    let cores_waiting = server
        .cpu()?
        .cores_since(&cpu, since.elapsed().as_secs_f64())
        .total();
    let waiting_bytes = server.rss()?;

    let kernel = Kernel::now()?;
    open(&world, 0..own, true).await?;
    let (own_bytes, with) = (server.rss()?, Kernel::now()?);
    open(&world, own..own + shared, false).await?;
    let streaming_bytes = server.rss()?;
    let (cpu, since) = (server.cpu()?, Instant::now());
    tokio::time::sleep(LOOK).await;
    let cores_streaming = server
        .cpu()?
        .cores_since(&cpu, since.elapsed().as_secs_f64())
        .total();
    server.end().await?;
    let per = |after: u64, before: u64, n: u32| (after as f64 - before as f64) / f64::from(n.max(1));
    Ok(Memory {
        buyers,
        streams: own,
        shared_streams: shared,
        empty_bytes,
        waiting_bytes,
        streaming_bytes,
        per_ticket: per(waiting_bytes, empty_bytes, buyers),
        per_stream: per(own_bytes, waiting_bytes, own),
        per_shared_stream: per(streaming_bytes, own_bytes, shared),
        kernel_buffers_per_stream: per(with.buffers, kernel.buffers, own),
        kernel_objects_per_stream: per(with.objects, kernel.objects, own),
        cores_waiting,
        cores_streaming,
    })
}

/// Waits until the order database knows of everybody.
async fn applied(server: &Server, buyers: u32) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        let live = server.live().await?;
        if live.queue.waiting + live.funnel.ordered >= u64::from(buyers) {
            return Ok(());
        }
        ensure!(
            since.elapsed() < OPEN_WITHIN,
            "{} of {buyers} wait",
            live.queue.waiting
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Opens the streams of these buyers, and lets two rounds of events go by.
async fn open(world: &Rc<World>, buyers: std::ops::Range<u32>, own: bool) -> anyhow::Result<()> {
    let before = world.streams_open.get();
    let (to, named) = tokio::sync::mpsc::unbounded_channel();
    // The receiver takes all of them before it ends.
    let gone = world
        .buyers
        .borrow()
        .iter()
        .map(|b| b.ordered_ms.is_some())
        .collect::<Vec<_>>();
    let all = buyers
        .filter(|b| !gone[*b as usize])
        .filter(|b| to.send(*b).is_ok())
        .count() as u32;
    if own {
        tokio::task::spawn_local(crate::streams::own(world.clone(), named));
    } else {
        tokio::task::spawn_local(crate::streams::shared(world.clone(), named));
    }
    let since = Instant::now();
    // Some are served meanwhile, at the slow rate.
    while world.streams_open.get() + world.ordered.get() < before + all {
        let opened = world.streams_open.get() - before;
        ensure!(
            since.elapsed() < OPEN_WITHIN,
            "{opened} of {all} streams could be opened"
        );
        tokio::time::sleep(POLL).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}
