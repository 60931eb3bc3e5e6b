//! The servers of all tests of this program, started by the first one and gone with the last.

use flashsale_servers::{Counts, RealParts};
use std::sync::{Arc, Weak};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, RwLock};

/// Redis servers; with eight shards, each holds two.
pub(crate) const REDIS: usize = 4;
/// Databases in the PostgreSQL.
pub(crate) const DATABASES: usize = 4;

static SERVERS: Mutex<Weak<Servers>> = Mutex::const_new(Weak::new());

/// Real parts.
pub(crate) struct Servers {
    /// To read: other tests use them at the same time. To write: nobody else does.
    // Before the directory, so that the servers are gone first.
    pub(crate) parts: RwLock<RealParts>,
    _dir: tempfile::TempDir,
}

/// The servers, which run as long as anybody holds them.
pub(crate) async fn servers() -> Arc<Servers> {
    let mut shared = SERVERS.lock().await;
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let dir = tempfile::Builder::new()
        .prefix("flashsale-test-")
        .tempdir()
        .unwrap();
    let counts = Counts {
        redis: REDIS,
        databases: DATABASES,
    };
    let parts = RealParts::start(dir.path(), counts).await.unwrap();
    let started = Arc::new(Servers {
        parts: RwLock::new(parts),
        _dir: dir,
    });
    *shared = Arc::downgrade(&started);
    started
}

/// The options of `flashsale` that name all Redis, Pulsar and the first so many databases.
pub(crate) fn options(parts: &RealParts, databases: usize) -> Vec<String> {
    let redis: Vec<String> = parts
        .redis
        .iter()
        .map(flashsale_servers::RedisServer::url)
        .collect();
    let mut options = vec!["--redis".to_owned(), redis.join(",")];
    options.extend(pulsar_options(parts));
    for n in 0..databases {
        options.extend([
            "--database".to_owned(),
            parts.postgres.url(&format!("orders_{n}")),
        ]);
    }
    options
}

/// The options that name Pulsar.
pub(crate) fn pulsar_options(parts: &RealParts) -> [String; 4] {
    [
        "--pulsar".to_owned(),
        parts.pulsar.service_url(),
        "--pulsar-admin".to_owned(),
        parts.pulsar.admin_url(),
    ]
}

/// What the Redis at `url` (with a password, without a user) answers to one command.
pub(crate) async fn ask_redis(url: &str, command: &str) -> String {
    let (password, address) = url.trim_start_matches("redis://:").split_once('@').unwrap();
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.unwrap_or_else(|e| panic!("Redis at {address}: {e}"));
    let lines = format!("AUTH {password}\r\n{command}\r\nQUIT\r\n");
    stream.write_all(lines.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let answer = answer.strip_prefix("+OK\r\n").expect("it lets us in");
    answer.strip_suffix("+OK\r\n").unwrap_or(answer).to_owned()
}
