//! The side that listens.

use super::client::{Reading, Writing};
use super::frame::LinkError;
use super::handshake::{self, Caller};
use super::key::LinkKey;
use flashsale_core::ids::{SaleUid, ShardId};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};

/// Connections at once; more have to wait for one to end.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// After the system couldn't take a connection in.
const PAUSE: Duration = Duration::from_millis(50);
/// So many different refusals are told; others look like one of them.
const TOLD_MAX: usize = 256;

/// A link's open port.
pub(crate) struct Listening {
    listener: TcpListener,
    key: LinkKey,
    sale: SaleUid,
    shards: Vec<u16>,
}

impl Listening {
    /// Takes the address, for a process that keeps `shards`.
    ///
    /// # Errors
    /// It is in use, or not this machine's.
    pub(crate) async fn bind(
        address: SocketAddr,
        key: LinkKey,
        sale: SaleUid,
        shards: &[ShardId],
    ) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            key,
            sale,
            shards: shards.iter().map(|shard| shard.0).collect(),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Talks with whoever proves to belong to the sale. Ends when it is dropped, and all connections with it.
    pub(crate) async fn serve(self, talk: impl AsyncFn(Caller, Reading, Writing) -> LinkError) {
        let mut talks = FuturesUnordered::new();
        let mut told = HashSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if talks.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, peer)) => {
                        let (talk, this) = (&talk, &self);
                        talks.push(async move { (peer, this.welcome(stream, talk).await) });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "can't take a link's connection in");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some((peer, (who, why))) = talks.next(), if !talks.is_empty() => match who {
                    Some(who) => tracing::info!(who, %why, "a link ended"),
                    // Said once for each machine and reason, not at each try.
                    None => if told.len() < TOLD_MAX && told.insert((peer.ip(), why.to_string())) {
                        tracing::warn!(%peer, %why, "a link was refused");
                    },
                },
            }
        }
    }

    async fn welcome(
        &self,
        mut stream: TcpStream,
        talk: &impl AsyncFn(Caller, Reading, Writing) -> LinkError,
    ) -> (Option<String>, LinkError) {
        let shake = async {
            stream.set_nodelay(true)?;
            handshake::serve(&mut stream, &self.key, self.sale, &self.shards).await
        };
        let shaken = tokio::time::timeout(HANDSHAKE_MAX, shake).await;
        match shaken.unwrap_or(Err(LinkError::Silent)) {
            Ok(caller) => {
                let who = caller.name.clone();
                tracing::info!(who, "linked");
                let (from, to) = stream.into_split();
                let why = talk(caller, BufReader::new(from), BufWriter::new(to)).await;
                (Some(who), why)
            }
            Err(why) => (None, why),
        }
    }
}
