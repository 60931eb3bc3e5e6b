//! From the command line to working on sales, and to the end.

use crate::events::Events;
use crate::flags::Flags;
use crate::hand::Hand;
use crate::health::Health;
use crate::lead::{Elector, Term};
use crate::leftovers::Leftovers;
use crate::metrics::Metrics;
use crate::operator::{Item, Operator, touched};
use crate::queue::{Again, Queue};
use crate::secrets::Secrets;
use crate::watch::{Caches, Change, Watches};
use crate::world::World;
use crate::{classes, client, observe, sale, switches};
use flashsale_crds::objects::CONTROLLER_NAME;
use flashsale_operator_core::observed::Settings;
use ipnet::IpNet;
use kube::Client;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local};

/// How long looks that are under way may take to end.
const END_MAX: Duration = Duration::from_secs(15);
/// How often sales are counted by phase.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Runs to the end: until told to, or until the lease is lost.
///
/// # Errors
/// Why it couldn't start, or had to end.
pub(crate) async fn run(flags: Flags) -> Result<(), String> {
    let metrics = Metrics::new().map_err(|e| e.to_string())?;
    let health = Health::new(metrics.clone());
    serve(&flags, health.clone()).await?;
    let mut ends = Ends::listen()?;
    let config = client::config(flags.kubeconfig.as_deref()).await?;
    let client = client::client(&config, metrics.clone()).map_err(|e| crate::error::brief(&e))?;
    tokio::select! {
        () = ends.told() => return Ok(()),
        () = answers(&client) => health.set_ready(),
    }
    let me = flags
        .pod_uid
        .clone()
        .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let mut elector = Elector::new(client.clone(), &flags.operator_namespace, me, metrics.clone());
    let term = if flags.leader_elect {
        tokio::select! {
            () = ends.told() => return Ok(()),
            term = elector.win() => term,
        }
    } else {
        metrics.leads(true);
        Term::alone()
    };
    let hand = Hand {
        client,
        term,
        metrics,
    };
    let (stop, stopped) = watch::channel(false);
    let operator = tokio::select! {
        () = ends.told() => return Ok(()),
        operator = prepare(&flags, hand) => operator?,
    };
    let mut working = work(operator, flags.workers, stopped)?;
    let ended = tokio::select! {
        ended = &mut working => {
            return ended.unwrap_or_else(|_| Err("the looking thread ended without a word: report this".to_owned()));
        }
        deposed = elector.keep(), if flags.leader_elect => Err(deposed.to_string()),
        () = ends.told() => Ok(()),
    };
    stop.send_replace(true);
    if ended.is_ok() {
        // What is begun may be finished, for as long as this process leads.
        let _ = tokio::time::timeout(END_MAX, working).await;
        elector.release().await;
    }
    ended
}

async fn serve(flags: &Flags, health: Health) -> Result<(), String> {
    let address = flags.metrics_address;
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|e| format!("--metrics-address {address}: {e}: choose another one"))?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "health and metrics");
    tokio::spawn(async move { axum::serve(listener, health.router()).await });
    Ok(())
}

/// Waits until the API answers at all.
async fn answers(client: &Client) {
    let mut said = String::new();
    while let Err(error) = client.apiserver_version().await {
        let why = crate::error::brief(&error);
        if why != said {
            tracing::warn!(why, "the Kubernetes API doesn't answer; trying again");
            said = why;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Watches, and waits until everything was seen once.
async fn prepare(flags: &Flags, hand: Hand) -> Result<Operator, String> {
    let queue = Queue::new(hand.metrics.clone());
    let watches = watch_all(flags, &hand, &queue);
    let begun = Instant::now();
    watches.listed().await;
    let caches = watches.caches();
    let (took_ms, sales) = (begun.elapsed().as_millis() as u64, caches.sales.all().len());
    tracing::info!(took_ms, sales, "everything is listed");
    let secrets = Secrets::new(hand.clone(), &flags.operator_namespace);
    let certificates = flags
        .trusted_certificates
        .as_deref()
        .map(certificates)
        .transpose()?;
    let world = World::new(secrets, certificates.unwrap_or_default()).map_err(|e| e.to_string())?;
    let events = Events::new(hand.clone(), &flags.pod_name);
    Ok(Operator::new(hand, caches, queue, world, events, settings(flags)))
}

/// The certificates in a file.
fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let refused = |why: String| format!("--trusted-certificates {}: {why}", file.display());
    let pem = std::fs::read(file).map_err(|e| refused(e.to_string()))?;
    let all = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| refused(crate::error::chain(&e)))?;
    if all.is_empty() {
        return Err(refused("there is no certificate in it: it takes PEM".to_owned()));
    }
    Ok(all)
}

type Working = oneshot::Receiver<Result<(), String>>;

/// Looks at what changes until told to stop, on a thread of its own: an audit reckons for seconds, and the lease and the
/// watches go on meanwhile.
fn work(operator: Operator, workers: u16, stopped: watch::Receiver<bool>) -> Result<Working, String> {
    let (ended, working) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("can't start working: {e}"))?;
    let run = move || {
        let local = LocalSet::new();
        local.block_on(&runtime, all_workers(Arc::new(operator), workers, stopped));
        // Nobody listens only when the process ends anyway.
        let _ = ended.send(Ok(()));
    };
    let thread = std::thread::Builder::new().name("looks".to_owned()).spawn(run);
    thread.map_err(|e| format!("can't start working: {e}"))?;
    Ok(working)
}

