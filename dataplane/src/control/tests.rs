use super::seen::{Api, Control, Seen};
use super::watch::Change;
use crate::clock::now_ms;
use crate::sale::{Identity, Item, RequestRates, Sale};
use crate::shared::Shared;
use flashsale_core::ids::SaleUid;
use flashsale_core::order::Backlog;
use flashsale_crds::objects::FlashSaleSwitch;
use flashsale_crds::{Money, Switches};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A sale of one phone.
pub(crate) fn sale(uid: u128) -> Sale {
    let currency = "EUR".parse().unwrap();
    Sale {
        uid: SaleUid(uid),
        name: "phones".to_owned(),
        namespace: "shop".to_owned(),
        items: vec![Item {
            id: "phone".to_owned(),
            title: "Phone".to_owned(),
            price: Money::from_minor(1, currency),
            stock: 1,
            limit: 1,
        }],
        opens: 1,
        closes: 2,
        shards: 1,
        payment_timeout: Duration::from_secs(1),
        currency,
        orders_per_minute: 60,
        backlog: Backlog::Hold,
        registration: None,
        identity: Identity::TrustedHeader {
            name: "X".to_owned(),
            from: Vec::new(),
        },
        requests: RequestRates::default(),
        targets: Vec::new(),
        settlement: None,
        switches: Switches::default(),
    }
}

fn shared(uid: u128) -> Arc<Shared> {
    Arc::new(Shared::new(sale(uid)))
}

fn api(cache: Option<PathBuf>) -> Api {
    Api {
        namespace: "shop".to_owned(),
        sale: "phones".to_owned(),
        config_map: "phones-run".to_owned(),
        kubeconfig: None,
        cache,
    }
}

