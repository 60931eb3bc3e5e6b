//! What the caller may choose about a crowd, and what is refused.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A patient buyer tries no more often than this, however a crowd is set up.
pub const PATIENT_TRIES_LIMIT: u8 = 100;

/// Where the sale is served; asked again before each new connection, so the server may move while the crowd runs.
#[derive(Clone)]
pub enum Address {
    /// Always the same address.
    Fixed(SocketAddr),
    /// A file whose first line is `ip:port`; missing or unreadable means "not up at the moment".
    File(PathBuf),
    /// Asked each time; `None` means "not up at the moment".
    Ask(Arc<dyn Fn() -> Option<SocketAddr> + Send + Sync>),
}

impl Address {
    /// The address at this moment, if there is one.
    pub(crate) fn now(&self) -> Option<SocketAddr> {
        match self {
            Self::Fixed(address) => Some(*address),
            Self::File(path) => std::fs::read_to_string(path)
                .ok()?
                .lines()
                .next()?
                .trim()
                .parse()
                .ok(),
            Self::Ask(ask) => ask(),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Fixed(address)
    }
}

/// How a buyer says who they are.
#[derive(Clone, Default)]
pub enum Auth {
    /// The plain header `X-Buyer-Id` (a server started with `--trust-header`).
    #[default]
    Header,
    /// `Authorization: Bearer …` made from the buyer id by the closure. It is called for each request and costs
    /// whatever it costs; cache inside it if signing is slow.
    Bearer(Arc<dyn Fn(&str) -> String + Send + Sync>),
}

/// The payment provider's shared secret; never shown in `Debug`.
#[derive(Clone)]
pub struct PaymentSecret(Vec<u8>);

impl PaymentSecret {
    /// Takes the raw bytes of the secret.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PaymentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentSecret(…)")
    }
}

/// One item of the sale, as far as the crowd must know it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The item's id in the API.
    pub id: String,
    /// Units on sale; used for `secondsToSoldOut`, and to notice overselling.
    pub stock: u64,
    /// Units one buyer may hold.
    pub limit_per_buyer: u32,
}

impl Item {
    /// An item of which each buyer may have one.
    pub fn new(id: impl Into<String>, stock: u64) -> Self {
        Self {
            id: id.into(),
            stock,
            limit_per_buyer: 1,
        }
    }
}

/// How a choice falls on several candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// All the same.
    Uniform,
    /// The k-th candidate is chosen in proportion to `k^-exponent`.
    Zipf(f64),
}

/// How buyers fall on home shards; anything but `Uniform` needs [`CrowdConfig::shards`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// Names are as they come; the hash spreads them.
    Uniform,
    /// Names are chosen so that shard k is home to buyers in proportion to `(k+1)^-exponent`.
    Zipf(f64),
    /// Names are chosen so that every buyer belongs to shard 0.
    OneShard,
}

/// The shards of the sale and the hash that finds a buyer's home.
#[derive(Clone)]
pub struct Shards {
    /// How many there are.
    pub count: u16,
    /// The home shard (`0..count`) of a buyer id.
    pub home: Arc<dyn Fn(&str) -> u16 + Send + Sync>,
}

/// Which share of the buyers (0.0–1.0) behaves in which way. The first group can be combined freely; of the second
/// group (what a winner does) each winner gets exactly one, and who is left over pays in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// Click twice: the same request with the same key at once on two connections.
    pub duplicates: f64,
    /// Ask again with the same key one to three seconds after the first answer.
    pub replays: f64,
    /// Ask again with another key after the first answer.
    pub other_keys: f64,
    /// Lose the first answer, as by a broken connection, and retry with the same key.
    pub lost_answers: f64,
    /// Try before the sale opens.
    pub early: f64,
    /// Told "sold out", wait until stock shows up again and try again; these always pay.
    pub patient: f64,
    /// Of those who pay: the provider reports the payment twice, at once.
    pub pay_twice: f64,

    /// Cancel as soon as the ticket is reserved.
    pub cancels: f64,
    /// Never pay.
    pub non_payers: f64,
    /// Pay up to two seconds after the payment deadline.
    pub late_payers: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            duplicates: 0.03,
            replays: 0.02,
            other_keys: 0.01,
            lost_answers: 0.005,
            early: 0.02,
            patient: 0.02,
            pay_twice: 0.05,
            cancels: 0.03,
            non_payers: 0.05,
            late_payers: 0.0,
        }
    }
}

