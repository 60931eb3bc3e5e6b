//! Sales and classes as users write them.

use super::{OPEN, open};
use flashsale_crds::objects::CONTROLLER_NAME;
use flashsale_operator_core::Millis;
use flashsale_operator_core::api::{FlashSale, FlashSaleClass};
use flashsale_operator_core::observed::Settings;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

pub fn time(at: Millis) -> Time {
    let text = flashsale_operator_core::timestamp(at).to_string();
    serde_json::from_value(json!(text)).unwrap()
}

/// The least that a sale needs, in a class that says who buyers are.
pub fn sale() -> FlashSale {
    with(json!({}))
}

/// A sale with more in its spec.
pub fn with(more: Value) -> FlashSale {
    let mut object = json!({
        "metadata": {
            "name": "phone-launch", "namespace": "shop", "uid": "6e7f0c1a-51b2-4c9a-8f43-1d2e3f405162", "generation": 1,
            "resourceVersion": "1", "creationTimestamp": time(open() - 86_400_000),
        },
        "spec": {
            "openTime": OPEN, "closeTime": "2026-12-01T12:02:00Z", "currency": "EUR",
            "items": [{"id": "phone-15-black", "title": "Phone 15, black", "price": "699.00", "stock": 10000}],
        },
    });
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn base() -> Value {
    json!({
        "metadata": {
            "name": "standard", "uid": "c0ffee00-0000-4000-8000-000000000001", "generation": 4,
            "annotations": {"flashsale.dev/is-default-class": "true"},
        },
        "spec": {
            "orderLog": {"pulsar": {
                "serviceURL": "pulsar://pulsar.stores.svc:6650", "adminURL": "http://pulsar.stores.svc:8080", "tenant": "flashsale",
            }},
            "databases": [{"name": "orders", "adminSecretRef": {"name": "orders"}}],
            "entry": {"type": "Ingress", "domain": "sale.example"},
            "rooms": [{"name": "a", "zone": "zone-a"}],
            "defaults": {"buyers": {"source": "TrustedHeader", "trustedHeader": {"name": "X-Buyer-Id", "fromCIDRs": ["10.0.0.0/8"]}}},
            "policies": {"freezeBefore": "0s"},
        },
    })
}

/// A class with one room, one database, an Ingress and no storage.
pub fn class() -> FlashSaleClass {
    serde_json::from_value(base()).unwrap()
}

/// A class with one field of its spec changed.
pub fn class_with(field: &str, value: Value) -> FlashSaleClass {
    let mut class = base();
    class["spec"][field] = value;
    serde_json::from_value(class).unwrap()
}

/// A class with two rooms of different weight, two databases, tokens, storage, a Gateway, and everything said of its pods.
pub fn two_rooms() -> FlashSaleClass {
    let mut class = base();
    class["spec"]["orderLog"]["pulsar"]["adminSecretRef"] = json!({"name": "pulsar"});
    class["spec"]["databases"] = json!([
        {"name": "orders-0", "adminSecretRef": {"name": "orders-0"}},
        {"name": "orders-1", "adminSecretRef": {"name": "orders-1"}},
    ]);
    class["spec"]["rooms"] =
        json!([{"name": "east", "zone": "eu-1a", "weight": 2}, {"name": "west", "zone": "eu-1b"}]);
    class["spec"]["redis"] = json!({"image": "docker.io/library/redis:7.4.1", "storage": {"storageClassName": "fast", "size": "2Gi"}});
    class["spec"]["entry"] = json!({
        "type": "Gateway", "domain": "sale.example", "annotations": {"external-dns.alpha.kubernetes.io/ttl": "60"},
        "gateway": {"name": "sales", "namespace": "entry", "sectionName": "https"},
    });
    class["spec"]["pods"] = json!({
        "image": "registry.example/dataplane:1.4.0", "imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"pool": "sales"},
        "tolerations": [{"key": "sales", "operator": "Exists", "effect": "NoSchedule"}], "priorityClassName": "sales",
        "labels": {"team": "platform"}, "annotations": {"example.com/scrape": "true"},
        "resources": {"redis": {"cpu": "1", "memory": "2Gi"}, "gateway": {"cpu": "2"}},
    });
    serde_json::from_value(class).unwrap()
}

pub fn settings() -> Settings {
    Settings {
        operator_version: "0.1.0".to_owned(),
        operator_namespace: "flashsale-system".to_owned(),
        controller_name: CONTROLLER_NAME.to_owned(),
        data_plane_image: "docker.io/flashsale/dataplane:0.1.0".to_owned(),
        redis_image: "docker.io/library/redis:7".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        trusted_proxies: Vec::new(),
    }
}
