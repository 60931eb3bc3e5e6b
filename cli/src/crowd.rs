//! The simulated buyers of `flashsale up --buyers N`.

use crate::failure::Failure;
use flashsale_buyers::{
    Crowd, CrowdConfig, Item, PATIENT_TRIES_LIMIT, PaymentSecret, Popularity, Shards, Skew, Snapshot,
};
use flashsale_core::ids::Keyring;
use flashsale_dataplane::sale::Sale;
use flashsale_screen::{CrowdProgress, Quantiles};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How buyers choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SkewArg {
    /// Evenly over items and shards
    Uniform,
    /// A few items and a few shards are hot
    Zipf,
    /// Every buyer belongs to the first shard
    OneShard,
}

/// What the command line says of the crowd.
#[derive(Debug, clap::Args)]
pub(crate) struct CrowdArgs {
    /// Send so many simulated buyers over real HTTP
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub(crate) buyers: Option<u32>,
    /// How they fall on items and shards
    #[arg(long, default_value = "uniform", requires = "buyers")]
    pub(crate) skew: SkewArg,
    /// Decides everything about each of them
    #[arg(long, default_value_t = 1, requires = "buyers")]
    pub(crate) seed: u64,
    /// 95 % of them arrive within this time of the opening
    #[arg(long, default_value = "3s", value_parser = crate::up::duration, requires = "buyers")]
    pub(crate) spread: Duration,
    /// So long who is told "sold out" waits for a unit that comes back; left out: for the payment timeout and 10 s more
    #[arg(long, value_parser = crate::up::duration, requires = "buyers")]
    pub(crate) patience: Option<Duration>,
    /// Write what they were told, as JSON lines
    #[arg(long, value_name = "FILE", requires = "buyers")]
    pub(crate) history: Option<PathBuf>,
}

/// The exponent of a crowd's Zipf distribution: the second choice is chosen about half as often as the first.
const ZIPF_EXPONENT: f64 = 1.0;

/// So many of those who are told "sold out" wait for units that come back; enough to take them all.
const PATIENT_SHARE: f64 = 0.12;

/// The crowd for a sale served at `address`.
pub(crate) fn crowd(
    args: &CrowdArgs,
    buyers: u32,
    sale: &Sale,
    address: SocketAddr,
    secret: &str,
) -> Result<Crowd, Failure> {
    let items = sale.items.iter().map(|item| Item {
        id: item.id.clone(),
        stock: u64::from(item.stock),
        limit_per_buyer: item.limit,
    });
    let mut config = CrowdConfig::new(address, sale.name.as_str(), items.collect(), buyers);
    let (keys, shards) = (Keyring::new(sale.uid), sale.shards);
    config.shards = Some(Shards {
        count: shards,
        home: Arc::new(move |id| keys.buyer(id).home(shards).0),
    });
    (config.skew, config.popularity) = match args.skew {
        SkewArg::Uniform => (Skew::Uniform, Popularity::Uniform),
        SkewArg::Zipf => (Skew::Zipf(ZIPF_EXPONENT), Popularity::Zipf(ZIPF_EXPONENT)),
        SkewArg::OneShard => (Skew::OneShard, Popularity::Uniform),
    };
    config.seed = args.seed;
    config.spread = args.spread;
    config.opens_at_ms = sale.opens;
    config.payment_secret = Some(PaymentSecret::new(secret.as_bytes()));
    config.shares.patient = PATIENT_SHARE;
    config.history.clone_from(&args.history);
    // Who waits for a unit that isn't paid for waits for at least one deadline, and pays within another.
    let deadline = sale.payment_timeout + Duration::from_secs(10);
    config.patience = args.patience.unwrap_or(deadline);
    // Who waits looks once a second, and may find at each look that others were faster.
    let looks = u8::try_from(config.patience.as_secs()).unwrap_or(u8::MAX);
    config.patient_tries_max = looks.clamp(config.patient_tries_max, PATIENT_TRIES_LIMIT);
    let orders_take = sale.stock() as f64 * 60.0 / f64::from(sale.orders_per_minute.max(1));
    config.give_up_after =
        args.spread * 3 + config.patience + deadline * 3 + Duration::from_secs_f64(orders_take * 2.0 + 30.0);
    Crowd::new(config).map_err(|e| Failure::input(format!("--buyers: {e}")))
}

/// The crowd's figures for the screen.
pub(crate) fn progress(s: &Snapshot) -> CrowdProgress {
    CrowdProgress {
        total: s.total,
        arrived: s.arrived,
        won: s.won,
        sold_out: s.sold_out,
        duplicate: s.duplicate,
        limited: s.limited,
        failed: s.failed,
        retries: s.retries,
        waiting: s.waiting,
        patient: s.patient,
        paid: s.paid,
        cancelled: s.cancelled,
        violations: s.violations,
        latency_ms: Quantiles {
            p50: s.latency_ms.p50,
            p99: s.latency_ms.p99,
            p999: s.latency_ms.p999,
        },
    }
}
