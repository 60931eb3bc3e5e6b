//! The ConfigMap that every process mounts: the sale, and a file for each role (docs/roles.md).

use super::pod::{JWKS, PAGES, RUN, SECRETS, STATE};
use super::{Context, Template, template};
use crate::api::EntryType;
use crate::canonical::yaml;
use crate::names::{ADMIN_PORT, BUYERS_PORT, LINK_PORT, REDIS_PORT};
use crate::observed::Kind;
use crate::sizing::RoomSize;
use flashsale_crds::{EffectiveBuyers, JwksSource};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long a gateway that is told to end goes on serving. Longer than it takes a cluster to send no more buyers.
pub(super) const DRAIN_SECONDS: i64 = 10;
/// The name of the file where gateways find the keys of the shop's tokens, if the sale names no key of the ConfigMap.
const JWKS_KEY: &str = "jwks.json";
/// How many of a room's sidecars watch the API server, so that one can be lost.
const CONTROL_SIDECARS: usize = 2;

/// The files that are pinned. Amendments and switches are added when it is applied.
pub(super) fn run(context: &Context<'_>) -> Template {
    let name = context.names.run();
    let mut data = BTreeMap::from([
        ("sale.yaml".to_owned(), sale(context)),
        ("sale.json".to_owned(), decided(context)),
        ("worker.yaml".to_owned(), yaml(&worker(context))),
        ("payments.yaml".to_owned(), yaml(&payments(context))),
    ]);
    for room in &context.sizes.rooms {
        data.insert(gateway_file(room), yaml(&gateway(context, room)));
        for (place, shard) in room.numbers().enumerate() {
            let file = sidecar(context, shard, place < CONTROL_SIDECARS);
            data.insert(format!("sidecar-{shard}.yaml"), yaml(&file));
        }
    }
    let map = ConfigMap {
        metadata: context.meta(&name, None),
        data: Some(data),
        ..ConfigMap::default()
    };
    template(Kind::ConfigMap, &name, &map)
}

fn sale(context: &Context<'_>) -> String {
    let names = context.names;
    yaml(&json!({
        "apiVersion": "flashsale.dev/v1alpha1",
        "kind": "FlashSale",
        "metadata": {"name": names.sale, "namespace": names.namespace},
        "spec": context.declared.spec,
    }))
}

/// What `flashsale_dataplane::data_dir::Decided` reads.
fn decided(context: &Context<'_>) -> String {
    let sale = &context.declared.effective;
    let decided = json!({
        "uid": context.names.data_plane_uid(),
        "openMs": sale.open_ms,
        "closeMs": sale.close_ms,
        "shards": sale.shards,
        "paymentTimeoutMs": sale.orders.payment_timeout.millis(),
    });
    format!("{decided:#}\n")
}

fn sidecar_at(context: &Context<'_>, room: &RoomSize, shard: u16) -> Value {
    let host = context.names.shard_host(&room.name, shard);
    json!({"address": format!("{host}:{LINK_PORT}"), "shards": [shard]})
}

fn sidecars(context: &Context<'_>, of_each_room: usize) -> Vec<Value> {
    let rooms = context.sizes.rooms.iter();
    let each = rooms.flat_map(|room| room.numbers().take(of_each_room).map(move |shard| (room, shard)));
    each.map(|(room, shard)| sidecar_at(context, room, shard))
        .collect()
}

/// The file of a room's gateways: they have to know their room, so that it can be drained.
pub(super) fn gateway_file(room: &RoomSize) -> String {
    format!("gateway-{}.yaml", room.name)
}

fn gateway(context: &Context<'_>, room: &RoomSize) -> Value {
    let redis: Vec<Value> = (0..context.sizes.shards)
        .filter_map(|shard| context.sizes.room_of(shard).map(|room| (room, shard)))
        .map(|(room, shard)| {
            let host = context.names.shard_host(&room.name, shard);
            json!({"url": format!("redis://{host}:{REDIS_PORT}")})
        })
        .collect();
    let mut file = json!({
        "sale": RUN,
        "redis": redis,
        "sidecars": sidecars(context, usize::MAX),
        "worker": format!("{}:{LINK_PORT}", context.names.worker_host()),
        "keys": keys(&["link", "tickets"], true),
        "listen": format!("0.0.0.0:{BUYERS_PORT}"),
        "admin": admin(),
        "drain": format!("{DRAIN_SECONDS}s"),
        "room": room.name,
        "pages": PAGES,
    });
    proxies(context, &mut file);
    if let Some((_, key)) = jwks(context) {
        file["jwks"] = json!(format!("{JWKS}/{key}"));
    }
    file
}

