//! What a sale that one process serves runs on: nothing but the process and its directory, or real Redis, Pulsar and
//! PostgreSQL.

use super::ServeError;
use crate::sale::Sale;
use crate::shards::RoomOptions;
use crate::worker::Stored;
use bytes::Bytes;
use flashsale_core::ids::{SaleUid, ShardId};
use flashsale_pulsar::{Admin, Delivery, From as Begin, Layout, Names, Reader, Service};
use flashsale_redis::{ConnectError, ShardName, SidecarShard};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// Records that wait for the worker.
const RECORDS_MAX: usize = 1024;
/// How long the log may be silent while it is read to its end.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// How long parts that don't answer are tried before a sale isn't started on them.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(200);
/// The brokers' ports, by the scheme of their address.
const BROKER_PORTS: [(&str, u16); 2] = [("pulsar", 6650), ("pulsar+ssl", 6651)];
/// Whose topics they are, unless said otherwise.
pub(crate) const TENANT: &str = "public";

/// Where the order log is.
#[derive(Debug, Clone)]
pub struct PulsarAt {
    /// `pulsar://host:6650`.
    pub service: String,
    /// `http://host:8080`.
    pub admin: String,
}

/// What a sale runs on. Without anything: engines in memory, a journal and SQLite in the data directory.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// The Redis servers; shard *s* lives in the one at *s* modulo their number. None: engines in memory.
    pub redis: Vec<String>,
    /// Pulsar as order log, which Redis needs. None: a journal on disk.
    pub pulsar: Option<PulsarAt>,
    /// Order databases; shard *s* lives in the one at *s* modulo their number. None: SQLite in the data directory.
    pub databases: Vec<String>,
}

/// Which parts a sale was started on, without their addresses, which may change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kinds {
    /// How many Redis servers; 0: engines in memory.
    pub redis: usize,
    /// Whether Pulsar is the order log.
    pub pulsar: bool,
    /// How many databases; 0: the data directory's own.
    pub databases: usize,
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.redis {
            0 => write!(f, "engines in memory")?,
            n => write!(f, "{n} Redis")?,
        }
        write!(f, ", {}, ", if self.pulsar { "Pulsar" } else { "a journal" })?;
        match self.databases {
            0 => write!(f, "SQLite"),
            n => write!(f, "{n} databases"),
        }
    }
}