impl Shares {
    /// Everybody comes once, buys once and pays once.
    pub fn plain() -> Self {
        Self {
            duplicates: 0.0,
            replays: 0.0,
            other_keys: 0.0,
            lost_answers: 0.0,
            early: 0.0,
            patient: 0.0,
            pay_twice: 0.0,
            cancels: 0.0,
            non_payers: 0.0,
            late_payers: 0.0,
        }
    }
}

/// Everything about a crowd. Start from [`CrowdConfig::new`] and change what differs.
#[derive(Clone)]
pub struct CrowdConfig {
    /// Where the sale is served.
    pub address: Address,
    /// The `Host` header; the default is `flashsale`.
    pub host: String,
    /// The sale's name.
    pub sale: String,
    /// The items of the sale; at least one, at most 65,535.
    pub items: Vec<Item>,
    /// How the buyers' choice falls on the items, in the order given.
    pub popularity: Popularity,
    /// How many buyers come, at most 50 million.
    pub buyers: u32,
    /// Decides everything about each buyer; also part of their names, so that another seed is another crowd.
    pub seed: u64,
    /// How buyers fall on home shards.
    pub skew: Skew,
    /// The shards; needed for a skew.
    pub shards: Option<Shards>,
    /// Arrivals begin at opening with a spike that falls off exponentially: 95 % arrive within this time, the last
    /// after twice this time.
    pub spread: Duration,
    /// The opening in milliseconds of the Unix epoch. An opening in the past means: the crowd comes now.
    pub opens_at_ms: u64,
    /// Who behaves how.
    pub shares: Shares,
    /// Signs payment callbacks; without it nobody pays and winners leave once they see `ordered`.
    pub payment_secret: Option<PaymentSecret>,
    /// How buyers say who they are.
    pub auth: Auth,
    /// Threads, 1–16, each with its own runtime and its part of the buyers and connections.
    pub threads: usize,
    /// Connections over all threads, 1–4,096.
    pub connections: usize,
    /// Requests under way on one connection at most, 1–256.
    pub pipeline: usize,
    /// A connection whose oldest request waits longer is closed and its requests are retried.
    pub request_timeout: Duration,
    /// Tries of one request at most (after a lost connection, a 503, a 429), 1–200.
    pub attempts_max: u8,
    /// Tries of a patient buyer at most, from 1 to [`PATIENT_TRIES_LIMIT`].
    pub patient_tries_max: u8,
    /// A patient buyer who was told "sold out" waits for stock no longer than this each time.
    pub patience: Duration,
    /// Counted from opening: after this time the crowd goes home with what it has.
    pub give_up_after: Duration,
    /// Writes the history as JSON lines `{op,type,buyer,req,ticket,state,mono_ns}` to this file.
    pub history: Option<PathBuf>,
}

impl CrowdConfig {
    /// A crowd with the usual mix of behaviours that comes at once.
    pub fn new(address: impl Into<Address>, sale: impl Into<String>, items: Vec<Item>, buyers: u32) -> Self {
        Self {
            address: address.into(),
            host: "flashsale".to_owned(),
            sale: sale.into(),
            items,
            popularity: Popularity::Uniform,
            buyers,
            seed: 1,
            skew: Skew::Uniform,
            shards: None,
            spread: Duration::from_secs(5),
            opens_at_ms: 0,
            shares: Shares::default(),
            payment_secret: None,
            auth: Auth::Header,
            threads: 1,
            connections: 128,
            pipeline: 16,
            request_timeout: Duration::from_secs(10),
            attempts_max: 20,
            patient_tries_max: 20,
            patience: Duration::from_secs(20),
            give_up_after: Duration::from_secs(120),
            history: None,
        }
    }