async fn all_workers(operator: Arc<Operator>, count_of: u16, stopped: watch::Receiver<bool>) {
    operator.queue.touch(&Item::Leftovers);
    let leftovers = Arc::new(Leftovers::default());
    let mut workers = JoinSet::new();
    for _ in 0..count_of {
        workers.spawn_local(worker(
            Arc::clone(&operator),
            Arc::clone(&leftovers),
            stopped.clone(),
        ));
    }
    let counting = tokio::spawn(count(Arc::clone(&operator)));
    while workers.join_next().await.is_some() {}
    counting.abort();
}

fn settings(flags: &Flags) -> Settings {
    Settings {
        operator_version: env!("CARGO_PKG_VERSION").to_owned(),
        operator_namespace: flags.operator_namespace.clone(),
        controller_name: CONTROLLER_NAME.to_owned(),
        data_plane_image: flags.dataplane_image.clone(),
        redis_image: flags.redis_image.clone(),
        cluster_domain: flags.cluster_domain.clone(),
        trusted_proxies: flags.trusted_proxies.iter().map(IpNet::to_string).collect(),
    }
}

fn watch_all(flags: &Flags, hand: &Hand, queue: &Arc<Queue<Item>>) -> Watches {
    // What is touched depends on the caches, which the watches have made by then.
    let seen: Arc<OnceLock<Arc<Caches>>> = Arc::default();
    let (told, queue) = (Arc::clone(&seen), Arc::clone(queue));
    let tell = move |change: Change| {
        let items = match told.get() {
            Some(caches) => touched(caches, change),
            None => Vec::new(),
        };
        items.iter().for_each(|item| queue.touch(item));
    };
    Watches::start(
        hand.client.clone(),
        &flags.namespaces,
        hand.metrics.clone(),
        tell,
        &seen,
    )
}

/// Looks at one thing after the other.
async fn worker(operator: Arc<Operator>, leftovers: Arc<Leftovers>, mut stopped: watch::Receiver<bool>) {
    loop {
        let item = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            item = operator.queue.next() => item,
        };
        let begun = Instant::now();
        // On a task of its own: a look that panics is a failed look, and no reason to end.
        let looking = look(Arc::clone(&operator), Arc::clone(&leftovers), item.clone());
        let again = spawn_local(looking).await.unwrap_or_else(|panic| {
            tracing::error!(?item, %panic, "a look has panicked: report this");
            Again::Failed
        });
        let outcome = match again {
            Again::Failed => "failed",
            Again::In(_) | Again::Never => "ok",
        };
        operator
            .metrics
            .reconciled(item.controller(), outcome, begun.elapsed());
        operator.queue.done(&item, again);
    }
}

async fn look(operator: Arc<Operator>, leftovers: Arc<Leftovers>, item: Item) -> Again {
    match &item {
        Item::Sale(key) => sale::look(&operator, key).await,
        Item::Class(name) => classes::look(&operator, name).await,
        Item::Switch(key) => switches::look(&operator, key).await,
        Item::Leftovers => leftovers.look(&operator).await,
    }
}

/// Counts sales by phase, for the metrics.
async fn count(operator: Arc<Operator>) {
    let mut every = tokio::time::interval(COUNT_EVERY);
    loop {
        every.tick().await;
        let phases: Vec<String> = operator
            .caches
            .sales
            .all()
            .iter()
            .map(|sale| format!("{:?}", observe::phase(sale)))
            .collect();
        operator.metrics.sales(phases.iter().map(String::as_str));
    }
}

/// The signals by which a process is told to end.
struct Ends {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ends {
    fn listen() -> Result<Self, String> {
        let on = |kind| signal(kind).map_err(|e| format!("can't listen for signals: {e}"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("told to end");
    }
}
