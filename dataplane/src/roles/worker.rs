//! The role `worker`: applies the log, makes orders, takes payments; the hub between sidecars.

use super::config::{Told, WorkerConfig};
use super::ready::Ready;
use super::signals::Signals;
use super::{RoleError, admin, amending, books};
use crate::admin::Admin;
use crate::amendments::{Amended, Amendments};
use crate::desk::Desk;
use crate::embedded::{Wake, follow};
use crate::host::{Message, Port};
use crate::link::{Dial, Hub, Known, LinkKey, Listening, Role, ShardsLink, ToSidecar, Transfer, keep};
use crate::shards::{Command, Wanted, plan};
use crate::shared::{SalePhase, Shared};
use crate::switches;
use crate::worker::{Delivery, Intake, Worker, WorkerError};
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::ShardId;
use flashsale_orders::{LoadState, Orders};
use flashsale_pulsar::{Names, Service};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

/// What waits for one sidecar's link; what finds no room comes again.
const ROUTE_MAX: usize = 1_024;
/// Tickets in one message.
const RELEASES_MAX: usize = 4_096;
/// Transfers that the planner asks one shard for and that wait.
const PLANNED_MAX: usize = 64;
/// A shard that hasn't loaded within this time is asked again.
const LOAD_AGAIN: Duration = Duration::from_millis(500);
/// A database that can't be used now is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// What is heard of a shard may be so old: a link that is silent for longer is given up.
const SEES_AFTER: Duration = Duration::from_secs(3);
/// How long the last transaction may take.
const END_MAX: Duration = Duration::from_secs(20);

/// The ways to all shards.
pub(super) type Routes = Arc<Vec<mpsc::Sender<ToSidecar>>>;

/// Works until told to end. To be run on a runtime of one thread.
///
/// # Errors
/// See [`RoleError`].
pub async fn worker(told: &Told<WorkerConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    LocalSet::new().run_until(run(told, ready_file)).await
}

async fn run(told: &Told<WorkerConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    let mut signals = Signals::listen()?;
    let config = &told.config;
    let prepared = books::sale(&config.sale)?;
    let sale = prepared.sale.clone();
    let sidecars = told.sidecars(&config.sidecars, sale.shards)?;
    let (key, tickets) = (told.link_key(&config.keys)?, told.ticket_key(&config.keys)?);
    let secret = config
        .deliver
        .then(|| told.payment_key(&config.keys))
        .transpose()?;
    let (listener, admin_at) = admin::bind(told, config.admin).await?;
    let link = Listening::bind(config.link, key.clone(), sale.uid, &[]).await;
    let link = link.map_err(|e| told.wrong("link", admin::in_use(config.link, &e)))?;
    let link_at = link.address().map_err(RoleError::failed)?;

    let open = async {
        let orders = Arc::new(books::orders(told, &config.databases, &prepared, tickets).await?);
        let log = books::log(told, &config.pulsar, &sale).await?;
        let begun = Begun::recover(&orders, &sale, &log).await?;
        Ok::<_, RoleError>((orders, begun))
    };
    let (orders, begun) = tokio::select! {
        opened = open => opened?,
        () = signals.end() => return Ok(()),
    };
    let Begun {
        shared,
        worker,
        desk,
        inbox,
    } = begun;
    let known = Arc::new(Known::new(sale.shards));
    let loaded = Arc::new(AtomicBool::new(false));
    let (missing_known, missing_loaded) = (Arc::clone(&known), Arc::clone(&loaded));
    let admin = Admin::start(Arc::clone(&shared), None);
    admin::serve(
        listener,
        admin.ready_when(move || missing(&missing_known, &missing_loaded)),
    );

    spawn_local(switches::keep(Arc::downgrade(&shared)));
    let wanted = Arc::new(Wanted::new(sale.shards, sale.items.len()));
    let (amendments, amended) = watch::channel(None);
    let routes = link_up(&shared, &known, &sidecars, inbox, (&key, &amendments));
    plan_transfers(&shared, &wanted, &routes);
    let (stop, stopped) = watch::channel(false);
    let delivery = secret.map(|secret| deliver(&orders, &shared, secret));
    let mut worked = start(worker.sees_after(SEES_AFTER), delivery, stopped)?;
    let hub = Hub::new(
        Arc::clone(&shared),
        Arc::clone(&orders),
        desk,
        Arc::clone(&loaded),
        wanted,
    );
    let ready = async {
        get_ready(&shared, &orders, &known, &routes, &loaded).await?;
        let _until_the_end = Ready::of(None, Some(link_at), Some(admin_at)).tell(ready_file)?;
        std::future::pending::<Result<(), RoleError>>().await
    };
    let ended = tokio::select! {
        () = link.serve(async |caller, from, to| hub.talk(caller, from, to).await) => Ok(()),
        () = hub.add_up() => Ok(()),
        failed = ready => failed,
        failed = amending::run(&shared, &orders, &known, &routes, amended) => failed,
        ended = &mut worked => return failed(ended),
        () = signals.end() => Ok(()),
    };
    stop.send_replace(true);
    // What is committed stays; the rest is in the log.
    let last = tokio::time::timeout(END_MAX, worked).await;
    orders.close().await;
    ended.and(last.map_or(Ok(()), failed))
}

