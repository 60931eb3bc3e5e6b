//! The side that connects: again and again, for as long as the process lives.

use super::frame::LinkError;
use super::handshake::{self, Caller, Role};
use super::key::LinkKey;
use flashsale_core::ids::{SaleUid, ShardId};
use rand::Rng as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How long connecting and the handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// After a failure, before the next try; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries. Shorter than a worker that starts waits for the gateways.
const PAUSE_MAX: Duration = Duration::from_millis(250);

pub(crate) type Reading = BufReader<OwnedReadHalf>;
pub(crate) type Writing = BufWriter<OwnedWriteHalf>;

/// Whom to connect to, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    /// `host:port`.
    pub(crate) address: String,
    /// What is there, for messages: `sidecar` or `worker`.
    pub(crate) what: &'static str,
    /// The shards that must be there.
    pub(crate) shards: Vec<ShardId>,
    /// What this process is.
    pub(crate) role: Role,
    /// Its name, for the other side's messages.
    pub(crate) name: String,
    /// The sale.
    pub(crate) sale: SaleUid,
    /// The key.
    pub(crate) key: LinkKey,
    /// Where it is noted whether there is a connection.
    pub(crate) links: Arc<Links>,
}

/// Which links of this process are up, by where they go.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<BTreeMap<String, bool>>);

impl Links {
    fn note(&self, to: &str, up: bool) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.insert(to.to_owned(), up);
    }

    /// All of them now.
    pub(crate) fn all(&self) -> BTreeMap<String, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is done with a connection.
pub(crate) trait Talk {
    /// Talks until the connection ends, and says why it did.
    async fn talk(&mut self, from: Reading, to: Writing) -> LinkError;
    /// There is no connection any more.
    fn lost(&mut self);
}

impl Dial {
    pub(super) async fn connect(&self) -> Result<(Reading, Writing), LinkError> {
        let connect = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let caller = Caller {
                role: self.role,
                name: self.name.clone(),
                sale: self.sale,
            };
            let theirs = handshake::call(&mut stream, &self.key, &caller).await?;
            let ours: Vec<u16> = self.shards.iter().map(|shard| shard.0).collect();
            if theirs != ours {
                return Err(LinkError::Foreign(format!(
                    "it keeps the shards {theirs:?}, but the configuration says {ours:?}: correct `sidecars`"
                )));
            }
            let (from, to) = stream.into_split();
            Ok((BufReader::new(from), BufWriter::new(to)))
        };
        let silent = |_| LinkError::Silent;
        tokio::time::timeout(CONNECT_MAX, connect).await.map_err(silent)?
    }
}

/// Connects and talks, again whenever the connection is lost. Ends when it is dropped.
pub(crate) async fn keep(dial: Dial, mut talk: impl Talk) {
    let (mut pause, mut told) = (PAUSE, String::new());
    loop {
        dial.links.note(&dial.address, false);
        let why = match dial.connect().await {
            Ok((from, to)) => {
                tracing::info!(to = dial.what, address = dial.address, "linked");
                (pause, told) = (PAUSE, String::new());
                dial.links.note(&dial.address, true);
                let why = talk.talk(from, to).await;
                talk.lost();
                why
            }
            Err(why) => why,
        };
        let why = why.to_string();
        // Said once, not at each try.
        if why != told {
            tracing::warn!(to = dial.what, address = dial.address, %why, "no link; trying again until there is one");
            told = why;
        }
        let some = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(pause.mul_f64(some)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
