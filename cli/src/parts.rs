//! Where the parts of a sale are.

use crate::failure::Failure;
use flashsale_dataplane::embedded::{Parts, PulsarAt};

/// The port of Pulsar's admin API, unless said otherwise.
const ADMIN_PORT: u16 = 8080;

/// Where the parts of a sale are; without any of these the sale needs nothing but its directory.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Real parts")]
pub(crate) struct PartsArgs {
    /// Keep the shards in Redis: `redis://user:password@host:port` or `rediss://…`; again for more servers, over which
    /// the shards are spread. `@FILE` takes the addresses from a file, one a line
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    redis: Vec<String>,
    /// The order log: `pulsar://host:6650` or `pulsar+ssl://…`
    #[arg(long, value_name = "URL")]
    pulsar: Option<String>,
    /// Pulsar's admin API; port 8080 of the same host if not given
    #[arg(long, value_name = "URL", requires = "pulsar")]
    pulsar_admin: Option<String>,
    /// Keep the orders in PostgreSQL: `postgres://user:password@host:port/database`; again for more databases, over which
    /// the shards are spread. `@FILE` takes the addresses from a file, one a line
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    database: Vec<String>,
}

impl PartsArgs {
    /// The parts.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn parts(&self) -> Result<Parts, Failure> {
        Ok(Parts {
            redis: addresses("--redis", &self.redis)?,
            pulsar: self.pulsar.as_ref().map(|service| PulsarAt {
                admin: self.pulsar_admin.clone().unwrap_or_else(|| admin_of(service)),
                service: service.clone(),
            }),
            databases: addresses("--database", &self.database)?,
        })
    }
}

fn addresses(option: &str, given: &[String]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for address in given {
        let Some(file) = address.strip_prefix('@') else {
            all.push(address.clone());
            continue;
        };
        let text = std::fs::read_to_string(file)
            .map_err(|e| Failure::input(format!("{option} @{file}: can't read the file ({e})")))?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(lines.map(str::to_owned));
    }
    Ok(all)
}

fn admin_of(service: &str) -> String {
    let behind = service.split_once("://").map_or(service, |(_, rest)| rest);
    let host = behind.rsplit_once(':').map_or(behind, |(host, _)| host);
    format!("http://{host}:{ADMIN_PORT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_api_is_on_the_same_host_unless_said_otherwise() {
        assert_eq!(admin_of("pulsar://broker:6650"), "http://broker:8080");
        assert_eq!(
            admin_of("pulsar+ssl://broker.example"),
            "http://broker.example:8080"
        );
    }

    #[test]
    fn addresses_come_from_the_line_or_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# the shards\nredis://a:1\n\nredis://b:2\n").unwrap();
        let given = [format!("@{}", file.path().display()), "redis://c:3".to_owned()];
        assert_eq!(
            addresses("--redis", &given).unwrap(),
            ["redis://a:1", "redis://b:2", "redis://c:3"]
        );
        assert!(addresses("--redis", &["@/nowhere".to_owned()]).is_err());
    }
}
