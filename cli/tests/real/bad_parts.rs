//! Parts that can't serve a sale: each is named in one line, without its password, and nothing is left in Redis.

use crate::common::refusal::refused;
use crate::common::{Place, yaml};
use crate::servers::{ask_redis, pulsar_options, servers};
use flashsale_servers::{Aof, RealParts, RedisOptions, RedisServer, free_port};

/// The sale is refused on these parts with exactly this line; which shows no password.
async fn is_refused(code: i32, options: &[String], line: &str) -> Place {
    let place = Place::new(&yaml("small", &[("phone", 10)]));
    let mut up = place.up();
    up.arg("--trust-header").args(options);
    let ended = refused(up, code, &[line]).await;
    for secret in [
        "wrong-secret",
        "only-for-tests",
        "correct%20horse",
        "correct horse",
    ] {
        assert!(!ended.err.contains(secret), "{}", ended.err);
    }
    // At most what was decided: the sale, its parts, and its secret.
    let left = std::fs::read_dir(place.data()).into_iter().flatten();
    for file in left {
        let name = file.unwrap().file_name();
        let decided = ["sale.yaml", "sale.json", "parts.json", "payment-secret"];
        assert!(decided.iter().any(|d| *d == name), "{name:?} was left there");
    }
    place
}

fn redis(url: &str) -> [String; 2] {
    ["--redis".to_owned(), url.to_owned()]
}

/// A Redis beside Pulsar.
fn with_pulsar(parts: &RealParts, url: &str) -> Vec<String> {
    [&redis(url)[..], &pulsar_options(parts)].concat()
}

#[tokio::test]
async fn a_redis_that_nobody_answers_at_is_named() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let port = free_port().unwrap();
    let options = with_pulsar(&parts, &format!("redis://:wrong-secret@127.0.0.1:{port}"));
    let line = format!("error: can't reach Redis at 127.0.0.1:{port}: *; check that it runs*");
    let place = is_refused(1, &options, &line).await;
    assert!(
        !place.data().exists(),
        "a start that reached nobody decided something"
    );
}

#[tokio::test]
async fn a_wrong_redis_password_is_named_as_such() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let port = parts.redis[0].port();
    let options = with_pulsar(&parts, &format!("redis://:wrong-secret@127.0.0.1:{port}"));
    let line =
        format!("error: Redis at 127.0.0.1:{port} refuses the login: *; check the user and the password*");
    is_refused(1, &options, &line).await;
}

/// A Redis that is set up so is refused, and holds no key then.
async fn unfit(set_up: RedisOptions, what: &str) {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let unfit = RedisServer::start(set_up).await.unwrap();
    let line = format!(
        "error: Redis at 127.0.0.1:{} can't serve a sale: *{what}*; *",
        unfit.port()
    );
    is_refused(1, &with_pulsar(&parts, &unfit.url()), &line).await;
    assert_eq!(ask_redis(&unfit.url(), "DBSIZE").await, ":0\r\n");
}

#[tokio::test]
async fn a_redis_without_an_append_only_file_is_refused() {
    let set_up = RedisOptions {
        aof: Aof::Off,
        ..RedisOptions::default()
    };
    unfit(set_up, "append").await;
}

#[tokio::test]
async fn a_redis_that_may_evict_keys_is_refused() {
    let set_up = RedisOptions::default()
        .with("maxmemory", "100mb")
        .with("maxmemory-policy", "allkeys-lru");
    unfit(set_up, "allkeys-lru").await;
}

#[tokio::test]
async fn redis_without_an_order_log_is_refused() {
    let options = redis("redis://:wrong-secret@127.0.0.1:6379");
    let line =
        "error: shards in Redis need an order log that outlives this process: give `--pulsar URL`, too";
    let place = is_refused(1, &options, line).await;
    assert!(!place.data().exists());
}

#[tokio::test]
async fn a_pulsar_that_nobody_answers_at_is_named() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let redis = redis(&parts.redis[0].url());
    let port = free_port().unwrap();
    let broker = ["--pulsar".to_owned(), format!("pulsar://127.0.0.1:{port}")];
    let line = format!("error: can't reach Pulsar at 127.0.0.1:{port}: *; check that it runs*");
    is_refused(1, &[&redis[..], &broker].concat(), &line).await;

    let admin = format!("http://127.0.0.1:{port}");
    let api = ["--pulsar", &parts.pulsar.service_url(), "--pulsar-admin", &admin].map(str::to_owned);
    let line = format!("error: order log: *: no answer from Pulsar's admin API at {admin}*: is it up*");
    is_refused(1, &[&redis[..], &api].concat(), &line).await;
}

/// This database beside a Redis and a Pulsar that are fine is refused so.
async fn database(url: &str, parts: &RealParts, line: &str) {
    let one = RedisServer::start(RedisOptions::default()).await.unwrap();
    let options = [
        &with_pulsar(parts, &one.url())[..],
        &["--database".to_owned(), url.to_owned()],
    ]
    .concat();
    is_refused(1, &options, line).await;
    assert_eq!(ask_redis(&one.url(), "DBSIZE").await, ":0\r\n");
}

#[tokio::test]
async fn a_postgres_that_nobody_answers_at_is_named() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let port = free_port().unwrap();
    let url = format!("postgres://shop:wrong-secret@127.0.0.1:{port}/orders");
    let line = format!(
        "error: order database postgres://shop@127.0.0.1:{port}/orders: can't be reached (*): try again"
    );
    database(&url, &parts, &line).await;
}

#[tokio::test]
async fn a_wrong_postgres_password_is_named_as_such() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let port = parts.postgres.port();
    let url = format!("postgres://shop:wrong-secret@127.0.0.1:{port}/orders_0");
    let line = format!(
        "error: order database postgres://shop@127.0.0.1:{port}/orders_0: *password*: correct the user or the password*"
    );
    database(&url, &parts, &line).await;
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let line = "error: order database postgres://shop@*/nowhere: *does not exist: create the database*";
    database(&parts.postgres.url("nowhere"), &parts, line).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_named() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    parts.postgres.sql("postgres", "CREATE DATABASE newer").unwrap();
    let migrated = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
                    checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL); \
                    INSERT INTO _sqlx_migrations VALUES (9999, 'of tomorrow', now(), true, '', 1)";
    parts.postgres.sql("newer", migrated).unwrap();
    let line =
        "error: order database postgres://shop@*/newer: has schema version 9999*: use the program's version*";
    database(&parts.postgres.url("newer"), &parts, line).await;
}
