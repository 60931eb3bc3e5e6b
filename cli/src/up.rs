//! `flashsale up`: a whole sale from one process.

mod evidence;
mod ready;
mod told;
mod wanted;

use crate::crowd::{self, CrowdArgs};
use crate::failure::Failure;
use crate::parts::PartsArgs;
use crate::report;
use flashsale_buyers::{Crowd, Outcome, Progress};
use flashsale_core::ids::SaleUid;
use flashsale_crds::{EffectiveBuyers, FlashSale, HumanDuration, Rules};
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::data_dir::{DataDir, Overrides, Prepared};
use flashsale_dataplane::embedded::{Doors, Embedded, Front, FrontOptions, ServeError};
use flashsale_dataplane::live::Live;
use flashsale_screen::report::Report;
use flashsale_screen::{Left, Options, Snapshot};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use wanted::Wanted;

/// Serve a whole sale from one process, with simulated buyers if you like.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sale's file
    sale: PathBuf,
    /// Open so long after the start instead of at the sale's time; the window keeps its length
    #[arg(long, value_parser = duration)]
    opens_in: Option<Duration>,
    /// Close so long after the opening instead of at the sale's time
    #[arg(long, value_parser = some_time)]
    closes_in: Option<Duration>,
    /// Split the stock over so many shards
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=128))]
    shards: Option<u16>,
    /// Keep the sale's data here; started again on the same directory, it goes on where it was
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The buyers' address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address of the live page, metrics and health; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Gateway threads; one per core if not given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    gateways: Option<u8>,
    /// For development: believe the header X-Buyer-Id of whoever connects from this machine
    #[arg(long)]
    trust_header: bool,
    /// The shop's own pages, served instead of the built-in ones; read anew when they change
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
    /// The shop's JSON Web Key Set: a file or a URL
    #[arg(long, value_name = "FILE-OR-URL")]
    jwks: Option<String>,
    /// A file with the secret that signs payment callbacks and webhooks; made in the data directory if not given
    #[arg(long, value_name = "FILE")]
    payment_secret: Option<PathBuf>,
    /// How long an order may wait for its payment, instead of what the sale says
    #[arg(long, value_parser = some_time)]
    payment_timeout: Option<Duration>,
    /// End when the sale is settled; with simulated buyers, close it as soon as they have gone home
    #[arg(long)]
    once: bool,
    /// Write the report here, as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Once buyers are served, write the addresses here, as JSON; removed at the end
    #[arg(long, value_name = "FILE.json")]
    ready_file: Option<PathBuf>,
    /// Lines instead of the live view
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    parts: PartsArgs,
    #[command(flatten)]
    crowd: CrowdArgs,
}

/// A duration such as `90s` or `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: HumanDuration = text
        .parse()
        .map_err(|e: flashsale_crds::InvalidDuration| e.to_string())?;
    Ok(Duration::from_millis(parsed.millis()))
}

/// A duration that isn't zero.
fn some_time(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed.is_zero() {
        return Err("give more than no time at all, such as 30s".to_owned());
    }
    Ok(parsed)
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    // What can't be raised shows as refused connections, with the system's own words.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let yaml = std::fs::read_to_string(&args.sale)
        .map_err(|e| Failure::input(format!("{}: can't read it ({e})", args.sale.display())))?;
    if let Some(dir) = args.pages.as_ref().filter(|dir| !dir.is_dir()) {
        let what = format!("{}: there is no such directory (`--pages`)", dir.display());
        return Err(Failure::input(what));
    }
    let parts = args.parts.parts()?;
    parts.check()?;
    let given_secret = args.payment_secret.as_deref().map(read_secret).transpose()?;
    let gateways = args.gateways.map_or_else(cores, usize::from);
    let options = FrontOptions {
        listen: args.listen,
        admin: args.admin,
        dev_pay: trusts_header(&args),
        pages: args.pages.clone(),
        crowd: args.crowd.buyers.is_some(),
    };
    // Before the sale's times are decided and written down: a start that serves nobody decides nothing.
    let doors = Doors::take(options, gateways).await?;
    parts.reach().await?;
    // Kept until the end: dropping it removes the directory.
    let (dir, _temporary) = data_dir(&args)?;
    let prepared = dir.prepare(&yaml, &overrides(&args), SaleUid(rand::random()), now_ms())?;
    let secret: Arc<str> = match given_secret {
        Some(secret) => secret.into(),
        None => own_secret(&prepared.dir)?.into(),
    };
    let sale = prepared.sale.clone();
    let spec = serde_json::Value::String(prepared.yaml.clone());
    let mut embedded =
        Embedded::start(&prepared.dir, sale, spec, &parts, gateways, Arc::clone(&secret)).await?;
    let front = match Front::open(&mut embedded, doors) {
        Ok(front) => front,
        Err(error) => {
            embedded.stop().await;
            return Err(error.into());
        }
    };
    // From here on, so that whoever reads that it serves can end it well.
    let mut wanted = Wanted::listen()?;
    announce(&args, &prepared, &front);
    let served = match ready::tell(args.ready_file.as_deref(), &front) {
        Ok(_until_the_end) => serve(&args, &mut embedded, &front, &secret, &mut wanted).await,
        Err(failure) => Err(failure),
    };
    front.close().await;
    embedded.stop().await;
    served
}