    /// Refuses what cannot work, naming the field and the mend.
    pub(crate) fn check(&self) -> Result<(), CrowdError> {
        let refuse = |field: &'static str, mend: &'static str| Err(CrowdError::Invalid { field, mend });
        if self.items.is_empty() || self.items.len() > usize::from(u16::MAX) {
            return refuse("items", "name between 1 and 65,535 items");
        }
        let name = |s: &str| {
            !s.is_empty()
                && s.bytes()
                    .all(|b| b.is_ascii_graphic() && !b"\"\\/?#%".contains(&b))
        };
        if !name(&self.sale) || !name(&self.host) || !self.items.iter().all(|i| name(&i.id)) {
            return refuse(
                "sale, host, items[].id",
                "use visible ASCII without quotes, slashes, ?, # and %",
            );
        }
        if self.buyers == 0 || self.buyers > 50_000_000 {
            return refuse("buyers", "let between 1 and 50,000,000 buyers come");
        }
        if self.skew != Skew::Uniform && self.shards.as_ref().is_none_or(|s| s.count == 0) {
            return refuse(
                "shards",
                "a skew needs the number of shards and the closure that finds a home shard",
            );
        }
        let bounds = [
            ("threads", self.threads, 1, 16),
            ("connections", self.connections, self.threads, 4096),
            ("pipeline", self.pipeline, 1, 256),
            ("attempts_max", usize::from(self.attempts_max), 1, 200),
            (
                "patient_tries_max",
                usize::from(self.patient_tries_max),
                1,
                PATIENT_TRIES_LIMIT.into(),
            ),
        ];
        for (field, value, low, high) in bounds {
            if value < low || value > high {
                return refuse(field, "keep it within the bounds its documentation gives");
            }
        }
        self.check_shares()
    }

    fn check_shares(&self) -> Result<(), CrowdError> {
        let s = &self.shares;
        let all = [
            s.duplicates,
            s.replays,
            s.other_keys,
            s.lost_answers,
            s.early,
            s.patient,
            s.pay_twice,
            s.cancels,
            s.non_payers,
            s.late_payers,
        ];
        if all.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(CrowdError::Invalid {
                field: "shares",
                mend: "give each share between 0.0 and 1.0",
            });
        }
        if s.cancels + s.non_payers + s.late_payers > 1.0 + 1e-9 {
            return Err(CrowdError::Invalid {
                field: "shares.cancels + non_payers + late_payers",
                mend: "a winner does one thing only: keep the sum at or below 1.0",
            });
        }
        Ok(())
    }
}

/// Why a crowd could not be formed or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrowdError {
    /// A field of the configuration cannot work.
    #[error("crowd: `{field}` cannot be used: {mend}")]
    Invalid {
        /// The field, as written in [`CrowdConfig`].
        field: &'static str,
        /// What to do about it.
        mend: &'static str,
    },
    /// No name was found that belongs to the wanted shard.
    #[error(
        "crowd: none of {tries} names for buyer {buyer} belongs to shard {shard}: \
         does `shards.home` answer within 0..`shards.count`, and is any buyer at home there?"
    )]
    NoSuchHome {
        /// The buyer's number.
        buyer: u32,
        /// The shard looked for.
        shard: u16,
        /// How many names were tried.
        tries: u32,
    },
    /// The history file could not be written.
    #[error("crowd: cannot write the history {}: {source}; check the path and the free space", path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread or runtime of the crowd could not be started, or died.
    #[error("crowd: a thread of the crowd {0}")]
    Thread(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_a_file_is_read_anew_each_time_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        let address = Address::File(path.clone());
        assert_eq!(address.now(), None);
        std::fs::write(&path, "127.0.0.1:8080\n").unwrap();
        assert_eq!(address.now(), Some(SocketAddr::from(([127, 0, 0, 1], 8080))));
        std::fs::write(&path, "127.0.0.1:90").unwrap();
        assert_eq!(address.now(), Some(SocketAddr::from(([127, 0, 0, 1], 90))));
        std::fs::write(&path, "starting").unwrap();
        assert_eq!(address.now(), None);
    }

    #[test]
    fn the_payment_secret_is_not_shown() {
        assert!(!format!("{:?}", PaymentSecret::new("hunter2")).contains("hunter2"));
    }
}
