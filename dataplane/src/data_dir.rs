//! The data directory of an embedded sale: whose it is, and where its parts are.

use crate::embedded::Kinds;
use crate::sale::{Sale, Unsupported};
use flashsale_core::ids::{Millis, SaleUid};
use flashsale_crds::{EffectiveBuyers, EmbeddedDefaults, FlashSale, Rules, effective};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can go wrong before a sale is served.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The sale's YAML is wrong; one line each.
    #[error("{0}")]
    Refused(String),
    /// One process can't serve it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The directory can't be used.
    #[error("{path}: can't {action}: {source}")]
    Io {
        /// Which file or directory.
        path: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory holds something else.
    #[error("{path}: {problem}")]
    Foreign {
        /// Which file.
        path: String,
        /// What it holds, and what to do.
        problem: String,
    },
}

/// What was decided when the sale was first started; a later start keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decided {
    /// The sale's uid, 32 hexadecimal digits.
    pub uid: String,
    /// The opening time, in milliseconds since 1970.
    pub open_ms: Millis,
    /// The closing time.
    pub close_ms: Millis,
    /// How many shards.
    pub shards: u16,
    /// How long an order may wait for its payment, in milliseconds.
    pub payment_timeout_ms: u64,
}

/// What the command line changes of a sale that is started for the first time.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Open so long after now instead of at the sale's time; the window keeps its length.
    pub opens_in: Option<Duration>,
    /// Close so long after the opening instead of at the sale's time.
    pub closes_in: Option<Duration>,
    /// The number of shards.
    pub shards: Option<u16>,
    /// How long an order may wait for its payment.
    pub payment_timeout: Option<Duration>,
    /// How buyers are identified if the sale doesn't say.
    pub buyers: Option<EffectiveBuyers>,
    /// Where the shop's keys are.
    pub jwks: Option<String>,
}

/// An embedded sale's directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// A directory with its sale.
#[derive(Debug)]
pub struct Prepared {
    /// The directory.
    pub dir: DataDir,
    /// The sale.
    pub sale: Sale,
    /// Its YAML.
    pub yaml: String,
    /// Whether the directory held the sale already.
    pub resumed: bool,
}

impl DataDir {
    /// The directory at `root`, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The order log's directory.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The order database's file.
    #[must_use]
    pub fn orders(&self) -> PathBuf {
        self.root.join("orders.db")
    }

    /// Takes the sale in `yaml` into the directory, or finds it there.
    ///
    /// # Errors
    /// The YAML is wrong, the directory can't be written, or it holds another sale. Nothing was changed then.
    pub fn prepare(
        self,
        yaml: &str,
        overrides: &Overrides,
        uid: SaleUid,
        now: Millis,
    ) -> Result<Prepared, DataError> {
        let stored = self.root.join("sale.json");
        if stored.exists() {
            let (kept, given) = (parse(&self.read("sale.yaml")?)?, parse(yaml)?);
            let same_name = kept.metadata.name == given.metadata.name
                && kept.metadata.namespace_or_default() == given.metadata.namespace_or_default();
            if !same_name || kept.spec != given.spec {
                let problem =
                    "the directory holds another sale; give a new sale another directory with `--data`"
                        .to_owned();
                return Err(DataError::Foreign {
                    path: self.root.display().to_string(),
                    problem,
                });
            }
            return self.load(overrides);
        }
        let decided = decide(yaml, overrides, uid, now)?;
        let sale = build(yaml, overrides, &decided)?;
        fs::create_dir_all(&self.root).map_err(|e| failed(&self.root, "create the directory", e))?;
        self.write("sale.yaml", yaml.as_bytes(), 0o644)?;
        let json = serde_json::to_vec_pretty(&decided).unwrap_or_default();
        self.write("sale.json", &json, 0o644)?;
        Ok(Prepared {
            dir: self,
            sale,
            yaml: yaml.to_owned(),
            resumed: false,
        })
    }

    /// The sale that the directory holds.
    ///
    /// # Errors
    /// It holds none, or can't be read.
    pub fn load(self, overrides: &Overrides) -> Result<Prepared, DataError> {
        if !self.root.join("sale.json").exists() {
            return Err(DataError::Foreign {
                path: self.root.display().to_string(),
                problem: "there is no sale here: give the directory of one with `--data`".to_owned(),
            });
        }
        let yaml = self.read("sale.yaml")?;
        let json = self.read("sale.json")?;
        let decided: Decided = serde_json::from_str(&json).map_err(|e| DataError::Foreign {
            path: self.root.join("sale.json").display().to_string(),
            problem: format!("can't be read ({e}): restore it from a backup"),
        })?;
        let sale = build(&yaml, overrides, &decided)?;
        Ok(Prepared {
            dir: self,
            sale,
            yaml,
            resumed: true,
        })
    }

