//! What each role is told by its file. Secrets are in files of their own, which the configuration names.

use super::yaml;
use crate::link::LinkKey;
use flashsale_core::ids::ShardId;
use flashsale_crds::HumanDuration;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a gateway that is told to end goes on serving, unless said otherwise: until then no more buyers are sent.
const DRAIN: Duration = Duration::from_secs(5);
/// Hexadecimal digits of the key that signs tickets.
const TICKET_KEY_DIGITS: usize = 64;
/// The least bytes of the payment secret.
const PAYMENT_KEY_BYTES_MIN: usize = 16;

/// Something in a configuration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{what}", file.display(), if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct ConfigError {
    file: PathBuf,
    field: String,
    what: String,
}

/// What a gateway is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayConfig {
    /// The directory with the sale's `sale.yaml` and `sale.json`.
    pub sale: PathBuf,
    /// Its name in other processes' messages.
    #[serde(default)]
    pub name: Option<String>,
    /// The Redis servers; shard *s* lives in the one at *s* modulo their number. Passwords aren't used.
    pub redis: Vec<Place>,
    /// Who keeps which shards.
    pub sidecars: Vec<SidecarAt>,
    /// The worker's link, `host:port`.
    pub worker: String,
    /// Files with secrets: `link`, `tickets`, `payments`.
    pub keys: Keys,
    /// The buyers' address.
    pub listen: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Threads; one per core if not given.
    #[serde(default)]
    pub threads: Option<u8>,
    /// How long it goes on serving, not ready any more, after it was told to end.
    #[serde(default)]
    pub drain: Option<HumanDuration>,
    /// Where the shop's keys are, instead of what the sale says.
    #[serde(default)]
    pub jwks: Option<String>,
    /// A directory with the shop's own pages, read anew when they change; one that isn't there has none.
    #[serde(default)]
    pub pages: Option<PathBuf>,
    /// For development: believe the header X-Buyer-Id of whoever connects from this machine, and let buyers pay
    /// without a payment provider.
    #[serde(default)]
    pub development: bool,
    /// The networks of the proxies in front, which tell the client's address in `X-Forwarded-For`.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The room that it is in: drained, it isn't ready.
    #[serde(default)]
    pub room: Option<String>,
    /// Connections from one address; if not given, the HTTP server's default, or behind trusted proxies no limit.
    #[serde(default)]
    pub connections_per_peer: Option<u32>,
}

/// What a sidecar is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarConfig {
    /// The directory with the sale's `sale.yaml` and `sale.json`.
    pub sale: PathBuf,
    /// The shards that it keeps.
    pub shards: Vec<u16>,
    /// The Redis servers; shard *s* lives in the one at *s* modulo their number.
    pub redis: Vec<Place>,
    /// The order log.
    pub pulsar: PulsarPlace,
    /// The order databases; shard *s* lies in the one at *s* modulo their number.
    pub databases: Vec<Place>,
    /// Files with secrets: `link`, `tickets`.
    pub keys: Keys,
    /// Where gateways and the worker connect.
    pub link: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// For a control sidecar: where the sale is declared.
    #[serde(default)]
    pub control: Option<ControlPlace>,
}

/// Where a sale is declared.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlace {
    /// The sale's namespace.
    pub namespace: String,
    /// Its name.
    pub sale: String,
    /// Its run ConfigMap.
    pub config_map: String,
    /// A file to keep what is known last.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// A file that kubectl could use; in a pod, its ServiceAccount.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
}

/// What the worker is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerConfig {
    /// The directory with the sale's `sale.yaml` and `sale.json`.
    pub sale: PathBuf,
    /// The order log.
    pub pulsar: PulsarPlace,
    /// The order databases; shard *s* lies in the one at *s* modulo their number.
    pub databases: Vec<Place>,
    /// Who keeps which shards.
    pub sidecars: Vec<SidecarAt>,
    /// Files with secrets: `link`, `tickets`, and `payments` if it delivers.
    pub keys: Keys,
    /// Where gateways connect.
    pub link: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Whether it also tells the shop, as a `payments` process would.
    #[serde(default)]
    pub deliver: bool,
}

