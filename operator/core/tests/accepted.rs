//! Which sales are accepted, and what is said of those that aren't.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod world;

use flashsale_operator_core::api::Phase;
use flashsale_operator_core::observed::{HostClaim, Kind, Observed};
use flashsale_operator_core::{Plan, plan};
use serde_json::json;
use world::{World, class, class_with, open, sale, two_rooms, with};

fn said(planned: &Plan) -> (String, String) {
    let accepted = planned
        .status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Accepted");
    accepted
        .map(|accepted| (accepted.reason.clone(), accepted.message.clone()))
        .unwrap_or_default()
}

/// Plans at the time at which the sale would be provisioned.
fn look(change: impl FnOnce(&mut Observed)) -> Plan {
    let world = World {
        now: open() - 60 * 60_000,
        ..World::new(sale(), class())
    };
    let mut seen = world.observe();
    change(&mut seen);
    plan(&seen, world.now)
}

fn refused(reason: &str, part: &str, change: impl FnOnce(&mut Observed)) {
    let planned = look(change);
    let (found, message) = said(&planned);
    assert_eq!(found, reason, "{message}");
    assert!(message.contains(part), "{message}");
    assert!(planned.steps.is_empty(), "{:?}", planned.steps);
    assert_eq!(planned.status.phase, Some(Phase::Pending));
    assert_eq!(planned.look_again.as_secs(), 300);
}

#[test]
fn an_accepted_sale_is_begun() {
    let planned = look(|_| {});
    assert_eq!(said(&planned).0, "Accepted");
    assert!(!planned.steps.is_empty());
}

#[test]
fn each_reason_names_what_is_wrong_and_what_to_do() {
    refused("ClassNotFound", "kubectl get flashsaleclasses", |seen| {
        seen.sale.spec.class_name = Some("gold".to_owned());
    });
    refused("ClassNotFound", "kubectl annotate flashsaleclass", |seen| {
        seen.classes.clear()
    });
    refused("AmbiguousDefaultClass", "standard", |seen| {
        let mut other = seen.classes[0].clone();
        other.metadata.name = Some("express".to_owned());
        seen.classes.push(other);
    });
    refused(
        "NamespaceNotEnabled",
        "kubectl -n shop create rolebinding",
        |seen| seen.namespace.enabled = false,
    );
    refused("NamespaceNotAllowed", "allowedNamespaces", |seen| {
        let team = json!({"from": "Selector", "selector": {"matchLabels": {"team": "sales"}}});
        seen.classes = vec![class_with("allowedNamespaces", team)];
    });
    refused(
        "LimitExceeded",
        "10000 is more than class standard allows (5000)",
        |seen| {
            seen.classes = vec![class_with("limits", json!({"stockPerSale": 5000}))];
        },
    );
    refused("LimitExceeded", "settle first", |seen| {
        seen.classes = vec![class_with("limits", json!({"concurrentSales": 2}))];
        seen.others.sales_of_class = 2;
    });
    refused("LimitExceeded", "spec.entry.host: shop.example", |seen| {
        seen.sale.spec.entry = Some(serde_json::from_value(json!({"host": "shop.example"})).unwrap());
    });
    refused("NameTaken", "ConfigMap phone-launch-run", |seen| {
        seen.foreign
            .push((Kind::ConfigMap, "phone-launch-run".to_owned()));
    });
    refused("SpecInvalid", "spec.buyers", |seen| {
        seen.classes = vec![class_with("defaults", json!({}))];
    });
    refused("SpecInvalid", "no room \"north\"", |seen| {
        seen.sale.spec.data_plane = Some(serde_json::from_value(json!({"rooms": ["north"]})).unwrap());
    });
}

fn claim(created: u64, name: &str, claimed: bool) -> HostClaim {
    HostClaim {
        host: "phone-launch.sale.example".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        created,
        claimed,
    }
}

#[test]
fn of_two_sales_that_want_a_host_the_older_gets_it_and_of_equals_the_first_by_name() {
    let own = open() - 86_400_000;
    refused("HostConflict", "shop/earlier", |seen| {
        seen.others.hosts.push(claim(own - 1, "earlier", false))
    });
    refused("HostConflict", "shop/a", |seen| {
        seen.others.hosts.push(claim(own, "a", false))
    });
    refused("HostConflict", "shop/z", |seen| {
        seen.others.hosts.push(claim(own + 9, "z", true))
    });
    let planned = look(|seen| {
        seen.others
            .hosts
            .extend([claim(own, "z", false), claim(own + 1, "later", false)])
    });
    assert_eq!(said(&planned).0, "Accepted");
}

#[test]
fn a_sale_of_another_operator_is_left_alone() {
    let mut other = class();
    other.spec.controller_name = Some("example.com/other".to_owned());
    let world = World::new(with(json!({"className": "standard"})), other);
    let planned = plan(&world.observe(), open());
    assert!(
        planned.steps.is_empty() && planned.status.conditions.is_empty() && planned.status.phase.is_none()
    );
}

#[test]
fn what_a_sale_leaves_open_is_shown_with_its_source() {
    let planned = look(|_| {});
    let shown: Vec<String> = planned
        .status
        .effective
        .iter()
        .map(|e| format!("{}={} ({})", e.field, e.value, e.source))
        .collect();
    assert!(
        shown.contains(&"buyers.source=TrustedHeader (class)".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"orders.paymentTimeout=15m (operator)".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"dataPlane.shards=1 (operator)".to_owned()),
        "{shown:?}"
    );
}

#[test]
fn size_follows_from_stock_rooms_and_limits() {
    let sized = |stock: i64, class| {
        let item = json!([{"id": "a", "title": "A", "price": "1.00", "stock": stock}]);
        let world = World::new(with(json!({"items": item})), class);
        let plan = plan(&world.observe(), world.now).status.plan.unwrap();
        (plan.shards.unwrap(), plan.gateways.unwrap())
    };
    assert_eq!(sized(1, two_rooms()), (1, 2), "no more shards than units");
    assert_eq!(sized(10_000, two_rooms()), (2, 2), "one in each room");
    assert_eq!(sized(200_000, class()), (4, 8));
    assert_eq!(
        sized(200_000, class_with("limits", json!({"shards": 2, "gateways": 3}))),
        (2, 3)
    );
    assert_eq!(sized(100_000_000, class()), (16, 20));
}
