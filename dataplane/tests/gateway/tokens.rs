//! The shop's tokens, good and bad.

use crate::calls::Answer;
use crate::stand::{PHONE, Setup, Stand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::gateway::Rate;
use flashsale_dataplane::sale::Identity;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ISSUER: &str = "https://shop.example";

/// A key pair of the shop, or of somebody else.
struct Shop {
    algorithm: Algorithm,
    kid: &'static str,
    key: EncodingKey,
    jwk: Value,
    /// The public key as a byte string, to be misused.
    public: Vec<u8>,
}

impl Shop {
    fn ed25519(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let x = URL_SAFE_NO_PAD.encode(&public);
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x });
        let key = EncodingKey::from_ed_der(pkcs8.as_ref());
        Self {
            algorithm: Algorithm::EdDSA,
            kid,
            key,
            jwk,
            public,
        }
    }

    fn p256(kid: &'static str) -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&public[1..33]),
            URL_SAFE_NO_PAD.encode(&public[33..]),
        );
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y });
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        Self {
            algorithm: Algorithm::ES256,
            kid,
            key,
            jwk,
            public,
        }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        header
    }

    fn token(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }
}

fn claims(buyer: &str) -> Value {
    json!({ "iss": ISSUER, "aud": "sale", "sub": buyer, "exp": now_ms() / 1000 + 3_600 })
}

/// The claims with one of them changed; `null` takes it out.
fn with(buyer: &str, name: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    let mut claims = claims(buyer);
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    claims
}

