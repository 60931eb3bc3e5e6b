//! The gate: who may call a shard. One user per epoch, made after the load; deleting it cuts its connections. Users aren't written to
//! any disk, so after a crash of Redis the data is back and the users are gone.

use crate::error::CallError;
use crate::link::Link;
use crate::names::ShardName;
use flashsale_core::ids::Epoch;
use redis::cmd;
use std::fmt;

/// What gateways log in with. Its password isn't shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user of one shard and epoch.
    pub user: String,
    /// Its password: 64 random hex digits.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The commands that the functions use inside: Redis 7 asks for the caller's right to each of them.
const INNER: &[&str] = &[
    "+hmget",
    "+time",
    "+hvals",
    "+getrange",
    "+setrange",
    "+hget",
    "+hset",
    "+llen",
    "+lrange",
    "+rpop",
    "+rpush",
    "+xadd",
    "+xlen",
    "+del",
];

/// Makes the user of `epoch`.
pub(crate) async fn create(link: &Link, name: &ShardName, epoch: Epoch) -> Result<Credentials, CallError> {
    let user = name.gateway_user(epoch);
    let password: String = link.typed(cmd("ACL").arg("GENPASS").arg(256)).await?;
    let mut set = cmd("ACL");
    set.arg("SETUSER")
        .arg(&user)
        .arg("reset")
        .arg("on")
        .arg(format!(">{password}"));
    set.arg(format!("~{}*", name.prefix())).arg("-@all").arg(INNER);
    set.arg(&[
        "+fcall|fs1_purchase",
        "+fcall|fs1_register",
        "+fcall|fs1_status",
        "+ping",
    ]);
    link.call(&set).await?;
    Ok(Credentials { user, password })
}

/// Deletes the users of all epochs up to `epoch`, which cuts their connections; returns how many there were.
pub(crate) async fn delete(link: &Link, name: &ShardName, epoch: Epoch) -> Result<usize, CallError> {
    let users: Vec<String> = link.typed(cmd("ACL").arg("USERS")).await?;
    let prefix = name.gateway_users();
    let old = |user: &&String| {
        let made = user
            .strip_prefix(&prefix)
            .and_then(|made| made.parse::<u32>().ok());
        made.is_some_and(|made| made <= epoch.0)
    };
    let users: Vec<&String> = users.iter().filter(old).collect();
    if !users.is_empty() {
        link.call(cmd("ACL").arg("DELUSER").arg(&users)).await?;
    }
    Ok(users.len())
}
