//! Before anything else, both sides show that they know the key, speak the same version, and mean the same sale.
//!
//! The server says a number that was never used before, the client answers with a proof over it and its own, and the
//! server with a proof over both. So neither a recorded answer nor the other side's own helps anybody without the key.

use super::frame::{self, LinkError, foreign};
use super::key::LinkKey;
use flashsale_core::ids::SaleUid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// The protocol's version; another one isn't talked to.
pub const VERSION: u16 = 2;
/// What a link's first bytes are.
const MAGIC: [u8; 4] = *b"FSLK";
/// The longest message of the handshake.
const BYTES_MAX: usize = 1024;
/// Letters of a process' name.
const NAME_MAX: usize = 64;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It serves buyers.
    Gateway,
    /// It makes orders, and passes on what one sidecar has for another.
    Worker,
    /// Somebody at a console.
    Tool,
    /// It tells the shop; it hears of switches only.
    Payments,
}

/// Who connects, and to what.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) sale: SaleUid,
}

/// Numbers that were never used before.
type Nonce = [u8; 32];

#[derive(Serialize, Deserialize)]
struct Hello {
    magic: [u8; 4],
    version: u16,
    nonce: Nonce,
}

#[derive(Serialize, Deserialize)]
struct Claim {
    magic: [u8; 4],
    version: u16,
    role: Role,
    name: String,
    sale: SaleUid,
    nonce: Nonce,
    proof: [u8; 32],
}

#[derive(Serialize, Deserialize)]
enum Verdict {
    Welcome { proof: [u8; 32], shards: Vec<u16> },
    Version(u16),
    Sale,
    Key,
}

/// What each side proves: that it knows the key, and everything that was said.
fn proof(key: &LinkKey, side: &[u8], claim: &Caller, server: &Nonce, client: &Nonce) -> blake3::Hash {
    let mut about = Vec::with_capacity(192);
    about.extend_from_slice(side);
    about.extend_from_slice(&VERSION.to_le_bytes());
    about.push(claim.role as u8);
    about.extend_from_slice(&claim.sale.0.to_le_bytes());
    about.extend_from_slice(server);
    about.extend_from_slice(client);
    about.extend_from_slice(claim.name.as_bytes());
    key.prove(&about)
}

/// A name as it may stand in a line of a log.
fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_graphic)
        .take(NAME_MAX)
        .collect()
}

/// The server's side; who has connected. `shards` are those that it keeps.
pub(super) async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    key: &LinkKey,
    sale: SaleUid,
    shards: &[u16],
) -> Result<Caller, LinkError> {
    let hello = Hello {
        magic: MAGIC,
        version: VERSION,
        nonce: rand::random(),
    };
    frame::write(stream, &hello).await?;
    frame::flush(stream).await?;
    let claim: Claim = frame::read(stream, BYTES_MAX).await?;
    let caller = Caller {
        role: claim.role,
        name: plain(&claim.name),
        sale: claim.sale,
    };
    let proven = blake3::Hash::from_bytes(claim.proof);
    let (verdict, refusal) = if claim.magic != MAGIC {
        return Err(foreign("somebody else's first bytes"));
    } else if claim.version != VERSION {
        let refusal = LinkError::Version {
            ours: VERSION,
            theirs: claim.version,
        };
        (Verdict::Version(VERSION), Some(refusal))
    } else if claim.sale != sale {
        (Verdict::Sale, Some(LinkError::Sale))
    } else if proof(key, b"client", &caller, &hello.nonce, &claim.nonce) != proven {
        (Verdict::Key, Some(LinkError::Key))
    } else {
        let proof = proof(key, b"server", &caller, &hello.nonce, &claim.nonce).into();
        let shards = shards.to_vec();
        (Verdict::Welcome { proof, shards }, None)
    };
    frame::write(stream, &verdict).await?;
    frame::flush(stream).await?;
    refusal.map_or(Ok(caller), Err)
}

