//! The shop's own pages, and the CDN that is told when they change.

#![allow(clippy::unwrap_used)]

mod world;

use flashsale_operator_core::api::{FlashSale, GateStatus, Phase};
use flashsale_operator_core::observed::Kind;
use flashsale_operator_core::{Step, plan};
use serde_json::{Value, json};
use world::{Pace, World, class, with};

const MINUTE: u64 = 60_000;

/// A sale with its own pages, and a CDN in front.
fn sale() -> FlashSale {
    let purge = json!({"url": "https://cdn.example/purge", "timeout": "4s"});
    with(json!({"entry": {"pagesConfigMapRef": {"name": "pages"}, "cdnPurge": purge}}))
}

fn gate(world: &World) -> (GateStatus, String) {
    let status = world.status();
    let gate = status
        .gates
        .iter()
        .find(|gate| gate.name == "PagesPublished")
        .unwrap();
    (gate.status, gate.message.clone().unwrap_or_default())
}

fn copy(world: &World) -> Option<String> {
    let copy = world
        .objects
        .get(&(Kind::ConfigMap, "phone-launch-pages".to_owned()))?;
    copy.hash.clone()
}

fn count(world: &World, what: &str) -> usize {
    world.did.iter().filter(|did| did.starts_with(what)).count()
}

#[test]
fn pages_are_published_and_the_cdn_is_told_once_of_each() {
    for pace in [Pace::Whole, Pace::StepByStep] {
        let mut world = World::new(sale(), class());
        world.until(Phase::Armed, pace);
        let later = world.now + 5 * MINUTE;
        world.pass(later, pace);
        assert_eq!(copy(&world).as_deref(), Some("one"));
        assert_eq!(gate(&world).0, GateStatus::Passed);
        assert_eq!(
            world.condition("CdnPurged"),
            ("True".to_owned(), "Purged".to_owned())
        );
        // Most asked for first; of those that are the same, by their names.
        assert_eq!(world.dropped, ["/ticket", "/", "/pages/logo.svg"]);
        let pages = world.status().pages.unwrap();
        assert_eq!(
            (pages.version.as_deref(), pages.purged_version.as_deref()),
            (Some("all-one"), Some("all-one"))
        );
        world.until(Phase::Settled, pace);
        assert_eq!(world.dropped.len(), 3, "nothing has changed");
        let later = world.now + 26 * 60 * MINUTE;
        world.pass(later, pace);
        assert!(
            copy(&world).is_none() && world.revisions.is_empty(),
            "its parts have gone"
        );
    }
}

#[test]
fn pages_of_a_live_sale_may_change_and_go() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Open, Pace::Whole);
    world.dropped.clear();
    world.shop_pages = "two".to_owned();
    world.late_pages = Some("one".to_owned());
    let later = world.now + MINUTE;
    world.pass(later, Pace::Whole);
    assert_eq!(copy(&world).as_deref(), Some("two"));
    assert!(world.dropped.is_empty(), "the CDN would fetch the old ones again");
    assert_eq!(world.condition("CdnPurged").1, "Purged", "what was told was told");
    world.late_pages = None;
    let later = world.now + MINUTE;
    world.pass(later, Pace::Whole);
    assert_eq!(world.dropped.len(), 3);
    assert_eq!(
        world.status().pages.unwrap().purged_version.as_deref(),
        Some("all-two")
    );

    world.edit(|sale| sale.spec.entry.as_mut().unwrap().pages_config_map_ref = None);
    let later = world.now + MINUTE;
    world.pass(later, Pace::Whole);
    assert!(copy(&world).is_none());
    assert_eq!(
        world.status().pages.unwrap().purged_version.as_deref(),
        Some("all-"),
        "the built-in ones again"
    );
    assert_eq!(world.condition("Amended").1, "", "nothing of it comes too late");
}

#[test]
fn a_cdn_that_is_down_holds_nothing_up_and_is_told_of_what_it_has_missed() {
    let mut world = World::new(sale(), class());
    world.broken.cdn = true;
    world.until(Phase::Armed, Pace::Whole);
    let later = world.now + MINUTE;
    world.pass(later, Pace::Whole);
    let (status, reason) = world.condition("CdnPurged");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Refused"));
    let message = world.message("CdnPurged");
    assert!(
        message.starts_with("https://cdn.example/purge: it answered 503"),
        "{message}"
    );
    assert_eq!(world.condition("Ready").0, "True", "the sale itself is fine");
    let tries = count(&world, "tell the CDN");
    let later = world.now + 10 * MINUTE;
    world.pass(later, Pace::Whole);
    let more = count(&world, "tell the CDN") - tries;
    assert!(
        (1..=11).contains(&more),
        "about once a minute, not {more} times in ten"
    );
    world.broken.cdn = false;
    world.dropped.clear();
    let later = world.now + 2 * MINUTE;
    world.pass(later, Pace::Whole);
    assert_eq!(world.condition("CdnPurged").1, "Purged");
    assert!(
        !world.dropped.contains(&"/ticket".to_owned()),
        "it had taken that: {:?}",
        world.dropped
    );

    world.broken.cdn = true;
    world.shop_pages = "two".to_owned();
    world.until(Phase::Settled, Pace::Whole);
    assert_eq!(world.condition("CdnPurged").1, "GivenUp");
}

#[test]
fn pages_that_are_missing_or_not_there_yet_are_said_and_stop_nobody() {
    let mut world = World::new(sale(), class());
    world.late_pages = Some(String::new());
    world.until(Phase::Armed, Pace::Whole);
    let (status, message) = gate(&world);
    assert_eq!(status, GateStatus::Pending);
    assert!(
        message.contains("1 of the gateways") && message.contains("gateway-2"),
        "{message}"
    );
    assert_eq!(world.condition("CdnPurged").1, "NotYet");

    let mut world = World::new(sale(), class());
    world.broken.pages = true;
    world.until(Phase::Armed, Pace::Whole);
    assert_eq!(
        gate(&world),
        (GateStatus::Failed, "the ConfigMap isn't this sale's".to_owned())
    );
    world.broken.pages = false;
    let later = world.now + 2 * MINUTE;
    world.pass(later, Pace::Whole);
    assert_eq!(gate(&world).0, GateStatus::Passed);
}

#[test]
fn a_call_says_which_page_has_changed() {
    let mut world = World::new(sale(), class());
    world.broken.cdn = true;
    world.until(Phase::Armed, Pace::Whole);
    let later = world.now + 2 * MINUTE;
    world.purge = Default::default();
    let planned = plan(&world.observe(), later);
    let calls = planned.steps.iter().find_map(|step| match step {
        Step::PurgeCdn { calls, .. } => Some(calls),
        _ => None,
    });
    let (path, call) = &calls.unwrap()[0];
    assert_eq!(
        (path.as_str(), call.timeout.as_secs(), call.event),
        ("/ticket", 4, "pages-changed")
    );
    assert_eq!(call.url, "https://cdn.example/purge");
    let body: Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!(body["url"], "https://phone-launch.sale.example/ticket");
    assert_eq!((&body["version"], &body["hits"]), (&json!("all-one"), &json!(36)));
    assert!(call.id.ends_with("-all-one-/ticket"), "{}", call.id);
}
