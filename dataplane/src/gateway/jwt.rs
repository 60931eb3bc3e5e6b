//! Checking the shop's tokens.
//!
//! # Guarantees
//! - A key checks only signatures of the algorithms that it is made for: no `none`, and no public key ever taken for
//!   a shared secret.
//! - What a token says about keys (`jwk`, `jku`, `x5u`) is never looked at.

use flashsale_core::ids::Millis;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// By how much the shop's clock may differ from ours.
const LEEWAY_SECONDS: u64 = 30;
/// Keys tried for one token that names none.
const KEYS_TRIED_MAX: usize = 4;
/// Longer tokens are refused unread.
const TOKEN_BYTES_MAX: usize = 6 * 1024;
/// RSA keys shorter than that can be broken.
const RSA_BITS_MIN: usize = 2048;

/// One key of the shop.
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The shop's keys as last fetched.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// One more with each change: what was checked with an older set has to be checked again.
    pub(super) generation: u64,
}

/// What tokens must say.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) subject_claim: String,
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) subject: String,
    /// When the token ends to be good.
    pub(super) until: Millis,
}

/// Why a token isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It names a key that isn't among those last fetched.
    UnknownKey,
    /// For this reason; the text is for the buyer.
    Refused(&'static str),
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys of kinds that can't be used are left out.
    ///
    /// # Errors
    /// It is no key set, or has no key that can be used.
    pub(super) fn parse(json: &[u8], generation: u64) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(json).map_err(|e| format!("it is not JSON ({e})"))?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err("it has no list \"keys\"".to_owned());
        };
        let keys: Vec<Key> = keys.iter().filter_map(key).collect();
        if keys.is_empty() {
            return Err(
                "it has no public key for signatures (RSA of 2048 bits, P-256, P-384 or Ed25519)".to_owned(),
            );
        }
        Ok(Self { keys, generation })
    }

    /// Checks a token.
    ///
    /// # Errors
    /// Why it isn't good.
    pub(super) fn check(&self, token: &str, rules: &Rules) -> Result<Claims, Bad> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Bad::Refused("The token is too long."));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| {
            Bad::Refused("What was sent is not a token signed in a way that is accepted here.")
        })?;
        if header.crit.is_some() {
            return Err(Bad::Refused(
                "The token demands an extension that is not known here.",
            ));
        }
        let named: Vec<&Key> = self
            .keys
            .iter()
            .filter(|key| header.kid.is_none() || key.kid == header.kid)
            .collect();
        if named.is_empty() {
            return Err(Bad::UnknownKey);
        }
        let mut bad = Bad::Refused("The token's algorithm is not its key's.");
        let fitting = named
            .into_iter()
            .filter(|key| key.algorithms.contains(&header.alg));
        for key in fitting.take(KEYS_TRIED_MAX) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &rules.validation(header.alg)) {
                Ok(token) => return rules.claims(&token.claims),
                Err(error) => bad = Bad::Refused(words(error.kind())),
            }
        }
        Err(bad)
    }
}

impl Rules {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.validate_aud = !self.audiences.is_empty();
        let mut required = vec!["exp", "iss"];
        if validation.validate_aud {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn claims(&self, claims: &Map<String, Value>) -> Result<Claims, Bad> {
        let subject = claims.get(&self.subject_claim).and_then(Value::as_str);
        let until = claims.get("exp").and_then(Value::as_f64);
        match (subject, until) {
            (Some(subject), Some(until)) => Ok(Claims {
                subject: subject.to_owned(),
                until: ((until + LEEWAY_SECONDS as f64).max(0.0) * 1000.0) as Millis,
            }),
            _ => Err(Bad::Refused("The token does not say who the buyer is.")),
        }
    }
}

/// The key, if it can check signatures.
fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let made_for = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() * 6 >= RSA_BITS_MIN => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        // A shared secret has no business in a set of public keys.
        _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => made_for,
        Some(named) => made_for.into_iter().filter(|a| is_named(*a, named)).collect(),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key {
        kid: jwk.common.key_id,
        algorithms,
        key,
    })
}

fn is_named(algorithm: Algorithm, name: KeyAlgorithm) -> bool {
    name.to_string().parse() == Ok(algorithm)
}

fn words(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "The token has expired; sign in again.",
        ErrorKind::ImmatureSignature => "The token is not valid yet.",
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => {
            "The token was not made by this shop for this sale."
        }
        ErrorKind::MissingRequiredClaim(_) => {
            "The token lacks a claim that is needed here (exp, iss or aud)."
        }
        _ => "The token's signature is not right.",
    }
}
