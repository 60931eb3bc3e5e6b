//! The role `gateway`: serves buyers.

use super::config::{GatewayConfig, Told};
use super::ready::Ready;
use super::signals::Signals;
use super::{RoleError, admin};
use crate::admin::Admin;
use crate::data_dir::{DataDir, Overrides};
use crate::desk::Desk;
use crate::gateway::{Gateway, GatewayOptions, Gateways, Secret};
use crate::host::{HostReply, Message, Port};
use crate::link::{DeskLink, Dial, Figures, Known, LinkKey, Role, ShardsLink, keep};
use crate::pages;
use crate::sale::Sale;
use crate::shards::{Callers, Gate, Wanted};
use crate::shared::Shared;
use crate::signature::hex;
use crate::switches;
use flashsale_core::ids::ShardId;
use flashsale_crds::EffectiveBuyers;
use flashsale_http::{Limits, Running, Server};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};

/// How long requests that are under way may take when the doors close.
const GRACE: Duration = Duration::from_secs(5);
/// How long the last calls may take then.
const CALLS_MAX: Duration = Duration::from_secs(4);
/// The most threads.
const THREADS_MAX: usize = 64;

/// Serves buyers until told to end. To be run on a runtime of one thread.
///
/// # Errors
/// See [`RoleError`].
pub async fn gateway(told: &Told<GatewayConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    LocalSet::new().run_until(run(told, ready_file)).await
}

async fn run(told: &Told<GatewayConfig>, ready_file: Option<&Path>) -> Result<(), RoleError> {
    let mut signals = Signals::listen()?;
    let config = &told.config;
    let sale = sale(config)?;
    let sidecars = told.sidecars(&config.sidecars, sale.shards)?;
    let redis = told.redis(&config.redis)?;
    let options = options(told)?;
    let key = told.link_key(&config.keys)?;
    let threads = config
        .threads
        .map_or_else(cores, usize::from)
        .clamp(1, THREADS_MAX);
    let (listener, admin_at) = admin::bind(told, config.admin).await?;
    let mut limits = Limits::default();
    if let Some(connections) = config.connections_per_peer {
        limits.connections_per_peer = connections;
    } else if !config.trusted_proxies.is_empty() {
        // Everybody's connections come from a few proxies.
        limits.connections_per_peer = u32::MAX;
    }
    // From here on whoever comes waits until they are served.
    let server = Server::bind(&[config.listen], limits, threads)
        .map_err(|e| told.wrong("listen", format!("{e}: give another address")))?;

    let shared = Arc::new(Shared::new(sale));
    let heard = Heard::default_for(&shared);
    spawn_local(switches::keep(Arc::downgrade(&shared)));
    if let Some(dir) = &config.pages {
        spawn_local(pages::keep(Arc::downgrade(&shared), dir.clone()));
    }
    let stats = Arc::new(server.stats());
    let admin = Admin::start(Arc::clone(&shared), Some(stats));
    let of = heard.clone();
    let (drained, room) = (Arc::clone(&shared), config.room.clone());
    let missing = move || {
        let mut missing = of.missing();
        missing.extend(drained_room(&drained, room.as_deref()));
        missing
    };
    admin::serve(listener, admin.ready_when(missing));
    let (senders, replies): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::unbounded_channel()).unzip();
    let (port, inbox) = Port::to_task();
    let wanted = Arc::new(Wanted::new(shared.sale.shards, shared.sale.items.len()));
    let (callers, gates) = Callers::start(&redis, &shared, &wanted, &senders);
    let calling = spawn_local(callers.run(inbox));
    let name = config
        .name
        .clone()
        .unwrap_or_else(|| format!("gateway-{}", std::process::id()));
    link_shards(&shared, &heard.known, &sidecars, gates, &name, &key);
    let desk = link_desk(&shared, &heard.figures, &wanted, &config.worker, &name, &key);

    tokio::select! {
        () = heard.everything() => {}
        () = signals.end() => return Ok(()),
    }
    let mut running = open(server, options, &shared, &port, desk, replies)?;
    let ready = Ready {
        listen: running.local_addrs().first().copied(),
        admin: Some(admin_at),
        ..Ready::default()
    };
    let _until_the_end = ready.tell(ready_file)?;
    tokio::select! {
        () = running.failed() => {
            let why = running.shutdown(GRACE).await.err();
            let why = why.map_or_else(|| "without a word".to_owned(), |e| e.to_string());
            return Err(RoleError::Failed(format!("a gateway thread ended: {why}: report this")));
        }
        () = signals.end() => {}
    }
    // Not ready any more: whoever sends buyers here stops, and until they have all heard it nobody is turned away.
    heard.draining.store(true, Ordering::Release);
    tokio::select! {
        () = tokio::time::sleep(config.drain()) => {}
        () = signals.end() => {}
    }
    if let Err(error) = running.shutdown(GRACE).await {
        tracing::warn!(%error, "a gateway thread didn't end well");
    }
    let _ = port.try_send(Message::Stop);
    let _ = tokio::time::timeout(CALLS_MAX, calling).await;
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn sale(config: &GatewayConfig) -> Result<Sale, RoleError> {
    let overrides = Overrides {
        buyers: config.development.then(EffectiveBuyers::development),
        jwks: config.jwks.clone(),
        ..Overrides::default()
    };
    Ok(DataDir::new(&config.sale).load(&overrides)?.sale)
}