/// What a payments process is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentsConfig {
    /// The directory with the sale's `sale.yaml` and `sale.json`.
    pub sale: PathBuf,
    /// The order databases; shard *s* lies in the one at *s* modulo their number.
    pub databases: Vec<Place>,
    /// Files with secrets: `tickets`, `payments`; with `sidecars`, `link`.
    pub keys: Keys,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// The control sidecars, which tell of switches.
    #[serde(default)]
    pub sidecars: Vec<SidecarAt>,
}

/// An address that may hold a password; one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// The address, without a password.
    #[serde(default)]
    pub url: Option<String>,
    /// A file with the address.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// For TLS to Redis: the file with the authority that signed its certificate, unless it is a public one.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// Where the order log is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PulsarPlace {
    /// `pulsar://host:6650`.
    pub url: String,
    /// `http://host:8080`: then missing topics are made, and their policies set. Else somebody else does that.
    #[serde(default)]
    pub admin: Option<String>,
    /// Whose topics they are; `public` if not given.
    #[serde(default)]
    pub tenant: Option<String>,
    /// A file with the token, if the brokers ask for one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// A sidecar, as others see it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarAt {
    /// Its link, `host:port`.
    pub address: String,
    /// The shards that it keeps.
    pub shards: Vec<u16>,
}

/// Files with secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keys {
    /// What the sale's processes prove to each other that they know; at least 32 random bytes of text.
    #[serde(default)]
    pub link: Option<PathBuf>,
    /// What signs tickets: 64 hexadecimal digits.
    #[serde(default)]
    pub tickets: Option<PathBuf>,
    /// What signs payment callbacks and webhooks; at least 16 random bytes of text.
    #[serde(default)]
    pub payments: Option<PathBuf>,
}

/// A file, for what is wrong in it.
#[derive(Debug, Clone)]
pub struct Told<T> {
    pub(super) file: PathBuf,
    pub(super) config: T,
}

/// Reads a role's file.
///
/// # Errors
/// It can't be read, or says something that isn't known or can't be.
pub fn read<T: DeserializeOwned>(file: &Path) -> Result<Told<T>, ConfigError> {
    let wrong = |field: String, what: String| ConfigError {
        file: file.to_owned(),
        field,
        what,
    };
    let text =
        std::fs::read_to_string(file).map_err(|e| wrong(String::new(), format!("can't read it ({e})")))?;
    let value = yaml::document(&text).map_err(|what| wrong(String::new(), what))?;
    let config = serde_path_to_error::deserialize(value).map_err(|e| {
        let field = e.path().to_string();
        let what = format!("{}: correct it as in docs/roles.md", e.inner());
        wrong(if field == "." { String::new() } else { field }, what)
    })?;
    Ok(Told {
        file: file.to_owned(),
        config,
    })
}