fn cores() -> usize {
    std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(64)
}

fn trusts_header(args: &Args) -> bool {
    args.trust_header || args.crowd.buyers.is_some()
}

fn overrides(args: &Args) -> Overrides {
    Overrides {
        opens_in: args.opens_in,
        closes_in: args.closes_in,
        shards: args.shards,
        payment_timeout: args.payment_timeout,
        buyers: trusts_header(args).then(EffectiveBuyers::development),
        jwks: args.jwks.clone(),
    }
}

fn data_dir(args: &Args) -> Result<(DataDir, Option<tempfile::TempDir>), Failure> {
    if let Some(data) = &args.data {
        return Ok((DataDir::new(data), None));
    }
    let made = tempfile::Builder::new().prefix("flashsale-").tempdir();
    let temporary = made.map_err(|e| {
        Failure::new(format!(
            "can't make a temporary directory ({e}): give one with --data"
        ))
    })?;
    Ok((DataDir::new(temporary.path()), Some(temporary)))
}

/// The payment secret in `file`.
fn read_secret(file: &Path) -> Result<String, Failure> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|e| Failure::input(format!("{}: can't read it ({e})", file.display())))?;
    let secret = text.trim();
    if secret.len() < 16 {
        return Err(Failure::input(format!(
            "{}: the secret has {} bytes, it needs at least 16",
            file.display(),
            secret.len()
        )));
    }
    Ok(secret.to_owned())
}

/// The data directory's own payment secret.
fn own_secret(dir: &DataDir) -> Result<String, Failure> {
    let fresh = rand::random::<[u8; 32]>().into_iter().map(|b| format!("{b:02x}"));
    Ok(dir.payment_secret(&fresh.collect::<String>())?)
}

fn announce(args: &Args, prepared: &Prepared, front: &Front) {
    let sale = &prepared.sale;
    println!("sale page  http://{}/", front.listen);
    println!("live page  http://{}/live", front.admin);
    match &args.data {
        Some(data) if prepared.resumed => println!("data       {} (goes on where it was)", data.display()),
        Some(data) => println!("data       {}", data.display()),
        None => println!(
            "data       {} (gone at the end; keep it with --data)",
            prepared.dir.root().display()
        ),
    }
    if trusts_header(args) {
        println!(
            "sign-in    development: whoever connects from this machine is who the header X-Buyer-Id says"
        );
    }
    // What needs a cluster isn't done here, and that shouldn't be found out by looking.
    let spec = FlashSale::parse_with(&prepared.yaml, Rules::EMBEDDED);
    let spec = spec.ok().map(|sale| sale.spec);
    let entry = spec.and_then(|spec| spec.entry);
    if args.pages.is_none()
        && entry
            .as_ref()
            .is_some_and(|entry| entry.pages_config_map_ref.is_some())
    {
        println!(
            "pages      the built-in ones: ConfigMaps are read on a cluster only; give a directory with --pages"
        );
    }
    if entry.is_some_and(|entry| entry.cdn_purge.is_some()) {
        println!("CDN        not called: only the operator does that");
    }
    println!(
        "{}/{}: {} units of {} items on {} shards",
        sale.namespace,
        sale.name,
        sale.stock(),
        sale.items.len(),
        sale.shards
    );
}