/// Whom gateways believe where a buyer is. A load balancer leaves buyers' own addresses as they are; whatever else takes
/// their calls stands in between.
fn proxies(context: &Context<'_>, file: &mut Value) {
    if context.trusted_proxies.is_empty() || context.class.entry.kind == EntryType::LoadBalancer {
        return;
    }
    // What vouches for buyers by a header has to be seen itself: looked past, nobody would be believed.
    let vouching = match &context.declared.effective.buyers {
        Some(EffectiveBuyers::TrustedHeader { from, .. }) => from.as_slice(),
        _ => &[],
    };
    let overlaps = |network: &str| {
        let network = network.parse::<IpNet>();
        let is_in = |network: &IpNet, one: &IpNet| one.contains(network) || network.contains(one);
        network.is_ok_and(|network| vouching.iter().any(|one| is_in(&network, one)))
    };
    let trusted: Vec<&String> = context
        .trusted_proxies
        .iter()
        .filter(|network| !overlaps(network))
        .collect();
    if !trusted.is_empty() {
        file["trustedProxies"] = json!(trusted);
    }
    // Everybody's connections come from a few proxies.
    file["connectionsPerPeer"] = json!(u32::MAX);
}

/// The ConfigMap with the keys of the shop's tokens, and the key in it.
pub(super) fn jwks(context: &Context<'_>) -> Option<(String, String)> {
    match &context.declared.effective.buyers {
        Some(EffectiveBuyers::Jwt {
            jwks: JwksSource::ConfigMap(map),
            ..
        }) => Some((
            map.name.clone(),
            map.key.clone().unwrap_or_else(|| JWKS_KEY.to_owned()),
        )),
        _ => None,
    }
}

fn worker(context: &Context<'_>) -> Value {
    json!({
        "sale": RUN,
        "pulsar": pulsar(context),
        "databases": databases(context),
        "sidecars": sidecars(context, usize::MAX),
        "keys": keys(&["link", "tickets"], false),
        "link": format!("0.0.0.0:{LINK_PORT}"),
        "admin": admin(),
    })
}

fn payments(context: &Context<'_>) -> Value {
    json!({
        "sale": RUN,
        "databases": databases(context),
        "sidecars": sidecars(context, CONTROL_SIDECARS),
        "keys": keys(&["link", "tickets"], true),
        "admin": admin(),
    })
}

fn sidecar(context: &Context<'_>, shard: u16, is_control: bool) -> Value {
    let names = context.names;
    let mut file = json!({
        "sale": RUN,
        "shards": [shard],
        "redis": [{"urlFile": format!("{SECRETS}/redis/sidecar-url")}],
        "pulsar": pulsar(context),
        "databases": databases(context),
        "keys": keys(&["link", "tickets"], false),
        "link": format!("0.0.0.0:{LINK_PORT}"),
        "admin": admin(),
    });
    if is_control {
        file["control"] = json!({
            "namespace": names.namespace,
            "sale": names.sale,
            "configMap": names.run(),
            "cache": format!("{STATE}/control.json"),
        });
    }
    file
}

fn admin() -> String {
    format!("0.0.0.0:{ADMIN_PORT}")
}

fn keys(signing: &[&str], payments: bool) -> Value {
    let mut all: BTreeMap<&str, String> = signing
        .iter()
        .map(|key| (*key, format!("{SECRETS}/signing/{key}")))
        .collect();
    if payments {
        all.insert("payments", format!("{SECRETS}/payments/secret"));
    }
    json!(all)
}

fn databases(context: &Context<'_>) -> Vec<Value> {
    let each = 0..context.class.databases.len();
    each.map(|index| json!({"urlFile": format!("{SECRETS}/db/{index}")}))
        .collect()
}

/// Without the admin API: the operator makes the topics, the processes only use them.
fn pulsar(context: &Context<'_>) -> Value {
    let pulsar = &context.class.order_log.pulsar;
    let mut place = json!({"url": pulsar.service_url, "tenant": pulsar.tenant});
    if context.log_file().is_some() {
        place["tokenFile"] = json!(format!("{SECRETS}/orderlog/token"));
    }
    place
}
