//! What batches in memory are worth: the same attempts through the same port, host and journal, in batches and one to
//! a call.

use crate::machine::own_cpu_seconds;
use crate::report::{Figure, Goal, Section};
use crate::sale::{Offer, yaml};
use crate::{Bench, child};
use anyhow::{Context, bail, ensure};
use flashsale_core::attempt::{Answer, Attempt};
use flashsale_core::ids::{Epoch, ItemIx, Keyring, OwnerId, SaleUid, ShardId};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::room::Room;
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::data_dir::{DataDir, Overrides};
use flashsale_dataplane::host::{Host, HostError, HostReply, Message, Port, WAITING_MAX, token};
use flashsale_dataplane::sale::Sale;
use flashsale_dataplane::shared::Shared;
use flashsale_journal::{Journal, Options};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Attempts of a round, each accepted.
const ATTEMPTS: u32 = 200_000;
/// Attempts that are sent and not answered, as from so many waiting buyers.
const UNDER_WAY_MAX: usize = 2_048;
/// Attempts in one call.
const BATCHES: [usize; 3] = [1, 16, 256];
/// The stock lies in so many shards.
const SHARDS: u16 = 4;
const LOAD_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_us: f64,
}

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let mut rounds: [Vec<Round>; BATCHES.len()] = Default::default();
    for round in 0..bench.rounds {
        bench
            .progress
            .round(round, bench.rounds, "attempts per call of the host");
        for turn in 0..BATCHES.len() {
            // Each goes first in turn.
            let ix = (round + turn) % BATCHES.len();
            let dir = bench.round_dir()?;
            rounds[ix].push(run(dir.path(), BATCHES[ix])?);
        }
    }
    let rates = rounds
        .each_ref()
        .map(|r| r.iter().map(|r| r.per_second).collect::<Vec<_>>());
    let costs = rounds
        .each_ref()
        .map(|r| r.iter().map(|r| r.cpu_us).collect::<Vec<_>>());
    let mut figures = Vec::new();
    for (ix, batch) in BATCHES.into_iter().enumerate() {
        figures.push(Figure::new(
            format!("attempts in calls of {batch}"),
            "attempts/s",
            rates[ix].clone(),
        ));
    }
    for (ix, batch) in BATCHES.into_iter().enumerate() {
        let name = format!("CPU time in calls of {batch}");
        figures.push(Figure::new(name, "µs/attempt", costs[ix].clone()));
    }
    let last = BATCHES.len() - 1;
    figures.push(
        Figure::ratio(
            format!("attempts/s, {} to a call : 1 to a call", BATCHES[last]),
            &rates[last],
            &rates[0],
        )
        .goal(Goal::AtLeast(1.0)),
    );
    Ok(Section {
        name: "batching",
        method: format!(
            "{ATTEMPTS} attempts by other buyers, all accepted, through one port, host and journal to {SHARDS} shards, at \
             most {UNDER_WAY_MAX} under way, in calls of {BATCHES:?} attempts; from the first call to the last answer. CPU \
             time is that of the whole process, caller and journal included."
        ),
        figures,
        notes: vec![
            "How many attempts a call holds behind the real gateways is shown under `purchases`.".to_owned(),
        ],
    })
}

/// A host with its journal, on a thread of its own.
struct Hosted {
    sale: Sale,
    port: Port,
    replies: UnboundedReceiver<Vec<HostReply>>,
    thread: JoinHandle<Result<(), HostError>>,
    journal: Arc<Journal>,
}