/// Waits until the stock is loaded and every shard was seen open.
async fn get_ready(
    shared: &Shared,
    orders: &Orders,
    known: &Known,
    routes: &Routes,
    loaded: &AtomicBool,
) -> Result<(), RoleError> {
    load(shared, orders, known, routes, loaded).await?;
    while !missing(known, loaded).is_empty() {
        known.changed.notified().await;
    }
    Ok(())
}

type Worked = oneshot::Receiver<Result<(), WorkerError>>;

fn failed(ended: Result<Result<(), WorkerError>, oneshot::error::RecvError>) -> Result<(), RoleError> {
    match ended {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(RoleError::Failed(
            "the worker's thread ended without a word: report this".into(),
        )),
    }
}

/// What isn't there yet.
fn missing(known: &Known, loaded: &AtomicBool) -> Vec<String> {
    let shards = known.never_open().into_iter();
    let mut missing: Vec<String> = shards
        .map(|shard| format!("shard {} was never open", shard.0))
        .collect();
    if !loaded.load(Ordering::Acquire) {
        missing.push("the stock isn't loaded yet".to_owned());
    }
    missing
}

/// A worker that has read where the databases stand.
struct Begun {
    shared: Arc<Shared>,
    worker: Worker,
    desk: Desk,
    inbox: mpsc::Receiver<Message>,
}