/// Serves until the sale is settled, somebody wants it to end, or something fails.
async fn serve(
    args: &Args,
    embedded: &mut Embedded,
    front: &Front,
    secret: &str,
    wanted: &mut Wanted,
) -> Result<ExitCode, Failure> {
    let crowd = match args.crowd.buyers {
        Some(buyers) => Some(crowd::crowd(
            &args.crowd,
            buyers,
            &embedded.shared.sale,
            front.listen,
            secret,
        )?),
        None => None,
    };
    let screen = Screen::start(args, front.live(), crowd.as_ref().map(Crowd::progress));
    let rate = OrderRate::start(front.live());
    let work = async {
        let outcome = match crowd {
            Some(crowd) => Some(run_crowd(crowd, embedded, args.once).await?),
            None => None,
        };
        embedded.settled().await?;
        Ok::<_, Failure>(outcome)
    };
    let settled = tokio::select! {
        settled = work => Some(settled),
        () = wanted.by_key_or_signal(screen.left) => None,
    };
    let Some(settled) = settled else {
        screen.stop.store(true, Ordering::SeqCst);
        // Not before the terminal is given back: what is written on the view vanishes with it.
        let _ = screen.thread.await;
        println!("stopped before the sale was settled");
        return Ok(ExitCode::SUCCESS);
    };
    screen.stop.store(true, Ordering::SeqCst);
    let _ = screen.thread.await;
    let report = settle(embedded, settled?.as_ref(), rate.per_second()).await?;
    print!("{}", flashsale_screen::settlement(&report));
    if let Some(file) = &args.report {
        let json = serde_json::to_vec_pretty(&report).unwrap_or_default();
        std::fs::write(file, json)
            .map_err(|e| Failure::new(format!("{}: can't write the report ({e})", file.display())))?;
    }
    let is_told = !report.audit.ok || told::tell(&embedded.shared.sale, &report, secret).await;
    if !args.once {
        println!("the sale is settled; still serving, end with Ctrl-C");
        tokio::select! {
            () = wanted.by_signal() => {}
            error = embedded.failed() => return Err(error.into()),
        }
    }
    Ok(if report.audit.ok && is_told {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_crowd(crowd: Crowd, embedded: &mut Embedded, once: bool) -> Result<Outcome, Failure> {
    let (end, ended) = oneshot::channel::<()>();
    let running = crowd.run(async move {
        // Told, or its other end dropped: either way the crowd goes home.
        let _ = ended.await;
    });
    let outcome = tokio::select! {
        outcome = running => outcome,
        error = embedded.failed() => return Err(error.into()),
    };
    drop(end);
    let outcome = outcome.map_err(|e| Failure::new(format!("simulated buyers: {e}")))?;
    if once {
        embedded.close_early().await?;
    }
    Ok(outcome)
}

async fn settle(
    embedded: &Embedded,
    outcome: Option<&Outcome>,
    orders_per_second: f64,
) -> Result<Report, ServeError> {
    let (verdict, totals) = evidence::audit(embedded, outcome).await?;
    let sale = &embedded.shared.sale;
    let mut report = report::of_audit(sale, &verdict, &totals);
    if let Some(outcome) = outcome {
        report::add_crowd(&mut report, outcome);
    }
    report.orders_per_second = orders_per_second;
    report.duration_seconds = now_ms().saturating_sub(sale.opens) as f64 / 1e3;
    Ok(report)
}

/// The live view, on a thread of its own.
struct Screen {
    stop: Arc<AtomicBool>,
    left: oneshot::Receiver<Left>,
    thread: tokio::task::JoinHandle<()>,
}

impl Screen {
    fn start(args: &Args, live: watch::Receiver<Live>, crowd: Option<Arc<Progress>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, left) = oneshot::channel();
        let (options, stopped) = (Options { plain: args.plain }, Arc::clone(&stop));
        let thread = tokio::task::spawn_blocking(move || {
            let source = || {
                Some(Snapshot {
                    live: live.borrow().clone(),
                    crowd: crowd.as_ref().map(|c| crowd::progress(&c.snapshot())),
                })
            };
            match flashsale_screen::run(options, source, &stopped) {
                // Nobody waits for the word any more when the process ends.
                Ok(left) => drop(tell.send(left)),
                Err(error) => eprintln!("the live view ended: {error}"),
            }
        });
        Self { stop, left, thread }
    }
}

/// How fast orders were made while any were made.
struct OrderRate(watch::Receiver<f64>);

impl OrderRate {
    fn start(mut live: watch::Receiver<Live>) -> Self {
        let (send, rate) = watch::channel(0.0);
        tokio::spawn(async move {
            let mut first: Option<(u64, u64)> = None;
            let mut last = 0;
            while live.changed().await.is_ok() {
                let (now, ordered) = {
                    let live = live.borrow();
                    (live.now_ms, live.funnel.ordered)
                };
                if ordered > last {
                    let (since, before) = *first.get_or_insert((now, ordered));
                    if now > since {
                        send.send_replace((ordered - before) as f64 * 1e3 / (now - since) as f64);
                    }
                }
                last = ordered;
            }
        });
        Self(rate)
    }

    fn per_second(&self) -> f64 {
        *self.0.borrow()
    }
}
