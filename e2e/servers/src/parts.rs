//! All real parts of a sale at once.

use crate::{PostgresServer, PulsarServer, RedisOptions, RedisServer, StartError};
use std::path::{Path, PathBuf};

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Redis servers.
    pub redis: usize,
    /// Databases in one PostgreSQL.
    pub databases: usize,
}

/// Redis servers, a Pulsar and a PostgreSQL, ended when dropped.
pub struct RealParts {
    /// The Redis servers.
    pub redis: Vec<RedisServer>,
    /// Pulsar.
    pub pulsar: PulsarServer,
    /// PostgreSQL.
    pub postgres: PostgresServer,
    databases: Vec<String>,
    dir: PathBuf,
}

impl RealParts {
    /// Starts all of them, each in a directory of its own below `dir`.
    ///
    /// # Errors
    /// One of them doesn't come up.
    pub async fn start(dir: &Path, counts: Counts) -> Result<Self, StartError> {
        let made = |name: &str| {
            let below = dir.join(name);
            std::fs::create_dir_all(&below)
                .map(|()| below.clone())
                .map_err(|e| {
                    StartError::Other(format!("{}: can't make the directory ({e})", below.display()))
                })
        };
        let databases: Vec<String> = (0..counts.databases).map(|n| format!("orders_{n}")).collect();
        let names: Vec<&str> = databases.iter().map(String::as_str).collect();
        let (pulsar_dir, postgres_dir) = (made("pulsar")?, made("postgres")?);
        let redis = async {
            let mut servers = Vec::new();
            for n in 0..counts.redis {
                servers.push(
                    RedisServer::start_in(&made(&format!("redis-{n}"))?, RedisOptions::default()).await?,
                );
            }
            Ok(servers)
        };
        let (pulsar, postgres, redis) = tokio::join!(
            PulsarServer::start(&pulsar_dir),
            PostgresServer::start(&postgres_dir, &names),
            redis
        );
        Ok(Self {
            redis: redis?,
            pulsar: pulsar?,
            postgres: postgres?,
            databases,
            dir: dir.to_owned(),
        })
    }

    /// The options of `flashsale` that name these parts. Addresses with passwords are in files.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn options(&self) -> Result<Vec<String>, StartError> {
        let redis: Vec<String> = self.redis.iter().map(RedisServer::url).collect();
        let databases: Vec<String> = self
            .databases
            .iter()
            .map(|name| self.postgres.url(name))
            .collect();
        let mut options = vec!["--redis".to_owned(), self.file("redis.addresses", &redis)?];
        options.extend(["--pulsar".to_owned(), self.pulsar.service_url()]);
        options.extend(["--pulsar-admin".to_owned(), self.pulsar.admin_url()]);
        options.extend([
            "--database".to_owned(),
            self.file("database.addresses", &databases)?,
        ]);
        Ok(options)
    }

    fn file(&self, name: &str, addresses: &[String]) -> Result<String, StartError> {
        let path = self.dir.join(name);
        std::fs::write(&path, addresses.join("\n"))
            .map_err(|e| StartError::Other(format!("{}: can't write it ({e})", path.display())))?;
        Ok(format!("@{}", path.display()))
    }
}