    /// Keeps which parts the sale runs on, and refuses others later: the sale's units are where it was started.
    ///
    /// # Errors
    /// The sale was started on other parts, or the directory can't be written.
    pub fn keep_kinds(&self, kinds: &Kinds) -> Result<(), DataError> {
        let path = self.root.join("parts.json");
        let foreign = |problem| DataError::Foreign {
            path: self.root.display().to_string(),
            problem,
        };
        let kept: Kinds = if path.exists() {
            serde_json::from_str(&self.read("parts.json")?).map_err(|e| {
                foreign(format!(
                    "parts.json can't be read ({e}): restore it from a backup"
                ))
            })?
        } else if self.journal().exists() {
            Kinds::default()
        } else {
            let json = serde_json::to_vec_pretty(kinds).unwrap_or_default();
            return self.write("parts.json", &json, 0o644);
        };
        if kept == *kinds {
            return Ok(());
        }
        Err(foreign(format!(
            "the sale was started on {kept}, not on {kinds}: give the same `--redis`, `--pulsar` and `--database` again"
        )))
    }

    /// The secret that signs payment callbacks and webhooks: made when first asked for.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn payment_secret(&self, fresh: &str) -> Result<String, DataError> {
        if !self.root.join("payment-secret").exists() {
            self.write("payment-secret", fresh.as_bytes(), 0o600)?;
        }
        Ok(self.read("payment-secret")?.trim().to_owned())
    }

    /// Makes sure that the order database is there, where a missing one must not be made.
    ///
    /// # Errors
    /// It isn't there, or can't be looked at.
    pub fn require_orders(&self) -> Result<(), DataError> {
        let path = self.orders();
        let found = fs::metadata(&path).map(drop);
        found.map_err(|e| failed(&path, "open the order database", e))
    }

    fn read(&self, name: &str) -> Result<String, DataError> {
        let path = self.root.join(name);
        fs::read_to_string(&path).map_err(|e| failed(&path, "read it", e))
    }

    /// Writes a file so that after a crash it is there whole or not at all.
    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DataError> {
        use std::os::unix::fs::OpenOptionsExt;
        let (path, temporary) = (self.root.join(name), self.root.join(format!("{name}.tmp")));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(mode)
                .open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(|e| failed(&path, "write it", e))
    }
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> DataError {
    DataError::Io {
        path: path.display().to_string(),
        action,
        source,
    }
}

fn parse(yaml: &str) -> Result<FlashSale, DataError> {
    FlashSale::parse_with(yaml, Rules::EMBEDDED).map_err(|refusals| refused(&refusals))
}

fn refused<R: ToString>(refusals: &[R]) -> DataError {
    DataError::Refused(
        refusals
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

fn decide(yaml: &str, overrides: &Overrides, uid: SaleUid, now: Millis) -> Result<Decided, DataError> {
    let effective = effective_of(yaml, overrides)?;
    let (open_ms, close_ms) = match overrides.opens_in {
        Some(wait) => {
            let open = now + wait.as_millis() as u64;
            (open, open + (effective.close_ms - effective.open_ms))
        }
        None => (effective.open_ms, effective.close_ms),
    };
    let close_ms = overrides
        .closes_in
        .map_or(close_ms, |window| open_ms + window.as_millis() as u64);
    let timeout = overrides.payment_timeout.map(|t| t.as_millis() as u64);
    Ok(Decided {
        uid: format!("{:032x}", uid.0),
        open_ms,
        close_ms,
        shards: overrides.shards.unwrap_or(effective.shards),
        payment_timeout_ms: timeout.unwrap_or(effective.orders.payment_timeout.millis()),
    })
}

fn effective_of(yaml: &str, overrides: &Overrides) -> Result<flashsale_crds::EffectiveSale, DataError> {
    let defaults = EmbeddedDefaults {
        buyers: overrides.buyers.clone(),
        ..EmbeddedDefaults::default()
    };
    effective(&parse(yaml)?.spec, &defaults).map_err(|refusals| refused(&refusals))
}

/// The sale in `yaml`, with what was decided about it.
///
/// # Errors
/// The YAML is wrong, or the sale can't be served.
pub fn build(yaml: &str, overrides: &Overrides, decided: &Decided) -> Result<Sale, DataError> {
    let metadata = parse(yaml)?.metadata;
    let effective = effective_of(yaml, overrides)?;
    let uid = SaleUid(u128::from_str_radix(&decided.uid, 16).unwrap_or_default());
    let name = (metadata.namespace_or_default(), metadata.name.as_str());
    let mut sale = Sale::new(uid, name, &effective, overrides.jwks.as_deref())?;
    (sale.opens, sale.closes, sale.shards) = (decided.open_ms, decided.close_ms, decided.shards);
    sale.payment_timeout = Duration::from_millis(decided.payment_timeout_ms);
    Ok(sale)
}
