//! The objects of a default sale, and of one over two rooms that uses all that a class can say.

#![allow(clippy::unwrap_used)]

mod world;

use flashsale_operator_core::Step;
use flashsale_operator_core::api::{FlashSaleClass, Phase};
use flashsale_operator_core::canonical::yaml;
use flashsale_operator_core::minted::SecretEntry;
use flashsale_operator_core::observed::Kind;
use serde_json::{Value, json};
use std::fmt::Write as _;
use world::{Pace, World, class, class_with, sale, two_rooms, with};

/// Everything that is made for a sale up to its arming, in the order in which it is.
fn rendered(mut world: World) -> String {
    let mut out = String::new();
    while world.phase() != Phase::Armed {
        let planned = world.look(Pace::Whole);
        for step in &planned.steps {
            match step {
                Step::PinRevision(object) | Step::Apply(object) => {
                    let mut object = object.object.clone();
                    if !object["data"]["templates"].is_null() {
                        // They are what is applied below.
                        object["data"]["templates"] = json!("…");
                    }
                    let _ = write!(out, "--- # {step}\n{}", yaml(&object));
                }
                Step::WriteSecret(secret) => {
                    let entries = secret.entries.iter().map(|(key, entry)| match entry {
                        SecretEntry::Text(text) => (
                            key.clone(),
                            json!(text.reveal().replace(&"07".repeat(32), "PASSWORD")),
                        ),
                        other => (key.clone(), json!(format!("{other:?}"))),
                    });
                    let mut object = secret.object.clone();
                    object["stringData"] = Value::Object(entries.collect());
                    let _ = write!(out, "--- # {step}\n{}", yaml(&object));
                }
                other => {
                    let _ = writeln!(out, "--- # {other}");
                }
            }
        }
        world.happen();
        world.now += 1_000;
    }
    out
}

fn soon(world: World) -> World {
    World {
        now: world::open() - 30 * 60_000,
        ..world
    }
}

#[test]
fn a_default_sale() {
    insta::assert_snapshot!("default-sale", rendered(soon(World::new(sale(), class()))));
}

#[test]
fn a_sale_over_two_rooms() {
    let sale = with(json!({
        "items": [
            {"id": "shoe-42", "title": "Shoe, 42", "price": "120.00", "stock": 80000, "limitPerBuyer": 2},
            {"id": "shoe-43", "title": "Shoe, 43", "price": "120.00", "stock": 70000},
        ],
        "buyers": {"source": "JWT", "jwt": {"issuer": "https://id.example", "jwksConfigMapRef": {"name": "keys"}}},
        "payments": {"callbackSecretRef": {"name": "psp"}},
        "registration": {"openTime": "2026-12-01T11:40:00Z", "mode": "Required"},
        "dataPlane": {"shards": 3, "gateways": {"replicas": 4}},
    }));
    let world = World::new(sale, two_rooms());
    insta::assert_snapshot!("two-rooms", rendered(soon(world)));
}

/// The gateways' files of a sale in a class, with an operator that is told of these proxies: room by room.
fn gateway_files(more: Value, class: FlashSaleClass, proxies: &[&str]) -> Vec<String> {
    let mut world = World::new(with(more), class);
    world.settings.trusted_proxies = proxies.iter().map(|&proxy| proxy.to_owned()).collect();
    world.until(Phase::Armed, Pace::Whole);
    let run = &world.objects[&(Kind::ConfigMap, "phone-launch-run".to_owned())].body["data"];
    let mut files = Vec::new();
    for ((kind, name), object) in &world.objects {
        let room = name.strip_prefix("phone-launch-gateway-");
        let Some(room) = room.filter(|_| *kind == Kind::Deployment) else {
            continue;
        };
        let args = &object.body["spec"]["template"]["spec"]["containers"][0]["args"];
        let file = format!("gateway-{room}.yaml");
        assert_eq!(args[2], format!("/etc/flashsale/run/{file}"));
        let told = run[&file].as_str().unwrap().to_owned();
        assert!(
            says(&told, &json!({"room": room})),
            "so that rooms.drained finds it: {told}"
        );
        files.push(told);
    }
    files
}

/// Whether a file has these fields.
fn says(file: &str, fields: &Value) -> bool {
    file.contains(&yaml(fields))
}

fn any_number_of_connections() -> Value {
    json!({"connectionsPerPeer": u32::MAX})
}

