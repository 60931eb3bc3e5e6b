//! The Redis of a shard: its configuration, with the only user that it starts with.

use super::secrets::text;
use crate::api::FlashSaleClassSpec;
use crate::minted::{SecretEntry, SecretText};
use crate::names::REDIS_PORT;

/// Memory of Redis where the class says nothing.
pub(super) const MEMORY: &str = "512Mi";
/// Of its memory, how much Redis may fill; the rest is for its rewrites and connections.
const DATA_PERCENT: u64 = 75;
/// The user of the sidecar; those of gateways are made by the sidecar, for each epoch.
const USER: &str = "sidecar";

/// `redis.conf` and the sidecar's address.
pub(super) fn entries(class: &FlashSaleClassSpec, password: &SecretText) -> Vec<(String, SecretEntry)> {
    let password = password.reveal();
    let resources = class.pods.as_ref().and_then(|pods| pods.resources.as_ref());
    let memory = resources
        .and_then(|all| all.redis.as_ref())
        .and_then(|redis| redis.memory.as_deref());
    let bytes = bytes(memory.unwrap_or(MEMORY)) * DATA_PERCENT / 100;
    // Nobody but the sidecar gets in until it has compared Redis with the log: users are made by it and never saved,
    // so every start of Redis is closed. Evicting anything would lose units, so writes fail instead.
    let conf = format!(
        "port {REDIS_PORT}\n\
         bind * -::*\n\
         protected-mode no\n\
         dir /data\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory {bytes}\n\
         maxmemory-policy noeviction\n\
         tcp-keepalive 60\n\
         user default reset\n\
         user {USER} on >{password} ~* &* +@all\n"
    );
    let url = format!("redis://{USER}:{password}@127.0.0.1:{REDIS_PORT}");
    vec![
        ("redis.conf".to_owned(), text(conf)),
        ("sidecar-url".to_owned(), text(url)),
    ]
}

/// A size such as `512Mi` in bytes; the schema knows only these units.
fn bytes(size: &str) -> u64 {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &size[digits.len()..] {
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_binary() {
        assert_eq!(
            [bytes("512Mi"), bytes("2Gi"), bytes("7")],
            [512 << 20, 2 << 30, 7]
        );
    }
}
