//! A Redis behind TLS with a certificate authority of its own.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use flashsale_core::engine::{Engine, Rules};
use flashsale_core::ids::{Epoch, OwnerId, SaleUid, ShardId};
use flashsale_redis::{BuyerShard, Options, ShardName, SidecarShard};
use flashsale_servers::{RedisOptions, RedisServer, free_port};
use std::path::Path;
use std::process::Command;

fn openssl(directory: &Path, words: &str) {
    let made = Command::new("openssl")
        .current_dir(directory)
        .args(words.split(' '))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "openssl {words}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// A certificate authority in `ca.crt`, and a certificate for this machine that it signed.
fn certificates(directory: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    std::fs::write(
        directory.join("san.cnf"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        directory,
        &format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=authority -days 2"),
    );
    openssl(
        directory,
        &format!("req {key} -keyout redis.key -out redis.csr -subj /CN=redis"),
    );
    openssl(
        directory,
        "x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out redis.crt -days 2 -extfile san.cnf",
    );
}

#[tokio::test]
async fn a_shard_behind_tls_is_served_and_an_unknown_authority_is_refused() {
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(mine.path());
    certificates(other.path());
    let port = free_port().unwrap().to_string();
    let file = |name: &str| mine.path().join(name).display().to_string();
    let options = RedisOptions::default()
        .with("tls-port", &port)
        .with("tls-cert-file", &file("redis.crt"))
        .with("tls-key-file", &file("redis.key"))
        .with("tls-ca-cert-file", &file("ca.crt"))
        .with("tls-auth-clients", "no");
    let server = RedisServer::start(options).await.unwrap();
    let url = server
        .url()
        .replace("redis://", "rediss://")
        .replace(&server.port().to_string(), &port);
    let ca = |directory: &Path| std::fs::read(directory.join("ca.crt")).ok();
    let options = Options {
        ca_pem: ca(mine.path()),
        ..Options::new(url)
    };
    let name = ShardName::new(SaleUid(5), ShardId(0));
    let mut sidecar = SidecarShard::connect(&options, name.clone()).await.unwrap();
    let rules = Rules {
        opens: 0,
        closes: 1,
        limits: vec![1],
        registered_only: false,
        registrations_max: 0,
    };
    sidecar
        .load(&Engine::new(rules), Epoch(1), OwnerId(1))
        .await
        .unwrap();
    let login = sidecar.open_gate(Epoch(1)).await.unwrap();
    let gateway = BuyerShard::connect(&options, name.clone(), &login).await.unwrap();
    assert_eq!(gateway.status().await.unwrap().state, "open");
    let wrong = Options {
        ca_pem: ca(other.path()),
        ..options
    };
    let refused = SidecarShard::connect(&wrong, name).await.unwrap_err().to_string();
    assert!(
        refused.contains(&port) && refused.contains("certificate") && !refused.contains('\n'),
        "{refused}"
    );
}