#[test]
fn each_gateway_is_told_its_room_and_the_proxies_in_front_of_it() {
    let jwt = json!({"buyers": {"source": "JWT", "jwt": {"issuer": "https://id.example", "jwksURL": "https://id.example/jwks"}}});
    let proxies = ["10.2.0.0/16", "fd00::7/128"];
    let files = gateway_files(jwt.clone(), two_rooms(), &proxies);
    assert_eq!(files.len(), 2);
    for file in &files {
        assert!(says(file, &json!({"trustedProxies": proxies})), "{file}");
        assert!(says(file, &any_number_of_connections()), "{file}");
    }
    // Nobody is believed by default, and a load balancer leaves addresses as they are.
    let balancer = class_with("entry", json!({"type": "LoadBalancer", "domain": "sale.example"}));
    for (class, proxies) in [(class(), &[][..]), (balancer, &proxies)] {
        let file = gateway_files(jwt.clone(), class, proxies).remove(0);
        assert!(
            !file.contains("trustedProxies") && !file.contains("connectionsPerPeer"),
            "{file}"
        );
    }
}

#[test]
fn a_proxy_that_vouches_for_buyers_by_a_header_is_not_looked_past() {
    // The class' buyers are whom a proxy in 10.0.0.0/8 names.
    for (proxies, told) in [
        (&["192.0.2.0/24", "10.2.0.0/16"][..], Some("192.0.2.0/24")),
        (&["0.0.0.0/1"], None),
        (&["10.9.9.9/32"], None),
    ] {
        let file = gateway_files(json!({}), class(), proxies).remove(0);
        match told {
            Some(told) => assert!(
                says(
                    &file,
                    &json!({"trustedProxies": [told], "worker": "phone-launch-worker.shop.svc:7700"})
                ),
                "{file}"
            ),
            None => assert!(!file.contains("trustedProxies"), "{file}"),
        }
        assert!(says(&file, &any_number_of_connections()), "{file}");
    }
}

#[test]
fn other_proxies_reach_a_sale_until_its_stock_is_loaded_and_then_leave_its_pods_alone() {
    let mut world = World::new(sale(), class());
    world.broken.pods = true;
    world.until(Phase::Provisioning, Pace::Whole);
    world.rest(Pace::Whole);
    let pinned = world.revisions.len();
    world.settings.trusted_proxies = vec!["192.0.2.0/24".to_owned()];
    world.rest(Pace::Whole);
    assert_eq!(world.revisions.len(), pinned + 1);
    world.broken.pods = false;
    world.until(Phase::Armed, Pace::Whole);
    let (pinned, before) = (world.revisions.len(), world.objects.clone());
    world.settings.trusted_proxies = Vec::new();
    world.rest(Pace::Whole);
    assert_eq!((world.revisions.len(), &world.objects), (pinned, &before));
    assert_eq!(
        world.condition("UpgradePending"),
        ("True".into(), "Pinned".into())
    );
}

/// What the restricted level of Pod Security asks of a pod, and what of ours goes beyond it.
fn check_pod(name: &str, pod: &Value) {
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
        "{name}"
    );
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    let allowed = [
        "configMap",
        "emptyDir",
        "projected",
        "secret",
        "persistentVolumeClaim",
        "name",
    ];
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(
            volume
                .as_object()
                .unwrap()
                .keys()
                .all(|kind| allowed.contains(&kind.as_str())),
            "{name}: {volume}"
        );
    }
    for container in pod["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let has_token = mounts.iter().any(|mount| mount["name"] == "token");
        assert_eq!(
            has_token,
            container["name"] == "sidecar",
            "{name}: the token is for sidecars alone"
        );
        let env = container["env"].as_array().cloned().unwrap_or_default();
        assert!(
            env.iter().all(|env| env["value"].is_null()),
            "{name}: nothing in the environment"
        );
        assert!(!container["resources"]["requests"]["memory"].is_null(), "{name}");
    }
}

#[test]
fn every_pod_runs_under_restricted_pod_security_and_holds_no_secret_in_the_open() {
    for class in [class(), two_rooms()] {
        let mut world = World::new(sale(), class);
        world.until(Phase::Armed, Pace::Whole);
        let mut pods = 0;
        for ((kind, name), object) in &world.objects {
            let pod = &object.body["spec"]["template"]["spec"];
            if !pod.is_null() {
                pods += 1;
                check_pod(name, pod);
            }
            let text = object.body.to_string();
            assert!(!text.contains("0707070707"), "{kind} {name} holds a secret");
        }
        assert!(pods >= 4);
    }
}