fn options(told: &Told<GatewayConfig>) -> Result<GatewayOptions, RoleError> {
    let keys = &told.config.keys;
    let tickets = hex(&told.ticket_key(keys)?);
    let payments = told.payment_key(keys)?;
    let mut options = GatewayOptions::new(Secret::new(tickets), Secret::new(payments));
    options.dev_pay = told.config.development;
    options.limits.trusted_proxies = told.networks("trustedProxies", &told.config.trusted_proxies)?;
    Ok(options)
}

/// Why a gateway in a room that is drained isn't ready.
fn drained_room(shared: &Shared, room: Option<&str>) -> Option<String> {
    let room = room?;
    let force = shared.switches.in_force();
    let drained = force.rooms_drained.iter().any(|drained| drained == room);
    drained.then(|| format!("the room {room} is drained (rooms.drained)"))
}

/// What has to be heard before buyers are served.
#[derive(Clone)]
struct Heard {
    known: Arc<Known>,
    figures: Arc<Figures>,
    draining: Arc<AtomicBool>,
}

impl Heard {
    fn default_for(shared: &Shared) -> Self {
        Self {
            known: Arc::new(Known::new(shared.sale.shards)),
            figures: Arc::default(),
            draining: Arc::default(),
        }
    }

    fn missing(&self) -> Vec<String> {
        let shards = self.known.never_open().into_iter();
        let shards = shards.map(|shard| format!("shard {} was never shown open", shard.0));
        let figures = self.figures.missing().map(str::to_owned);
        let draining = self.draining.load(Ordering::Acquire);
        let draining = draining.then(|| "the process is about to end".to_owned());
        shards.chain(figures).chain(draining).collect()
    }

    async fn everything(&self) {
        loop {
            let (shards, figures) = (self.known.changed.notified(), self.figures.changed.notified());
            if self.missing().is_empty() {
                return;
            }
            tokio::select! {
                () = shards => {}
                () = figures => {}
            }
        }
    }
}

fn link_shards(
    shared: &Arc<Shared>,
    known: &Arc<Known>,
    sidecars: &[(String, Vec<ShardId>)],
    gates: Vec<watch::Sender<Option<Gate>>>,
    name: &str,
    key: &LinkKey,
) {
    let gates = Arc::new(gates);
    for (address, shards) in sidecars {
        let dial = Dial {
            address: address.clone(),
            what: "sidecar",
            shards: shards.clone(),
            role: Role::Gateway,
            name: name.to_owned(),
            sale: shared.sale.uid,
            key: key.clone(),
            links: Arc::clone(&shared.links),
        };
        let link = ShardsLink {
            shared: Arc::clone(shared),
            known: Arc::clone(known),
            shards: shards.clone(),
            gates: Arc::clone(&gates),
            routes: Arc::default(),
            applied: Arc::default(),
            amendments: None,
            // A gateway has no commands for shards.
            commands: mpsc::channel(1).1,
        };
        spawn_local(keep(dial, link));
    }
}

fn link_desk(
    shared: &Arc<Shared>,
    figures: &Arc<Figures>,
    wanted: &Arc<Wanted>,
    worker: &str,
    name: &str,
    key: &LinkKey,
) -> Desk {
    let (desk, requests) = Desk::channel();
    let dial = Dial {
        address: worker.to_owned(),
        what: "worker",
        shards: Vec::new(),
        role: Role::Gateway,
        name: name.to_owned(),
        sale: shared.sale.uid,
        key: key.clone(),
        links: Arc::clone(&shared.links),
    };
    let (link, passing) = DeskLink::new(
        Arc::clone(shared),
        Arc::clone(figures),
        Arc::clone(wanted),
        requests,
    );
    spawn_local(passing);
    spawn_local(keep(dial, link));
    desk
}

fn open(
    server: Server,
    options: GatewayOptions,
    shared: &Arc<Shared>,
    port: &Port,
    desk: Desk,
    replies: Vec<mpsc::UnboundedReceiver<Vec<HostReply>>>,
) -> Result<Running, RoleError> {
    let all = Gateways::new(options, Arc::clone(shared), port.clone(), desk).map_err(RoleError::failed)?;
    let replies: Vec<_> = replies.into_iter().map(|r| Mutex::new(Some(r))).collect();
    let serve = move |thread: usize| {
        let replies = replies[thread].lock().ok().and_then(|mut r| r.take());
        // Each thread is started once.
        let replies = replies.unwrap_or_else(|| mpsc::unbounded_channel().1);
        Gateway::new(thread as u8, &all, replies)
    };
    server.serve(serve).map_err(RoleError::failed)
}