impl Begun {
    async fn recover(
        orders: &Arc<Orders>,
        sale: &crate::sale::Sale,
        log: &(Service, Names),
    ) -> Result<Self, RoleError> {
        loop {
            // Anew at each try: what was read by one that failed half way would be counted twice.
            let shared = Arc::new(Shared::new(sale.clone()));
            let records = Box::new(follow(log, sale.shards, Wake(Arc::clone(&shared))));
            let intake = Intake::new(sale.uid, sale.shards, records);
            let ((port, inbox), (desk, requests)) = (Port::to_task(), Desk::channel());
            let worker =
                Worker::recover(Arc::clone(orders), Arc::clone(&shared), port, requests, intake).await;
            let phase = orders.phase().await.map_err(WorkerError::from);
            let text = orders.amended().await.map_err(WorkerError::from);
            match worker.and_then(|worker| Ok((worker, phase?, text?.1))) {
                Ok((worker, phase, text)) => {
                    if phase == SalePhase::Draining.word() {
                        shared.advance(SalePhase::Draining);
                    }
                    shared.amend(amended(&text)?);
                    return Ok(Self {
                        shared,
                        worker,
                        desk,
                        inbox,
                    });
                }
                Err(WorkerError::Orders(error)) if error.kind().may_pass() => {
                    tracing::warn!(%error, "can't read the orders now; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What was taken of amendments.
fn amended(text: &str) -> Result<Amended, RoleError> {
    Amended::read(text).map_err(|e| {
        RoleError::Failed(format!(
            "the order database holds amendments that can't be read ({e}): run the version that wrote them"
        ))
    })
}

/// What tells the shop, where no process of its own does.
fn deliver(orders: &Arc<Orders>, shared: &Arc<Shared>, secret: String) -> Delivery {
    let client = crate::shop::client();
    Delivery::new(Arc::clone(orders), Arc::clone(shared), client, secret.into())
}

/// Runs the worker on a thread of its own, so that no transaction holds the links up.
fn start(
    worker: Worker,
    delivery: Option<Delivery>,
    stop: watch::Receiver<bool>,
) -> Result<Worked, RoleError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RoleError::failed)?;
    let (ended, worked) = oneshot::channel();
    let run = move || {
        let result = runtime.block_on(async {
            let delivering = delivery.map(|delivery| tokio::spawn(delivery.run(stop.clone())));
            let result = worker.run(stop).await;
            if let Some(delivering) = delivering {
                delivering.abort();
            }
            result
        });
        // Nobody listens only when the process ends anyway.
        let _ = ended.send(result);
    };
    let thread = std::thread::Builder::new().name("worker".into()).spawn(run);
    thread.map_err(RoleError::failed)?;
    Ok(worked)
}

/// Links to all sidecars, and the worker's messages on their way to them.
fn link_up(
    shared: &Arc<Shared>,
    known: &Arc<Known>,
    sidecars: &[(String, Vec<ShardId>)],
    inbox: mpsc::Receiver<Message>,
    (key, amendments): (&LinkKey, &watch::Sender<Option<Amendments>>),
) -> Routes {
    let shards = usize::from(shared.sale.shards);
    let (ways, commands): (Vec<_>, Vec<_>) = sidecars.iter().map(|_| mpsc::channel(ROUTE_MAX)).unzip();
    let mut routes: Vec<Option<mpsc::Sender<ToSidecar>>> = vec![None; shards];
    for ((_, kept), way) in sidecars.iter().zip(&ways) {
        for shard in kept {
            routes[shard.ix()] = Some(way.clone());
        }
    }
    // The configuration was checked: each shard is kept by one of them.
    let routes: Routes = Arc::new(routes.into_iter().flatten().collect());
    let applied: Arc<Vec<AtomicU64>> = Arc::new((0..shards).map(|_| AtomicU64::new(0)).collect());
    for ((address, kept), commands) in sidecars.iter().zip(commands) {
        let dial = Dial {
            address: address.clone(),
            what: "sidecar",
            shards: kept.clone(),
            role: Role::Worker,
            name: "worker".to_owned(),
            sale: shared.sale.uid,
            key: key.clone(),
            links: Arc::clone(&shared.links),
        };
        let link = ShardsLink {
            shared: Arc::clone(shared),
            known: Arc::clone(known),
            shards: kept.clone(),
            gates: Arc::default(),
            routes: Arc::clone(&routes),
            applied: Arc::clone(&applied),
            amendments: Some(amendments.clone()),
            commands,
        };
        spawn_local(keep(dial, link));
    }
    spawn_local(pass(inbox, Arc::clone(&routes), applied));
    routes
}

/// Passes the worker's messages on. What finds no room comes again: releases until they are applied, and numbers by
/// each link itself.
async fn pass(mut inbox: mpsc::Receiver<Message>, routes: Routes, applied: Arc<Vec<AtomicU64>>) {
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Applied(cursors) => {
                for (shard, n) in cursors {
                    applied[shard.ix()].store(n, Ordering::Release);
                }
            }
            Message::Release(releases) => {
                let mut by_shard: Vec<Vec<(TicketNo, ReleaseReason)>> = vec![Vec::new(); routes.len()];
                for (shard, ticket, reason) in releases {
                    by_shard[shard.ix()].push((ticket, reason));
                }
                for ((shard, route), tickets) in (0..).map(ShardId).zip(routes.iter()).zip(by_shard) {
                    for some in tickets.chunks(RELEASES_MAX) {
                        let _ = route.try_send(ToSidecar::Release(shard, some.to_vec()));
                    }
                }
            }
            Message::Stop => return,
            // Gateways', or asked otherwise here.
            Message::Purchase { .. } | Message::Register { .. } | Message::Load(_) | Message::Dump(_) => {}
        }
    }
}

/// Plans transfers from what gateways' buyers wait for.
fn plan_transfers(shared: &Arc<Shared>, wanted: &Arc<Wanted>, routes: &Routes) {
    let mut ways = Vec::new();
    for (shard, route) in (0..).map(ShardId).zip(routes.iter().cloned()) {
        let (way, mut planned) = mpsc::channel::<Command>(PLANNED_MAX);
        ways.push(way);
        spawn_local(async move {
            while let Some(command) = planned.recv().await {
                if let Some(transfer) = Transfer::of(&command) {
                    // Planned again while somebody waits.
                    let _ = route.try_send(ToSidecar::Transfer(shard, transfer));
                }
            }
        });
    }
    let weak = ways.iter().map(mpsc::Sender::downgrade).collect();
    let planning = plan(Arc::clone(shared), Arc::clone(wanted), weak);
    spawn_local(async move {
        planning.await;
        drop(ways);
    });
}

/// Has the declared stock loaded once: the database knows whether that was begun and finished, and each shard knows
/// which loads it has.
async fn load(
    shared: &Shared,
    orders: &Orders,
    known: &Known,
    routes: &Routes,
    loaded: &AtomicBool,
) -> Result<(), RoleError> {
    loop {
        match try_load(orders, known, routes).await {
            Ok(()) => break,
            Err(error) if error.kind().may_pass() => {
                tracing::warn!(%error, sale = shared.sale.name, "can't load the stock now; trying again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => return Err(RoleError::failed(error)),
        }
    }
    loaded.store(true, Ordering::Release);
    shared.loaded.store(true, Ordering::Release);
    Ok(())
}

async fn try_load(orders: &Orders, known: &Known, routes: &Routes) -> Result<(), flashsale_orders::Error> {
    if orders.load_state().await? == LoadState::Seeded {
        return Ok(());
    }
    orders
        .move_load_state(LoadState::Unseeded, LoadState::Seeding)
        .await?;
    loop {
        let left = known.not_loaded();
        if left.is_empty() {
            break;
        }
        for shard in left {
            let _ = routes[shard.ix()].try_send(ToSidecar::Load(shard));
        }
        // Either way it is looked who is left.
        let _ = tokio::time::timeout(LOAD_AGAIN, known.changed.notified()).await;
    }
    orders
        .move_load_state(LoadState::Seeding, LoadState::Seeded)
        .await?;
    Ok(())
}
