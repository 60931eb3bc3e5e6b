//! Who asks.

use super::jwks::{Denied, Verifier};
use super::limiter::Limiter;
use super::problem::Problem;
use super::thread::Arrival;
use crate::sale::Identity;
use flashsale_core::ids::{BuyerKey, Keyring, Millis};
use flashsale_http::Request;
use ipnet::IpNet;
use quick_cache::unsync::Cache;
use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of a buyer's id.
const ID_BYTES_MAX: usize = 128;
/// Tokens that need not be checked again, per thread; about 100 bytes each.
const TOKENS_KNOWN_MAX: usize = 65_536;

/// A buyer's id: from the request itself, or remembered.
#[derive(Debug, Clone)]
pub(super) enum Id<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

impl Deref for Id<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(id) => id,
            Self::Shared(id) => id,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Buyer<'a> {
    pub(super) id: Id<'a>,
    pub(super) key: BuyerKey,
}

/// Why it isn't known who asks.
pub(super) enum NotKnown {
    Problem(Problem),
    /// The shop's keys are being fetched: ask again when this changes.
    Fetching(watch::Receiver<(u64, Option<Instant>)>),
}

impl From<Problem> for NotKnown {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A token that was checked.
#[derive(Debug, Clone)]
pub(super) struct Known {
    id: Rc<str>,
    key: BuyerKey,
    until: Millis,
    generation: u64,
}

/// How one thread finds out who asks.
pub(super) enum Identifier {
    Header {
        name: String,
        from: Vec<IpNet>,
    },
    Token {
        verifier: Arc<Verifier>,
        known: Box<RefCell<Cache<u128, Known>>>,
        bad: Option<RefCell<Limiter>>,
    },
}

impl Identifier {
    pub(super) fn new(identity: &Identity, verifier: Option<&Arc<Verifier>>, bad: Option<Limiter>) -> Self {
        match (identity, verifier) {
            (Identity::TrustedHeader { name, from }, _) => Self::Header {
                name: name.clone(),
                from: from.clone(),
            },
            (Identity::Jwt { .. }, Some(verifier)) => Self::Token {
                verifier: verifier.clone(),
                known: Box::new(RefCell::new(Cache::new(TOKENS_KNOWN_MAX))),
                bad: bad.map(RefCell::new),
            },
            // Nobody is believed: it can't be, the verifier is made from the same identity.
            (Identity::Jwt { .. }, None) => Self::Header {
                name: String::new(),
                from: Vec::new(),
            },
        }
    }

    /// Who asks.
    pub(super) fn identify<'a>(
        &self,
        request: &Request<'a>,
        keys: &Keyring,
        arrival: &Arrival,
    ) -> Result<Buyer<'a>, NotKnown> {
        let (now, now_us, address) = (arrival.ms, arrival.us, arrival.address);
        match self {
            Self::Header { name, from } => {
                let vouched = from.iter().any(|net| net.contains(&arrival.client));
                Ok(by_header(request, name, vouched, keys)?)
            }
            Self::Token { verifier, known, bad } => {
                let token = bearer(request)?;
                let hash = hash(token);
                let generation = verifier.generation();
                if let Some(known) = known.borrow().get(&hash)
                    && known.generation == generation
                    && now < known.until
                {
                    return Ok(Buyer {
                        id: Id::Shared(known.id.clone()),
                        key: known.key,
                    });
                }
                let bad = bad.as_ref().zip(address);
                if bad.is_some_and(|(bad, address)| !bad.borrow().has_any(address, now_us)) {
                    return Err(Problem::TooManyRequests { wait_seconds: 1 }.into());
                }
                let checked = check(verifier, token, keys);
                if matches!(checked, Err(NotKnown::Problem(Problem::Unauthenticated(_))))
                    && let Some((bad, address)) = bad
                {
                    // Whether it was the last one is seen at the next request.
                    let _ = bad.borrow_mut().take(address, now_us);
                }
                let checked = checked?;
                known.borrow_mut().insert(hash, checked.clone());
                Ok(Buyer {
                    id: Id::Shared(checked.id),
                    key: checked.key,
                })
            }
        }
    }
}

fn by_header<'a>(
    request: &Request<'a>,
    name: &str,
    vouched: bool,
    keys: &Keyring,
) -> Result<Buyer<'a>, Problem> {
    if !vouched {
        return Err(Problem::Unauthenticated(
            "Buyers from this address are not believed.",
        ));
    }
    let value = match request.headers.get_once(name) {
        Ok(Some(value)) => value,
        Ok(None) => {
            return Err(Problem::Unauthenticated(
                "The request does not say who the buyer is.",
            ));
        }
        Err(_) => return Err(Problem::Unauthenticated("The request names more than one buyer.")),
    };
    let id = buyer_id(value).ok_or(Problem::Unauthenticated(BAD_ID))?;
    Ok(Buyer {
        id: Id::Borrowed(id),
        key: keys.buyer(id),
    })
}

fn bearer<'a>(request: &Request<'a>) -> Result<&'a str, Problem> {
    let value = match request.headers.get_once("authorization") {
        Ok(Some(value)) => value,
        Ok(None) => {
            return Err(Problem::Unauthenticated(
                "Send the shop's token: Authorization: Bearer …",
            ));
        }
        Err(_) => {
            return Err(Problem::Unauthenticated(
                "The request has more than one Authorization header.",
            ));
        }
    };
    let token = value
        .split_at_checked("Bearer ".len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .and_then(|(_, token)| std::str::from_utf8(token).ok());
    token.ok_or(Problem::Unauthenticated(
        "Send the shop's token: Authorization: Bearer …",
    ))
}

fn check(verifier: &Verifier, token: &str, keys: &Keyring) -> Result<Known, NotKnown> {
    match verifier.check(token) {
        Ok((claims, generation)) => {
            let id = buyer_id(claims.subject.as_bytes()).ok_or(Problem::Unauthenticated(BAD_ID))?;
            Ok(Known {
                id: id.into(),
                key: keys.buyer(id),
                until: claims.until,
                generation,
            })
        }
        Err(Denied::Bad(why)) => Err(Problem::Unauthenticated(why).into()),
        Err(Denied::Fetching(fetched)) => Err(NotKnown::Fetching(fetched)),
        Err(Denied::NoKeys) => Err(Problem::Busy.into()),
    }
}

const BAD_ID: &str = "A buyer's id is 1 to 128 of A-Z a-z 0-9 . _ : @ -";

fn buyer_id(bytes: &[u8]) -> Option<&str> {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-');
    if bytes.is_empty() || bytes.len() > ID_BYTES_MAX || !bytes.iter().all(allowed) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn hash(token: &str) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(token.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

/// The client's address for the limiters: IPv6 by its /64, which one client has all of.
pub(super) fn address_bits(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64 ^ 1 << 63,
    }
}
