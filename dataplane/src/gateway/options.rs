//! What a gateway is told at its start.

use ipnet::IpNet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A text that must not be seen.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// How often somebody may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run; 1 to 1,000,000.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// The bounds on what one buyer or address may ask. They hold per thread of the server: whoever spreads requests
/// over connections on all threads gets as many times as much.
#[derive(Debug, Clone)]
pub struct GatewayLimits {
    /// Requests of one buyer, where the sale sets no other rate; `None` is no limit.
    pub per_buyer: Option<Rate>,
    /// Requests from one address (IPv6: one /64), which may stand for very many buyers behind one router; `None`
    /// is no limit.
    pub per_address: Option<Rate>,
    /// Tokens from one address that turn out to be bad: checking one costs far more than refusing a request.
    pub bad_tokens_per_address: Option<Rate>,
    /// Whether addresses of this machine are limited too.
    pub limit_loopback: bool,
    /// The proxies that tell the client's address in `X-Forwarded-For`; nobody else is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Purchases that wait in one thread, for the host or for their turn; one more is answered "busy".
    pub waiting_purchases_max: usize,
    /// Open event streams of one thread; one more is answered "busy".
    pub event_streams_max: usize,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        let rate = |per_second, burst| Some(Rate { per_second, burst });
        Self {
            per_buyer: rate(20, 40),
            per_address: rate(20_000, 40_000),
            bad_tokens_per_address: rate(50, 200),
            limit_loopback: false,
            trusted_proxies: Vec::new(),
            waiting_purchases_max: 65_536,
            event_streams_max: 200_000,
        }
    }
}

/// What a gateway is told at its start, beside the sale itself.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Signs tickets and entitlements; at least 16 random bytes, the same for all gateways of a sale and after
    /// restarts.
    pub ticket_secret: Secret,
    /// Shared with the payment provider; at least 16 random bytes.
    pub payment_secret: Secret,
    /// Whether buyers may pay their own orders without a payment provider. Development only.
    pub dev_pay: bool,
    /// How often the shop's keys are fetched anew: a revoked key is honoured no longer than that.
    pub jwks_refresh: Duration,
    /// The bounds.
    pub limits: GatewayLimits,
}

impl GatewayOptions {
    /// Options with the default bounds.
    #[must_use]
    pub fn new(ticket_secret: Secret, payment_secret: Secret) -> Self {
        Self {
            ticket_secret,
            payment_secret,
            dev_pay: false,
            jwks_refresh: Duration::from_secs(60),
            limits: GatewayLimits::default(),
        }
    }
}

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A secret could be guessed.
    #[error("the {what} secret has {bytes} bytes: give it at least 16 random ones")]
    WeakSecret {
        /// Which one.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The file with the shop's keys can't be used.
    #[error("{path}: {problem}; write the shop's JSON Web Key Set there, or give its URL")]
    Jwks {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system gave no thread.
    #[error("can't start the thread that fetches the shop's keys: {0}")]
    Thread(#[from] std::io::Error),
}
