//! The address buyers come to, and how they prove who they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{KeyRef, NameRef, Webhook};
use crate::patterns::{DNS_SUBDOMAIN, HEADER, HTTPS_URL, OBJECT_NAME};

/// The address and pages that buyers see.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The host name; left out, `<name>.<the class' domain>`.
    #[schemars(length(max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub host: Option<String>,
    /// The Secret with the certificate.
    #[schemars(length(max = 253), regex(pattern = OBJECT_NAME))]
    pub tls_secret_name: Option<String>,
    /// The shop's own pages instead of the built-in ones: `sale.html`, `ticket.html`, and whatever they need, which stands
    /// under `/pages/`.
    pub pages_config_map_ref: Option<NameRef>,
    /// Called for each page when pages have changed, so that a CDN drops its copies.
    pub cdn_purge: Option<Webhook>,
}

/// How buyers prove who they are.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Buyers {
    /// Where a buyer's id comes from.
    pub source: BuyerSource,
    /// For source `JWT`, and needed there.
    pub jwt: Option<Jwt>,
    /// For source `TrustedHeader`, and needed there.
    pub trusted_header: Option<TrustedHeader>,
    /// A challenge that a buyer solves before the sale.
    pub challenge: Option<Challenge>,
}

/// Where a buyer's id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BuyerSource {
    /// A claim of the shop's signed token.
    #[serde(rename = "JWT")]
    Jwt,
    /// A header that a proxy in front sets.
    TrustedHeader,
}

/// The shop's tokens: exactly one of `jwksURL` and `jwksConfigMapRef` says where the keys are.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// The issuer that a token must name (`iss`).
    #[schemars(length(max = 512), regex(pattern = HTTPS_URL))]
    pub issuer: String,
    /// The audiences of which a token must name one (`aud`); left out, it isn't looked at.
    #[schemars(length(min = 1, max = 8), inner(length(max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub audiences: Option<Vec<String>>,
    /// The address of the keys.
    #[serde(rename = "jwksURL")]
    #[schemars(length(max = 512), regex(pattern = HTTPS_URL))]
    pub jwks_url: Option<String>,
    /// A ConfigMap with the keys.
    pub jwks_config_map_ref: Option<KeyRef>,
    /// The claim with the buyer's id; left out, `sub`.
    #[schemars(length(max = 64))]
    pub subject_claim: Option<String>,
}

/// A header that is believed when it comes from certain addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedHeader {
    /// The header with the buyer's id.
    #[schemars(length(max = 64), regex(pattern = HEADER))]
    pub name: String,
    /// The networks of the proxies that may set it, such as `10.0.0.0/8`.
    #[serde(rename = "fromCIDRs")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 43)), extend("x-kubernetes-list-type" = "set"))]
    pub from_cidrs: Vec<String>,
}

/// A challenge that a buyer solves before the sale.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// The site key that the provider gave.
    #[schemars(length(max = 128))]
    pub site_key: Option<String>,
    /// The provider's secret; needed for `Turnstile` and `HCaptcha`.
    pub secret_ref: Option<KeyRef>,
    /// For `ProofOfWork`: how many leading zero bits a solution has.
    #[schemars(range(min = 1, max = 32))]
    pub difficulty: Option<i32>,
}

/// The challenges there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChallengeType {
    /// None.
    None,
    /// A puzzle for the browser.
    ProofOfWork,
    /// Cloudflare Turnstile.
    Turnstile,
    /// hCaptcha.
    HCaptcha,
}