/// A switch made `age` seconds ago, for an hour.
fn switch(name: &str, age: i64, whom: &serde_json::Value, set: &serde_json::Value) -> FlashSaleSwitch {
    let made = chrono::Utc::now() - chrono::TimeDelta::seconds(age);
    let mut object = json!({
        "apiVersion": "flashsale.dev/v1alpha1", "kind": "FlashSaleSwitch",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)},
        "spec": {"set": set, "reason": "a test", "actor": "sre@shop", "expiresAfter": "1h"},
    });
    let spec = object["spec"].as_object_mut().unwrap();
    spec.extend(whom.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn map(switches: &serde_json::Value, amendments: Option<&serde_json::Value>) -> ConfigMap {
    let mut data = json!({"switches.json": switches.to_string()});
    if let Some(amendments) = amendments {
        data["amendments.json"] = json!(amendments.to_string());
    }
    serde_json::from_value(json!({"metadata": {"name": "phones-run"}, "data": data})).unwrap()
}

#[test]
fn a_class_lets_no_object_hold_longer_than_it_says() {
    let shared = shared(1);
    let mut control = Control::new(Arc::clone(&shared), api(None));
    control.take(Seen::Maps(Change::All(
        10,
        vec![map(&json!({"switchDuration": "50s"}), None)],
    )));
    let set = json!({"sale": {"paused": true}});
    let one = |name: &str, age| switch(name, age, &json!({"saleName": "phones"}), &set);
    control.take(Seen::Switches(Change::All(12, vec![one("a-minute-old", 60)])));
    assert!(!shared.switches.in_force().paused);
    control.take(Seen::Switches(Change::Is(13, one("new", 30))));
    let force = shared.switches.in_force();
    let ends = force.all[0].entry.expires_ms.unwrap();
    assert!(force.paused && ends < now_ms() + 21_000, "{force:?}");
}

fn values(shared: &Shared) -> Vec<(String, serde_json::Value, &'static str)> {
    let force = shared.switches.in_force();
    let each = force.all.iter();
    each.map(|s| (s.entry.switch.clone(), s.entry.value.clone(), s.source().word()))
        .collect()
}

#[test]
fn objects_by_name_and_by_label_overrule_the_sale_and_the_class_the_newest_first() {
    let shared = shared(1);
    let mut control = Control::new(Arc::clone(&shared), api(None));
    let standing = json!({
        "labels": {"tier": "big"},
        "spec": {"orders": {"hold": true}, "entry": {"rateLimit": 100}},
        "class": {"entry": {"rateLimit": 50}, "pages": {"static": true}},
    });
    control.take(Seen::Maps(Change::All(10, vec![map(&standing, None)])));
    let declared = |switch: &str, value: serde_json::Value, by| (switch.to_owned(), value, by);
    let own = [
        declared("entry.rateLimit", 100.into(), "spec"),
        declared("orders.hold", true.into(), "spec"),
        declared("pages.static", true.into(), "class"),
    ];
    assert_eq!(values(&shared), own);
    assert_eq!(shared.switches.in_force().revision, 10);

    let by_name = |sale: &str| json!({"saleName": sale});
    let by_label = |tier: &str| json!({"saleSelector": {"matchLabels": {"tier": tier}}});
    let all = vec![
        switch(
            "older",
            60,
            &by_label("big"),
            &json!({"orders": {"hold": false}, "entry": {"rateLimit": 7}}),
        ),
        switch(
            "newer",
            30,
            &by_name("phones"),
            &json!({"orders": {"hold": true}}),
        ),
        switch("others", 1, &by_name("cases"), &json!({"sale": {"paused": true}})),
        switch("small", 1, &by_label("small"), &json!({"sale": {"paused": true}})),
    ];
    control.take(Seen::Switches(Change::All(12, all)));
    let force = shared.switches.in_force();
    assert_eq!(
        (force.hold, force.rate_limit, force.paused, force.revision),
        (true, Some(7), false, 12)
    );
    let hold = force
        .all
        .iter()
        .find(|s| s.entry.switch == "orders.hold")
        .unwrap();
    assert_eq!(hold.entry.name.as_deref(), Some("newer"));
    assert_eq!(hold.entry.reason.as_deref(), Some("a test"));
    assert_eq!(hold.entry.actor.as_deref(), Some("sre@shop"));
    assert!(hold.entry.expires_ms.unwrap() > now_ms() + 3_500_000);
    drop(force);

    control.take(Seen::Switches(Change::Gone(13, "newer".to_owned())));
    let force = shared.switches.in_force();
    assert_eq!(
        (force.hold, force.revision),
        (false, 13),
        "the older one is in force again"
    );
    drop(force);
    control.take(Seen::Switches(Change::Gone(14, "older".to_owned())));
    assert_eq!(values(&shared), own);
    // What changes nothing for this sale is no news for anybody.
    control.take(Seen::Switches(Change::Gone(15, "others".to_owned())));
    assert_eq!(shared.switches.in_force().revision, 14);
}

#[test]
fn a_change_is_news_even_if_the_cluster_counts_from_the_start_again() {
    let shared = shared(1);
    let mut control = Control::new(Arc::clone(&shared), api(None));
    control.take(Seen::Maps(Change::All(
        1_000,
        vec![map(&json!({"spec": {"sale": {"paused": true}}}), None)],
    )));
    control.take(Seen::Maps(Change::All(5, vec![map(&json!({}), None)])));
    assert_eq!(
        (
            shared.switches.door().paused(),
            shared.switches.in_force().revision
        ),
        (false, 1_001)
    );
}

#[test]
fn what_was_known_is_there_after_a_restart_without_the_api_but_not_in_another_sale() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Some(dir.path().join("switches"));
    let amendments = json!({"revision": 3, "ratePerMinute": 9});
    let mut control = Control::new(shared(1), api(cache.clone()));
    let standing = json!({"spec": {"sale": {"paused": true}}});
    control.take(Seen::Maps(Change::All(
        7,
        vec![map(&standing, Some(&amendments))],
    )));
    control.take(Seen::Switches(Change::All(
        9,
        vec![switch(
            "one",
            1,
            &json!({"saleName": "phones"}),
            &json!({"orders": {"hold": true}}),
        )],
    )));
    control.keep_now();

    let again = shared(1);
    let mut control = Control::new(Arc::clone(&again), api(cache.clone()));
    let force = again.switches.in_force();
    assert_eq!((force.paused, force.hold, force.revision), (true, true, 9));
    assert_eq!(
        control.amended().borrow().as_ref().unwrap().rate_per_minute,
        Some(9)
    );
    drop(force);
    // The switches' objects weren't seen yet: those known hold on.
    control.take(Seen::Maps(Change::All(
        7,
        vec![map(&standing, Some(&amendments))],
    )));
    assert!(again.switches.in_force().hold);
    control.take(Seen::Switches(Change::All(11, Vec::new())));
    assert!(!again.switches.in_force().hold);

    let other = shared(2);
    let _control = Control::new(Arc::clone(&other), api(cache));
    assert_eq!(other.switches.in_force().revision, 0);
}

#[test]
fn what_cant_be_read_changes_nothing() {
    let shared = shared(1);
    let mut control = Control::new(Arc::clone(&shared), api(None));
    control.take(Seen::Maps(Change::All(
        7,
        vec![map(&json!({"spec": {"sale": {"paused": true}}}), None)],
    )));
    control.take(Seen::Maps(Change::Is(
        8,
        map(&json!({"spec": 7}), Some(&json!({"revision": 1, "later": true}))),
    )));
    assert!(shared.switches.door().paused());
    assert_eq!(*control.amended().borrow(), None);
    control.take(Seen::Maps(Change::Is(
        9,
        map(&json!({}), Some(&json!({"revision": 2}))),
    )));
    assert!(!shared.switches.door().paused());
    assert_eq!(control.amended().borrow().as_ref().unwrap().revision, 2);
    // An older one doesn't come back.
    control.take(Seen::Maps(Change::Is(
        10,
        map(&json!({}), Some(&json!({"revision": 1}))),
    )));
    assert_eq!(control.amended().borrow().as_ref().unwrap().revision, 2);
}
