//! How buyers prove who they are, complete.

use ipnet::IpNet;

use crate::{
    defaults::{EmbeddedDefaults, Fill, Filled},
    sale::{BuyerSource, Buyers, Jwt, KeyRef},
};

/// How buyers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectiveBuyers {
    /// By the shop's signed token.
    Jwt {
        /// The issuer that a token must name (`iss`).
        issuer: String,
        /// The audiences of which a token must name one (`aud`); empty: not looked at.
        audiences: Vec<String>,
        /// Where the keys are.
        jwks: JwksSource,
        /// The claim with the buyer's id.
        subject_claim: String,
    },
    /// By a header, when the request comes from one of the networks.
    TrustedHeader {
        /// The header.
        name: String,
        /// The networks; never empty.
        from: Vec<IpNet>,
    },
}

/// Where the keys for the shop's tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// Behind an address, which may rotate them.
    Url(String),
    /// In a ConfigMap; a single process needs them as a file instead.
    ConfigMap(KeyRef),
}

impl EffectiveBuyers {
    /// For development: the header `X-Buyer-Id` of whoever connects from this machine is believed.
    pub fn development() -> Self {
        let loopback = [
            IpNet::new_assert(std::net::Ipv4Addr::LOCALHOST.into(), 8).trunc(),
            IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
        ];
        Self::TrustedHeader {
            name: "X-Buyer-Id".to_owned(),
            from: loopback.to_vec(),
        }
    }
}

/// The sale's own way, or the default one.
pub(super) fn effective(
    given: Option<&Buyers>,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> Option<EffectiveBuyers> {
    let Some(given) = given else {
        if let Some(default) = &defaults.buyers {
            let value = match default {
                EffectiveBuyers::Jwt { .. } => "JWT".to_owned(),
                EffectiveBuyers::TrustedHeader { name, .. } => format!("TrustedHeader ({name})"),
            };
            let why = "how this process was started".to_owned();
            fill.0.push(Filled {
                path: "spec.buyers.source".to_owned(),
                value,
                why,
            });
        }
        return defaults.buyers.clone();
    };
    match given.source {
        BuyerSource::Jwt => given.jwt.as_ref().and_then(|given| jwt(given, fill)),
        BuyerSource::TrustedHeader => {
            given
                .trusted_header
                .as_ref()
                .map(|header| EffectiveBuyers::TrustedHeader {
                    name: header.name.clone(),
                    // All of them parse: the rules across fields were checked before.
                    from: header
                        .from_cidrs
                        .iter()
                        .filter_map(|network| network.parse().ok())
                        .collect(),
                })
        }
    }
}

fn jwt(given: &Jwt, fill: &mut Fill) -> Option<EffectiveBuyers> {
    let jwks = match (&given.jwks_url, &given.jwks_config_map_ref) {
        (Some(url), _) => JwksSource::Url(url.clone()),
        (None, Some(reference)) => JwksSource::ConfigMap(reference.clone()),
        (None, None) => return None,
    };
    let subject_claim = fill.or(
        given.subject_claim.clone(),
        "spec.buyers.jwt.subjectClaim",
        "sub".to_owned(),
        String::clone,
        "the claim that RFC 7519 has for it",
    );
    let audiences = given.audiences.clone().unwrap_or_default();
    Some(EffectiveBuyers::Jwt {
        issuer: given.issuer.clone(),
        audiences,
        jwks,
        subject_claim,
    })
}
