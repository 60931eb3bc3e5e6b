//! The shop is told how a sale ended.

#![allow(clippy::unwrap_used)]

mod world;

use flashsale_operator_core::api::{ConditionStatus, FlashSale, Phase, condition};
use flashsale_operator_core::{Step, plan};
use serde_json::{Value, json};
use world::{Pace, World, class, with};

const HOUR: u64 = 3_600_000;

/// A sale whose shop wants to be told.
fn sale() -> FlashSale {
    let webhook = json!({"url": "https://shop.example/settled", "timeout": "7s"});
    with(json!({"teardown": {"settlement": {"webhook": webhook}}}))
}

fn said(world: &World) -> Option<(ConditionStatus, String)> {
    let status = world.status();
    let said = condition(&status.conditions, "ShopTold")?;
    Some((said.status, format!("{}: {}", said.reason, said.message)))
}

#[test]
fn the_shop_is_told_once_what_goes_back_to_it() {
    for pace in [Pace::Whole, Pace::StepByStep] {
        let mut world = World::new(sale(), class());
        world.until(Phase::Settled, pace);
        assert_eq!(said(&world).unwrap().0, ConditionStatus::True);
        assert!(world.status().settlement.unwrap().told_time.is_some());
        let later = world.now + 2 * HOUR;
        world.pass(later, pace);
        let told = world.did.iter().filter(|did| *did == "tell the shop").count();
        assert_eq!(told, 1, "{:?}", world.did);
        assert!(world.revisions.is_empty(), "its parts have gone");
    }
}

#[test]
fn the_call_says_what_was_sold_of_each_item() {
    let mut world = World::new(sale(), class());
    world.broken.shop = true;
    world.until(Phase::Settled, Pace::Whole);
    let planned = plan(&world.observe(), world.now);
    let [Step::TellShop(call)] = planned.steps.as_slice() else {
        panic!("{:?}", planned.steps)
    };
    assert_eq!(
        (call.url.as_str(), call.timeout.as_secs()),
        ("https://shop.example/settled", 7)
    );
    assert_eq!(
        call.secret,
        ("phone-launch-signing".to_owned(), "payments".to_owned())
    );
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let item = json!({"id": "phone-15-black", "stock": 10000, "sold": 10000, "returned": 0});
    assert_eq!(body["items"], json!([item]));
    assert_eq!(
        (&body["sale"], &body["sold"], &body["returned"]),
        (&json!("phone-launch"), &json!(10_000), &json!(0))
    );
}

#[test]
fn a_shop_that_is_down_is_told_when_it_is_back_and_what_signs_the_call_waits_for_that() {
    let mut world = World::new(sale(), class());
    world.broken.shop = true;
    world.until(Phase::Settled, Pace::Whole);
    let later = world.now + 3 * HOUR;
    world.pass(later, Pace::Whole);
    let (status, message) = said(&world).unwrap();
    assert_eq!(status, ConditionStatus::False);
    assert!(
        message.starts_with("Refused: https://shop.example/settled: it answered 503"),
        "{message}"
    );
    let ready = condition(&world.status().conditions, "Ready").unwrap().status;
    assert_eq!(ready, ConditionStatus::True, "the sale itself is fine");
    world.broken.shop = false;
    let later = world.now + HOUR;
    world.pass(later, Pace::Whole);
    assert_eq!(said(&world).unwrap().0, ConditionStatus::True);
    assert!(world.revisions.is_empty() && !world.log, "its parts have gone");
}

#[test]
fn a_shop_that_stays_down_keeps_nothing_for_ever() {
    let mut world = World::new(sale(), class());
    world.broken.shop = true;
    world.until(Phase::Settled, Pace::Whole);
    let later = world.now + 26 * HOUR;
    world.pass(later, Pace::Whole);
    let (status, message) = said(&world).unwrap();
    assert_eq!(status, ConditionStatus::False);
    assert!(
        message.starts_with("GivenUp: ") && message.contains("phone-launch-report"),
        "{message}"
    );
    assert!(world.revisions.is_empty() && !world.log, "its parts have gone");

    let mut world = World::new(sale(), class());
    world.broken.shop = true;
    world.until(Phase::Settled, Pace::Whole);
    world.delete();
    let later = world.now + HOUR;
    world.pass(later, Pace::Whole);
    assert!(world.sale.is_none(), "{:#?}", world.sale.map(|sale| sale.status));
}
