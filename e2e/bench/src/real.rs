//! What is measured on real parts: Redis, Pulsar and PostgreSQL, started for each benchmark and ended with it.

pub(crate) mod coupons;
pub(crate) mod order_rate;
pub(crate) mod purchases;
pub(crate) mod redis;
pub(crate) mod sale;
mod shard;

use crate::{Bench, machine};
use flashsale_servers::{Counts, RealParts};

/// Redis servers, and as many shards.
const REDIS: u16 = 8;
/// Databases in one PostgreSQL.
const DATABASES: usize = 2;

/// The parts of a whole sale.
struct Parts {
    // Before the directory, so that the servers are gone first.
    servers: RealParts,
    _dir: tempfile::TempDir,
}

impl Parts {
    /// Starts them, with their data in the system's temporary directory: PostgreSQL doesn't run as root.
    fn start(bench: &Bench<'_>) -> anyhow::Result<Self> {
        bench.progress.show("starting Redis, Pulsar and PostgreSQL");
        let dir = tempfile::Builder::new().prefix("flashsale-bench-").tempdir()?;
        let counts = Counts {
            redis: usize::from(REDIS),
            databases: DATABASES,
        };
        let servers = runtime()?.block_on(RealParts::start(dir.path(), counts))?;
        Ok(Self { servers, _dir: dir })
    }

    /// The options of `flashsale up` that name them.
    fn options(&self) -> anyhow::Result<Vec<String>> {
        let mut options = self.servers.options()?;
        options.extend(["--shards".to_owned(), REDIS.to_string()]);
        Ok(options)
    }

    /// CPU time so far of all Redis servers' main threads, and of Pulsar, in seconds.
    fn cpu_seconds(&self) -> anyhow::Result<[f64; 2]> {
        let each = self
            .servers
            .redis
            .iter()
            .map(|server| machine::main_thread_seconds(server.pid()));
        let redis = each.sum::<anyhow::Result<f64>>()?;
        Ok([redis, machine::cpu_seconds(self.servers.pulsar.pid())?])
    }

    /// In words, for a section's method.
    fn described() -> String {
        format!(
            "{REDIS} Redis (append-only files, synced every second), Pulsar standalone (its journal synced) and {DATABASES} databases in one PostgreSQL"
        )
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
