//! What tools that wait for objects make of a sale, in each state of its life: the rules of kstatus.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod world;

use flashsale_operator_core::api::{ConditionStatus, FlashSale, Phase, condition};
use flashsale_operator_core::plan;
use serde_json::json;
use world::{Pace, World, class, class_with, open, sale, with};

#[derive(Debug, PartialEq, Eq)]
enum Status {
    Current,
    InProgress,
    Failed,
    Terminating,
}

/// kstatus' rules for a kind that it doesn't know: deletion, then the generation, then Reconciling and Stalled, then Ready.
fn kstatus(sale: &FlashSale) -> Status {
    if sale.metadata.deletion_timestamp.is_some() {
        return Status::Terminating;
    }
    let status = sale.status.clone().unwrap_or_default();
    if status.observed_generation != sale.metadata.generation {
        return Status::InProgress;
    }
    let is = |kind| condition(&status.conditions, kind).map(|condition| condition.status);
    if is("Reconciling") == Some(ConditionStatus::True) {
        return Status::InProgress;
    }
    if is("Stalled") == Some(ConditionStatus::True) {
        return Status::Failed;
    }
    match is("Ready") {
        Some(ConditionStatus::True) => Status::Current,
        _ => Status::InProgress,
    }
}

fn check(world: &World, phase: Phase, expected: Status) {
    assert_eq!(
        (world.phase(), kstatus(world.sale())),
        (phase, expected),
        "{:#?}",
        world.status().conditions
    );
    let status = world.status();
    for condition in &status.conditions {
        assert!(
            !condition.message.is_empty() && !condition.message.contains('\n'),
            "{condition:?}"
        );
        assert_eq!(
            condition.observed_generation,
            world.sale().metadata.generation,
            "{condition:?}"
        );
    }
    // `kubectl get` shows these.
    let summary = status.summary.unwrap_or_default();
    if phase != Phase::Pending {
        assert!(summary.stock.is_some() && status.class.is_some() && status.entry_url.is_some());
    }
}

#[test]
fn scheduled_is_current_so_that_pipelines_do_not_wait_for_days() {
    let mut world = World::new(sale(), class());
    world.rest(Pace::Whole);
    check(&world, Phase::Pending, Status::Current);
}

#[test]
fn a_sale_nobody_has_looked_at_since_it_changed_is_in_progress() {
    let mut world = World::new(sale(), class());
    world.rest(Pace::Whole);
    world.edit(|sale| sale.spec.items.as_mut().unwrap()[0].stock = 5);
    assert_eq!(kstatus(world.sale()), Status::InProgress);
    world.rest(Pace::Whole);
    check(&world, Phase::Pending, Status::Current);
}

#[test]
fn not_accepted_is_in_progress() {
    let mut world = World::new(with(json!({"className": "other"})), class());
    world.rest(Pace::Whole);
    check(&world, Phase::Pending, Status::InProgress);
    assert_eq!(
        world.condition("Accepted"),
        ("False".into(), "ClassNotFound".into())
    );
}

#[test]
fn being_made_is_in_progress_and_overdue_is_failed() {
    let mut world = World::new(sale(), class());
    world.broken.pods = true;
    world.until(Phase::Provisioning, Pace::Whole);
    check(&world, Phase::Provisioning, Status::InProgress);
    let to = world.now + 15 * 60_000;
    world.pass(to, Pace::Whole);
    check(&world, Phase::Provisioning, Status::Failed);
    assert_eq!(world.condition("Stalled").1, "ProvisionTimeout");
    world.broken.pods = false;
    world.broken.worker = true;
    world.until(Phase::Warming, Pace::Whole);
    check(&world, Phase::Warming, Status::InProgress);
    let to = world.now + 10 * 60_000;
    world.pass(to, Pace::Whole);
    check(&world, Phase::Warming, Status::Failed);
}

#[test]
fn from_registration_to_the_end_a_sale_on_its_way_is_current() {
    let registration =
        json!({"registration": {"openTime": "2026-12-01T11:30:00Z"}, "teardown": {"after": "10s"}});
    let mut world = World::new(with(registration), class());
    world.until(Phase::Registering, Pace::Whole);
    assert_eq!(world.now, open() - 30 * 60_000);
    check(&world, Phase::Registering, Status::Current);
    world.until(Phase::Armed, Pace::Whole);
    assert_eq!(
        world.now,
        open() - 60_000,
        "armed a minute before, since its registration ends with the opening"
    );
    for phase in [
        Phase::Armed,
        Phase::Open,
        Phase::Draining,
        Phase::Settling,
        Phase::Settled,
    ] {
        world.until(phase, Pace::Whole);
        check(&world, phase, Status::Current);
    }
    let to = world.now + 60_000;
    world.pass(to, Pace::Whole);
    assert!(world.revisions.is_empty());
    check(&world, Phase::Settled, Status::Current);
}

#[test]
fn a_blocked_drain_is_failed() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Draining, Pace::Whole);
    world.broken.worker = true;
    let to = world.now + 11 * 60_000;
    world.pass(to, Pace::Whole);
    check(&world, Phase::Draining, Status::Failed);
    assert_eq!(
        world.condition("TeardownBlocked"),
        ("True".into(), "Backlog".into())
    );
    world.broken.worker = false;
    world.until(Phase::Settled, Pace::Whole);
    check(&world, Phase::Settled, Status::Current);
    assert_eq!(world.condition("TeardownBlocked"), (String::new(), String::new()));
}

#[test]
fn failed_is_failed_and_deleted_is_terminating() {
    let mut world = World::new(sale(), class_with("policies", json!({"lateOpening": "Fail"})));
    world.broken.pods = true;
    world.until(Phase::Failed, Pace::Whole);
    check(&world, Phase::Failed, Status::Failed);
    world.delete();
    assert_eq!(kstatus(world.sale()), Status::Terminating);
}

#[test]
fn a_broken_part_of_a_live_sale_is_degraded_not_failed() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Open, Pace::Whole);
    for (name, reason) in [("database", "DatabaseDown"), ("log", "OrderLogDown")] {
        world.broken.database = name == "database";
        world.broken.log = name == "log";
        world.rest(Pace::Whole);
        check(&world, Phase::Open, Status::Current);
        assert_eq!(world.condition("Degraded"), ("True".into(), reason.into()));
    }
    world.broken.log = false;
    world.rest(Pace::Whole);
    assert_eq!(world.condition("Degraded").0, "False");
    let warned: Vec<&str> = world
        .events
        .iter()
        .filter(|e| e.action == "Degraded")
        .map(|e| e.reason.as_str())
        .collect();
    assert_eq!(warned, ["DatabaseDown", "OrderLogDown"], "told once each");
}

#[test]
fn a_step_that_fails_is_said_and_moves_no_phase() {
    let mut world = World::new(sale(), class());
    world.broken.log = true;
    let mut seen = world.observe();
    seen.world.log = flashsale_operator_core::observed::Answer::NotAsked;
    world.pass(open() - 59 * 60_000, Pace::Whole);
    assert_eq!(world.phase(), Phase::Provisioning);
    assert_eq!(
        world.condition("Provisioned"),
        ("False".into(), "OrderLogUnreachable".into())
    );
    let again = plan(&world.observe(), world.now);
    assert_eq!(
        again,
        plan(&world.observe(), world.now),
        "a plan is a function of what was observed"
    );
}