impl Hosted {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let overrides = Overrides {
            opens_in: Some(Duration::ZERO),
            shards: Some(SHARDS),
            buyers: Some(EffectiveBuyers::development()),
            ..Overrides::default()
        };
        let offer = Offer {
            stock: ATTEMPTS,
            orders_per_minute: 10_000,
        };
        let data = DataDir::new(dir);
        let prepared = data.prepare(&yaml(offer), &overrides, SaleUid(7), now_ms())?;
        let opened = Journal::open(prepared.dir.journal(), Options::default())?;
        let journal = Arc::new(opened.journal);
        let shared = Arc::new(Shared::new(prepared.sale.clone()));
        let seen = Arc::clone(&shared);
        let (port, inbox) = Port::channel();
        let (sender, replies) = unbounded_channel();
        let mut room = Room::new(SHARDS, 1, WAITING_MAX);
        for shard in (0..SHARDS).map(ShardId) {
            let me = OwnerId(u64::from(shard.0) + 1);
            let owner = Owner::claimed(shard, me, Epoch(1), prepared.sale.rules(), &mut Vec::new());
            room.own(owner, &mut Vec::new());
        }
        let mut host = Host::new(room, shared, Arc::clone(&journal), vec![sender]);
        host.fence()?;
        let thread = std::thread::Builder::new()
            .name("host".to_owned())
            .spawn(move || host.run(&inbox, &opened.committed))?;
        // Shards take stock only once their barriers are durable.
        child::until("the shards open", LOAD_WITHIN, LOOK_EVERY, || {
            let open = seen.shards.iter().all(|s| s.load().phase == Phase::Open);
            Ok(open.then_some(()))
        })?;
        let (done, loaded) = crossbeam_channel::bounded(1);
        ensure!(port.send(Message::Load(done)), "the host has ended");
        loaded
            .recv_timeout(LOAD_WITHIN)
            .context("the stock wasn't loaded")?;
        Ok(Self {
            sale: prepared.sale,
            port,
            replies,
            thread,
            journal,
        })
    }

    fn stop(self) -> anyhow::Result<()> {
        ensure!(self.port.send(Message::Stop), "the host has ended");
        match self.thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("the host panicked"),
        }
        self.journal.close()?;
        Ok(())
    }
}

/// The attempts in calls of `batch`, each to the shard at which its buyers are at home.
fn calls(sale: &Sale, batch: usize) -> Vec<(ShardId, Vec<Attempt>)> {
    let keys = Keyring::new(sale.uid);
    let mut open: Vec<Vec<Attempt>> = vec![Vec::new(); usize::from(SHARDS)];
    let mut calls = Vec::new();
    for n in 0..ATTEMPTS {
        let buyer_id: Box<str> = format!("buyer-{n:08}").into();
        let buyer = keys.buyer(&buyer_id);
        let home = buyer.home(SHARDS);
        let call = &mut open[home.ix()];
        call.push(Attempt {
            token: token(0, u64::from(n)),
            buyer,
            buyer_id,
            item: ItemIx(0),
            quantity: 1,
            key: Some(keys.request(buyer, b"0f8fad5b-d9cb-469f-a165-70867728950e")),
        });
        if call.len() == batch {
            calls.push((home, std::mem::take(call)));
        }
    }
    let left = (0..SHARDS).map(ShardId).zip(open);
    calls.extend(left.filter(|(_, call)| !call.is_empty()));
    calls
}

fn run(dir: &Path, batch: usize) -> anyhow::Result<Round> {
    let mut hosted = Hosted::start(dir)?;
    let calls = calls(&hosted.sale, batch);
    let (mut under_way, mut taken) = (0, 0);
    let cpu = own_cpu_seconds();
    let start = Instant::now();
    for (shard, attempts) in calls {
        while under_way + attempts.len() > UNDER_WAY_MAX {
            under_way -= receive(&mut hosted.replies, &mut taken)?;
        }
        under_way += attempts.len();
        ensure!(
            hosted.port.send(Message::Purchase { shard, attempts }),
            "the host has ended"
        );
    }
    while under_way > 0 {
        under_way -= receive(&mut hosted.replies, &mut taken)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = own_cpu_seconds() - cpu;
    hosted.stop()?;
    ensure!(taken == ATTEMPTS, "{taken} of {ATTEMPTS} attempts were accepted");
    Ok(Round {
        per_second: f64::from(ATTEMPTS) / seconds,
        cpu_us: cpu * 1e6 / f64::from(ATTEMPTS),
    })
}

/// Waits for answers; how many came.
fn receive(replies: &mut UnboundedReceiver<Vec<HostReply>>, taken: &mut u32) -> anyhow::Result<usize> {
    let replies = replies.blocking_recv().context("the host has ended")?;
    let accepted = |r: &&HostReply| matches!(r, HostReply::Purchase(_, Answer::Taken(_)));
    *taken += replies.iter().filter(accepted).count() as u32;
    Ok(replies.len())
}