impl Parts {
    /// Which parts these are.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        Kinds {
            redis: self.redis.len(),
            pulsar: self.pulsar.is_some(),
            databases: self.databases.len(),
        }
    }

    /// What doesn't go together.
    ///
    /// # Errors
    /// What to give, too.
    pub fn check(&self) -> Result<(), ServeError> {
        match (self.redis.is_empty(), self.pulsar.is_some()) {
            (false, false) => Err(ServeError::Parts(
                "shards in Redis need an order log that outlives this process: give `--pulsar URL`, too"
                    .into(),
            )),
            (true, true) => Err(ServeError::Parts(
                "Pulsar as order log needs shards in Redis: give `--redis URL`, too".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Reaches Pulsar, its admin API, and every Redis once, so that one that can't serve a sale is named before anything is
    /// decided. Nothing is left there but the function library.
    ///
    /// # Errors
    /// Which one, why not, and what to do.
    pub async fn reach(&self) -> Result<(), ServeError> {
        if let Some(pulsar) = &self.pulsar {
            reach_broker(&pulsar.service).await?;
            Admin::new(&pulsar.admin, None)?.version().await?;
        }
        for redis in &self.redis {
            reach_redis(redis).await?;
        }
        Ok(())
    }

    /// Where the order log of a sale is, if it is on Pulsar.
    #[must_use]
    pub fn log(&self, uid: SaleUid) -> Option<(Service, Names)> {
        let pulsar = self.pulsar.as_ref()?;
        Some((
            Service::new(pulsar.service.clone(), None),
            Names::new(TENANT, uid),
        ))
    }

    /// The shards' room, if they live in Redis.
    #[must_use]
    pub fn room(&self, uid: SaleUid) -> Option<RoomOptions> {
        let (service, names) = self.log(uid)?;
        let redis = self.redis.iter().map(flashsale_redis::Options::new).collect();
        Some(RoomOptions {
            redis,
            service,
            names,
        })
    }

    /// Makes the sale's topics where they are missing, and sets their policies.
    ///
    /// # Errors
    /// Pulsar can't be reached or doesn't allow it.
    pub async fn ensure_topics(&self, sale: &Sale) -> Result<(), ServeError> {
        let Some(pulsar) = &self.pulsar else {
            return Ok(());
        };
        let admin = Admin::new(&pulsar.admin, None)?;
        let layout = Layout {
            names: Names::new(TENANT, sale.uid),
            shards: sale.shards,
        };
        for change in admin.ensure(&layout).await? {
            tracing::debug!(?change, "the order log");
        }
        Ok(())
    }
}

async fn reach_redis(url: &str) -> Result<(), ServeError> {
    let options = flashsale_redis::Options::new(url);
    // A sale that nobody has: whether this Redis could serve one is asked, and none is touched.
    let nobody = ShardName::new(SaleUid(rand::random()), ShardId(0));
    let deadline = Instant::now() + REACHED_WITHIN;
    loop {
        match SidecarShard::connect(&options, nobody.clone()).await {
            Ok(_) => return Ok(()),
            // It may just be starting, or reading its data.
            Err(ConnectError::Unreachable { .. } | ConnectError::Call(_)) if Instant::now() < deadline => {
                tokio::time::sleep(TRY_EVERY).await;
            }
            Err(error) => return Err(ServeError::Parts(error.to_string())),
        }
    }
}

async fn reach_broker(service: &str) -> Result<(), ServeError> {
    let (scheme, rest) = service.split_once("://").unwrap_or(("", service));
    let port = BROKER_PORTS
        .iter()
        .find(|(name, _)| *name == scheme)
        .map(|(_, port)| port);
    let Some(port) = port else {
        return Err(ServeError::Parts(format!(
            "can't use the Pulsar address {service}: write pulsar://host:6650 or pulsar+ssl://host:6651"
        )));
    };
    let at = rest.split('/').next().unwrap_or_default();
    let address = if at
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        at.to_owned()
    } else {
        format!("{at}:{port}")
    };
    let deadline = Instant::now() + REACHED_WITHIN;
    loop {
        let connecting = tokio::time::timeout(REACHED_WITHIN, TcpStream::connect(&address));
        let why = match connecting.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", REACHED_WITHIN.as_secs()),
        };
        if Instant::now() > deadline {
            return Err(ServeError::Parts(format!(
                "can't reach Pulsar at {address}: {why}; check that it runs and that the network lets this process through"
            )));
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Follows the log from its start for a worker, and wakes it when something has come.
pub(crate) fn follow(
    log: &(Service, Names),
    shards: u16,
    wake: impl AsRef<Notify> + Send + 'static,
) -> mpsc::Receiver<Stored> {
    let (to, records) = mpsc::channel(RECORDS_MAX);
    let mut reader = start(log, shards);
    tokio::spawn(async move {
        while let Some(delivery) = reader.next().await {
            let Delivery::Record(record) = delivery else {
                continue;
            };
            if to.send((record.partition, record.bytes)).await.is_err() {
                return;
            }
            wake.as_ref().notify_one();
        }
    });
    records
}

/// Everything that the log holds now.
pub(super) async fn read_all(
    log: &(Service, Names),
    shards: u16,
) -> Result<VecDeque<(u16, Bytes)>, ServeError> {
    let mut reader = start(log, shards);
    let mut records = VecDeque::new();
    let mut open = shards;
    while open > 0 {
        match tokio::time::timeout(READ_WITHIN, reader.next()).await {
            Ok(Some(Delivery::Record(record))) => records.push_back((record.partition, record.bytes)),
            Ok(Some(Delivery::CaughtUp { .. })) => open -= 1,
            Ok(None) => break,
            Err(_) => {
                let why = reader
                    .state()
                    .trouble()
                    .map_or_else(String::new, |(_, why)| format!(": {why}"));
                return Err(ServeError::Parts(format!(
                    "the order log can't be read to its end{why}"
                )));
            }
        }
    }
    Ok(records)
}

fn start((service, names): &(Service, Names), shards: u16) -> Reader {
    Reader::start(
        service,
        names,
        (0..shards).map(|partition| (partition, Begin::Start)),
    )
}

/// [`crate::shared::Shared::durable`], by way of the shared memory that holds it.
pub(crate) struct Wake(pub(crate) Arc<crate::shared::Shared>);

impl AsRef<Notify> for Wake {
    fn as_ref(&self) -> &Notify {
        &self.0.durable
    }
}