impl<T> Told<T> {
    pub(super) fn wrong(&self, field: &str, what: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            field: field.to_owned(),
            what: what.into(),
        }
    }

    fn secret(&self, field: &str, file: Option<&PathBuf>) -> Result<String, ConfigError> {
        let file = file.ok_or_else(|| self.wrong(field, "missing: name the file that holds it"))?;
        let text = std::fs::read_to_string(file)
            .map_err(|e| self.wrong(field, format!("{}: can't read it ({e})", file.display())))?;
        Ok(text.trim().to_owned())
    }

    /// The link's key.
    pub(super) fn link_key(&self, keys: &Keys) -> Result<LinkKey, ConfigError> {
        let field = "keys.link";
        let file = keys.link.as_ref();
        let file = file.ok_or_else(|| self.wrong(field, "missing: name the file that holds it"))?;
        LinkKey::read(file).map_err(|e| self.wrong(field, e.to_string()))
    }

    /// The text of the link's key.
    pub(super) fn link_secret(&self, keys: &Keys) -> Result<String, ConfigError> {
        self.secret("keys.link", keys.link.as_ref())
    }

    /// The key that signs tickets.
    pub(super) fn ticket_key(&self, keys: &Keys) -> Result<[u8; 32], ConfigError> {
        let field = "keys.tickets";
        let text = self.secret(field, keys.tickets.as_ref())?;
        let digits = text.as_bytes();
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        key.ok_or_else(|| {
            let found = digits.len();
            self.wrong(
                field,
                format!("the file must hold {TICKET_KEY_DIGITS} hexadecimal digits, it holds {found} bytes that aren't"),
            )
        })
    }

    /// The secret of the payment provider and the shop.
    pub(super) fn payment_key(&self, keys: &Keys) -> Result<String, ConfigError> {
        let field = "keys.payments";
        let text = self.secret(field, keys.payments.as_ref())?;
        if text.len() < PAYMENT_KEY_BYTES_MIN {
            let what = format!(
                "the secret has {} bytes, it needs at least {PAYMENT_KEY_BYTES_MIN}",
                text.len()
            );
            return Err(self.wrong(field, what));
        }
        Ok(text)
    }

    /// The addresses of some servers.
    pub(super) fn urls(&self, field: &str, places: &[Place]) -> Result<Vec<String>, ConfigError> {
        if places.is_empty() {
            return Err(self.wrong(field, "name at least one"));
        }
        let urls = places.iter().enumerate().map(|(ix, place)| {
            let field = format!("{field}[{ix}]");
            match (&place.url, &place.url_file) {
                (Some(url), None) if has_password(url) => {
                    Err(self.wrong(&field, "url: there is a password in it; write the address into a file and name that as `urlFile`"))
                }
                (Some(url), None) => Ok(url.clone()),
                (None, file @ Some(_)) => self.secret(&format!("{field}.urlFile"), file.as_ref()),
                _ => Err(self.wrong(&field, "give either `url` or `urlFile`")),
            }
        });
        urls.collect()
    }

    /// The options of the Redis servers.
    pub(super) fn redis(&self, places: &[Place]) -> Result<Vec<flashsale_redis::Options>, ConfigError> {
        let urls = self.urls("redis", places)?;
        let options = urls
            .into_iter()
            .zip(places)
            .enumerate()
            .map(|(ix, (url, place))| {
                let mut options = flashsale_redis::Options::new(url);
                if let Some(file) = &place.ca_file {
                    let read = std::fs::read(file);
                    options.ca_pem = Some(read.map_err(|e| {
                        let what = format!("{}: can't read it ({e})", file.display());
                        self.wrong(&format!("redis[{ix}].caFile"), what)
                    })?);
                }
                Ok(options)
            });
        options.collect()
    }

    /// Some networks: `10.0.0.0/8`, or one address.
    pub(super) fn networks(&self, field: &str, networks: &[String]) -> Result<Vec<IpNet>, ConfigError> {
        let network = |(ix, text): (usize, &String)| {
            let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
            let network = text.parse::<IpNet>().ok().or_else(one);
            network.ok_or_else(|| {
                let field = format!("{field}[{ix}]");
                self.wrong(&field, format!("{text:?} is no network: write it as 10.0.0.0/8"))
            })
        };
        networks.iter().enumerate().map(network).collect()
    }

    /// The token for the brokers, if there is one.
    pub(super) fn token(&self, pulsar: &PulsarPlace) -> Result<Option<String>, ConfigError> {
        let file = pulsar.token_file.as_ref();
        file.map(|_| self.secret("pulsar.tokenFile", file)).transpose()
    }

    /// Some of a sale's shards.
    pub(super) fn shards(&self, field: &str, shards: &[u16], of: u16) -> Result<Vec<ShardId>, ConfigError> {
        let mut sorted = shards.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() || sorted.len() != shards.len() {
            return Err(self.wrong(field, "name at least one shard, and each once"));
        }
        match sorted.iter().find(|shard| **shard >= of) {
            Some(shard) => {
                let what = format!("the sale has no shard {shard}, its shards are 0 to {}", of - 1);
                Err(self.wrong(field, what))
            }
            None => Ok(shards.iter().copied().map(ShardId).collect()),
        }
    }

    /// Who keeps what; together they keep each of the sale's shards once.
    pub(super) fn sidecars(
        &self,
        sidecars: &[SidecarAt],
        of: u16,
    ) -> Result<Vec<(String, Vec<ShardId>)>, ConfigError> {
        let mut all = Vec::new();
        let mut kept = vec![0_u32; usize::from(of)];
        for (ix, SidecarAt { address, shards }) in sidecars.iter().enumerate() {
            let shards = self.shards(&format!("sidecars[{ix}].shards"), shards, of)?;
            shards.iter().for_each(|shard| kept[shard.ix()] += 1);
            all.push((address.clone(), shards));
        }
        match kept.iter().position(|times| *times != 1) {
            Some(shard) => {
                let what = format!("shard {shard} is kept by {} of them, it must be one", kept[shard]);
                Err(self.wrong("sidecars", what))
            }
            None => Ok(all),
        }
    }
}