fn key_set(keys: &[&Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn setup(jwks: &str) -> Setup {
    let mut setup = Setup::default();
    setup.sale.identity = Identity::Jwt {
        jwks: jwks.to_owned(),
        issuer: ISSUER.to_owned(),
        audiences: vec!["sale".to_owned()],
        subject_claim: "sub".to_owned(),
    };
    setup
}

/// A file with these keys, for a test's time.
fn file(keys: &[&Value]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key_set(keys)).unwrap();
    file
}

async fn buy(stand: &Stand, token: &str) -> Answer {
    Answer::of(stand.purchase("", PHONE, 1).bearer_auth(token)).await
}

fn rsa() -> Value {
    serde_json::from_str(include_str!("rsa.json")).unwrap()
}

#[tokio::test]
async fn good_tokens_of_every_usual_kind_are_believed() {
    let (ed, ec, rsa) = (Shop::ed25519("ed"), Shop::p256("ec"), rsa());
    let file = file(&[
        &json!({ "kty": "from the future" }),
        &ed.jwk,
        &ec.jwk,
        &rsa["jwk"],
    ]);
    let stand = Stand::start(setup(file.path().to_str().unwrap())).await;
    let first = buy(&stand, rsa["token"].as_str().unwrap()).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(stand.number(first.ticket(), "alice").quantity, 1);
    // The same buyer by another token, and by the same one from memory.
    for token in [
        ed.token(&claims("alice")),
        ec.token(&claims("alice")),
        ec.token(&claims("alice")),
    ] {
        assert_eq!(buy(&stand, &token).await.ticket(), first.ticket());
    }
    assert_eq!(buy(&stand, &ec.token(&claims("bob"))).await.status, 202);
    let header = stand.purchase("alice", PHONE, 1).send().await.unwrap();
    assert_eq!(header.status(), 401, "a plain header is not believed");
}

#[tokio::test]
async fn bad_tokens_are_refused_whatever_is_wrong_with_them() {
    let (shop, ec, mallory) = (Shop::ed25519("a"), Shop::p256("b"), Shop::ed25519("a"));
    let file = file(&[&shop.jwk, &ec.jwk]);
    let mut setup = setup(file.path().to_str().unwrap());
    setup.options.limits.bad_tokens_per_address = None;
    let stand = Stand::start(setup).await;
    let now = now_ms() / 1000;
    let good = shop.token(&claims("alice"));
    let parts: Vec<&str> = good.split('.').collect();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = part(json!({ "alg": "none", "kid": "a" }));
    let signed_as_shared_secret = |public: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("a".to_owned());
        encode(&header, &claims("alice"), &EncodingKey::from_secret(public)).unwrap()
    };
    let own_key = {
        let mut header = mallory.header();
        header.jwk = serde_json::from_value(mallory.jwk.clone()).unwrap();
        encode(&header, &claims("alice"), &mallory.key).unwrap()
    };
    let other_kind = {
        let mut header = ec.header();
        header.kid = Some("a".to_owned());
        encode(&header, &claims("alice"), &ec.key).unwrap()
    };
    let demanding = {
        let mut header = shop.header();
        header.crit = Some(vec!["exp".to_owned()]);
        encode(&header, &claims("alice"), &shop.key).unwrap()
    };
    let bad = [
        ("nothing", String::new()),
        ("no token", "abc".to_owned()),
        ("alg none", format!("{none}.{}.", parts[1])),
        (
            "alg none with a signature",
            format!("{none}.{}.{}", parts[1], parts[2]),
        ),
        (
            "public key as shared secret",
            signed_as_shared_secret(&shop.public),
        ),
        (
            "public key's text as shared secret",
            signed_as_shared_secret(shop.jwk["x"].as_str().unwrap().as_bytes()),
        ),
        (
            "somebody else's key of that name",
            mallory.token(&claims("alice")),
        ),
        ("a key that it brings along", own_key),
        ("another of our keys", other_kind),
        ("an unknown demand", demanding),
        (
            "other claims",
            format!("{}.{}.{}", parts[0], part(claims("bob")), parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("expired", shop.token(&with("alice", "exp", json!(now - 60)))),
        ("no expiry", shop.token(&with("alice", "exp", Value::Null))),
        (
            "expiry as text",
            shop.token(&with("alice", "exp", json!("never"))),
        ),
        (
            "not yet valid",
            shop.token(&with("alice", "nbf", json!(now + 600))),
        ),
        (
            "foreign issuer",
            shop.token(&with("alice", "iss", json!("https://evil.example"))),
        ),
        ("no issuer", shop.token(&with("alice", "iss", Value::Null))),
        (
            "foreign audience",
            shop.token(&with("alice", "aud", json!(["other"]))),
        ),
        ("no audience", shop.token(&with("alice", "aud", Value::Null))),
        ("no subject", shop.token(&with("alice", "sub", Value::Null))),
        ("a number as subject", shop.token(&with("alice", "sub", json!(7)))),
        ("braces in the subject", shop.token(&claims("{alice}"))),
        ("a line end in the subject", shop.token(&claims("alice\r\nX: y"))),
        ("a long subject", shop.token(&claims(&"a".repeat(129)))),
    ];
    for (what, token) in bad {
        assert_eq!(
            buy(&stand, &token).await.problem(),
            (401, "unauthenticated"),
            "{what}"
        );
    }
    let twice = stand
        .purchase("", PHONE, 1)
        .header("Authorization", format!("Bearer {good}"));
    let twice = Answer::of(twice.header("Authorization", format!("Bearer {good}"))).await;
    assert_eq!(twice.problem(), (401, "unauthenticated"));
    let basic = stand
        .purchase("", PHONE, 1)
        .header("Authorization", format!("Basic {good}"));
    assert_eq!(Answer::of(basic).await.problem(), (401, "unauthenticated"));
    assert_eq!(buy(&stand, &good).await.status, 202, "and the good one is good");
}

#[tokio::test]
async fn a_token_that_was_good_is_refused_once_it_expires() {
    let shop = Shop::ed25519("a");
    let file = file(&[&shop.jwk]);
    let stand = Stand::start(setup(file.path().to_str().unwrap())).await;
    // Half a minute's difference between clocks is forgiven; this ends two seconds from now.
    let token = shop.token(&with("alice", "exp", json!(now_ms() / 1000 - 28)));
    assert_eq!(buy(&stand, &token).await.status, 202);
    let refused = async {
        while buy(&stand, &token).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused)
        .await
        .expect("refused from memory, too");
}

#[tokio::test]
async fn a_revoked_key_is_refused_after_the_next_refresh() {
    let (old, new) = (Shop::ed25519("old"), Shop::ed25519("new"));
    let file = file(&[&old.jwk, &new.jwk]);
    let mut setup = setup(file.path().to_str().unwrap());
    setup.options.jwks_refresh = Duration::from_millis(50);
    setup.options.limits.per_buyer = None;
    let stand = Stand::start(setup).await;
    let token = old.token(&claims("alice"));
    assert_eq!(buy(&stand, &token).await.status, 202);
    std::fs::write(file.path(), key_set(&[&new.jwk])).unwrap();
    let refused = async {
        while buy(&stand, &token).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused)
        .await
        .expect("refused though it was remembered");
    assert_eq!(buy(&stand, &new.token(&claims("alice"))).await.status, 200);
}

/// Serves what `keys` holds, and counts how often it is asked.
async fn key_server(keys: Arc<Mutex<String>>, asked: Arc<AtomicUsize>) -> String {
    let answer = move || {
        asked.fetch_add(1, Ordering::Relaxed);
        let keys = keys.lock().unwrap().clone();
        async move { keys }
    };
    let router = axum::Router::new().route("/jwks.json", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_first_seen_but_not_for_each_unknown_one() {
    let (old, new) = (Shop::ed25519("old"), Shop::ed25519("new"));
    let (keys, asked) = (
        Arc::new(Mutex::new(key_set(&[&old.jwk]))),
        Arc::new(AtomicUsize::new(0)),
    );
    let url = key_server(keys.clone(), asked.clone()).await;
    let stand = Stand::start(setup(&url)).await;
    // The keys may still be on their way: then the first request waits for them.
    assert_eq!(buy(&stand, &old.token(&claims("alice"))).await.status, 202);
    *keys.lock().unwrap() = key_set(&[&old.jwk, &new.jwk]);
    let accepted = async {
        // Fetches have a gap of five seconds.
        while buy(&stand, &new.token(&claims("bob"))).await.status == 401 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), accepted)
        .await
        .expect("the new key");
    let before = asked.load(Ordering::Relaxed);
    for i in 0..20 {
        let stranger = Shop::ed25519(["x", "y", "z"][i % 3]);
        assert_eq!(
            buy(&stand, &stranger.token(&claims("eve"))).await.problem(),
            (401, "unauthenticated")
        );
    }
    assert!(asked.load(Ordering::Relaxed) <= before + 1);
}

#[tokio::test]
async fn without_keys_nobody_is_called_a_stranger() {
    let stand = Stand::start(setup("http://127.0.0.1:9/jwks.json")).await;
    let answer = buy(&stand, &Shop::ed25519("a").token(&claims("alice"))).await;
    assert_eq!(answer.problem(), (503, "busy"));
}

#[tokio::test]
async fn an_address_that_sends_bad_tokens_is_slowed_down_but_not_those_known_behind_it() {
    let (shop, mallory) = (Shop::ed25519("a"), Shop::ed25519("a"));
    let file = file(&[&shop.jwk]);
    let mut setup = setup(file.path().to_str().unwrap());
    setup.options.limits.limit_loopback = true;
    setup.options.limits.bad_tokens_per_address = Some(Rate {
        per_second: 1,
        burst: 5,
    });
    let stand = Stand::start(setup).await;
    let good = shop.token(&claims("alice"));
    assert_eq!(buy(&stand, &good).await.status, 202);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(buy(&stand, &mallory.token(&claims("alice"))).await.status);
    }
    assert_eq!((statuses[..5].to_vec(), statuses[7]), (vec![401; 5], 429));
    assert_eq!(buy(&stand, &good).await.status, 200);
}