/// The client's side; the shards that the server keeps.
pub(super) async fn call(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    key: &LinkKey,
    caller: &Caller,
) -> Result<Vec<u16>, LinkError> {
    let hello: Hello = frame::read(stream, BYTES_MAX).await?;
    let caller = &Caller {
        name: plain(&caller.name),
        ..caller.clone()
    };
    if hello.magic != MAGIC {
        return Err(foreign("somebody else's first bytes"));
    }
    if hello.version != VERSION {
        return Err(LinkError::Version {
            ours: VERSION,
            theirs: hello.version,
        });
    }
    let nonce: Nonce = rand::random();
    let claim = Claim {
        magic: MAGIC,
        version: VERSION,
        role: caller.role,
        name: caller.name.clone(),
        sale: caller.sale,
        proof: proof(key, b"client", caller, &hello.nonce, &nonce).into(),
        nonce,
    };
    frame::write(stream, &claim).await?;
    frame::flush(stream).await?;
    match frame::read(stream, BYTES_MAX).await? {
        Verdict::Welcome {
            proof: theirs,
            shards,
        } => {
            let expected = proof(key, b"server", caller, &hello.nonce, &nonce);
            if expected != blake3::Hash::from_bytes(theirs) {
                return Err(LinkError::Key);
            }
            Ok(shards)
        }
        Verdict::Version(theirs) => Err(LinkError::Version {
            ours: VERSION,
            theirs,
        }),
        Verdict::Sale => Err(LinkError::Sale),
        Verdict::Key => Err(LinkError::Key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> LinkKey {
        LinkKey::new(&[n; 32])
    }

    fn caller(sale: u128) -> Caller {
        Caller {
            role: Role::Gateway,
            name: "gateway 1\n".to_owned(),
            sale: SaleUid(sale),
        }
    }

    async fn meet(
        server: (&LinkKey, u128),
        client: (&LinkKey, u128),
    ) -> (Result<Caller, LinkError>, Result<Vec<u16>, LinkError>) {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let claimed = caller(client.1);
        tokio::join!(
            serve(&mut near, server.0, SaleUid(server.1), &[3, 4]),
            call(&mut far, client.0, &claimed)
        )
    }

    #[tokio::test]
    async fn those_with_the_same_key_and_sale_meet() {
        let (served, called) = meet((&key(1), 7), (&key(1), 7)).await;
        assert_eq!(served.unwrap().name, "gateway1");
        assert_eq!(called.unwrap(), [3, 4]);
    }

    #[tokio::test]
    async fn another_key_or_sale_is_refused_and_both_sides_say_why() {
        let (served, called) = meet((&key(1), 7), (&key(2), 7)).await;
        assert!(matches!(
            (served, called),
            (Err(LinkError::Key), Err(LinkError::Key))
        ));
        let (served, called) = meet((&key(1), 7), (&key(1), 8)).await;
        assert!(matches!(
            (served, called),
            (Err(LinkError::Sale), Err(LinkError::Sale))
        ));
    }

    #[tokio::test]
    async fn a_server_that_only_says_welcome_is_not_believed() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let impostor = async {
            let hello = Hello {
                magic: MAGIC,
                version: VERSION,
                nonce: [0; 32],
            };
            frame::write(&mut near, &hello).await.unwrap();
            let claim: Claim = frame::read(&mut near, BYTES_MAX).await.unwrap();
            // The client's own proof, sent back.
            let verdict = Verdict::Welcome {
                proof: claim.proof,
                shards: vec![],
            };
            frame::write(&mut near, &verdict).await.unwrap();
        };
        let (key, claimed) = (key(1), caller(7));
        let ((), called) = tokio::join!(impostor, call(&mut far, &key, &claimed));
        assert!(matches!(called, Err(LinkError::Key)));
    }

    #[tokio::test]
    async fn another_version_is_told_by_its_number() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let hello = Hello {
            magic: MAGIC,
            version: VERSION + 1,
            nonce: [0; 32],
        };
        frame::write(&mut near, &hello).await.unwrap();
        let called = call(&mut far, &key(1), &caller(7)).await;
        assert!(matches!(called, Err(LinkError::Version { theirs, .. }) if theirs == VERSION + 1));
    }
}