impl GatewayConfig {
    pub(super) fn drain(&self) -> Duration {
        self.drain
            .as_ref()
            .map_or(DRAIN, |drain| Duration::from_millis(drain.millis()))
    }
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || rest.contains("password=")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: &str = "sale: /sale\npulsar: {url: \"pulsar://p:6650\"}\ndatabases: [{urlFile: /db}]\n\
        sidecars: [{address: \"a:1\", shards: [0]}, {address: \"b:1\", shards: [1, 2]}]\n\
        keys: {link: /link, tickets: /tickets}\nlink: 0.0.0.0:7700\nadmin: 0.0.0.0:9090\n";

    fn told(text: &str) -> Result<Told<WorkerConfig>, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("worker.yaml");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn what_is_wrong_names_the_file_the_field_and_the_mend() {
        for (change, to, said) in [
            ("link: 0.0.0.0:7700", "link: 7700", "worker.yaml: link: "),
            ("admin:", "admim:", "unknown field `admim`, expected one of"),
            ("shards: [0]", "shards: [zero]", "sidecars[0].shards[0]: "),
            ("sale: /sale\n", "", "missing field `sale`"),
        ] {
            let text = WORKER.replace(change, to);
            let why = told(&text).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
            assert!(!why.contains('\n') && why.contains("docs/roles.md"), "{why}");
        }
    }

    #[test]
    fn each_shard_is_kept_by_exactly_one_sidecar() {
        let told = told(WORKER).unwrap();
        let sidecars = &told.config.sidecars;
        assert_eq!(told.sidecars(sidecars, 3).unwrap().len(), 2);
        let why = told.sidecars(sidecars, 4).unwrap_err().to_string();
        assert!(why.contains("shard 3 is kept by 0 of them"), "{why}");
        let why = told.sidecars(sidecars, 2).unwrap_err().to_string();
        assert!(why.contains("the sale has no shard 2"), "{why}");
        let twice = [sidecars[0].clone(), sidecars[0].clone()];
        assert!(told.sidecars(&twice, 1).is_err());
    }

    #[test]
    fn a_password_in_the_configuration_itself_is_refused_and_not_repeated() {
        let told = told(WORKER).unwrap();
        for url in [
            "redis://:s3cret@r:1",
            "postgres://a:s3cret@r/db",
            "postgres://r/db?password=s3cret",
        ] {
            let place = Place {
                url: Some(url.to_owned()),
                url_file: None,
                ca_file: None,
            };
            let why = told.urls("redis", &[place]).unwrap_err().to_string();
            assert!(why.contains("redis[0]") && !why.contains("s3cret"), "{why}");
        }
    }
}
