//! Whole sales in a simulated world, also with a crash behind every step.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod world;

use flashsale_operator_core::api::{FlashSale, FlashSaleClass, LoadState, LockLevel, Outcome, Phase};
use flashsale_operator_core::observed::Kind;
use flashsale_operator_core::{Step, plan};
use world::{Away, Broken, Pace, World, at, class, class_with, open, sale, two_rooms, with};

const PACES: [Pace; 2] = [Pace::Whole, Pace::StepByStep];

fn names(world: &World) -> Vec<String> {
    world
        .objects
        .keys()
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect()
}

#[test]
fn a_sale_goes_all_the_way_and_leaves_its_report_and_nothing_else() {
    for pace in PACES {
        for class in [class(), two_rooms()] {
            let mut world = World::new(sale(), class);
            world.until(Phase::Armed, pace);
            assert!(world.now <= open() - 50 * 60_000, "armed long before the opening");
            assert_eq!(world.load, LoadState::Seeded);
            world.until(Phase::Open, pace);
            assert_eq!(world.now, open());
            world.until(Phase::Settled, pace);
            let status = world.status();
            assert_eq!(status.outcome, Some(Outcome::Completed));
            assert_eq!(status.settlement.as_ref().unwrap().audit_ok, Some(true));
            assert!(status.items.iter().all(|item| item.sold == item.stock));
            assert_eq!(world.plane.loads, 1);
            let later = world.now + 2 * 3_600_000;
            world.pass(later, pace);
            assert_eq!(names(&world), ["ConfigMap/phone-launch-report"]);
            assert!(world.revisions.is_empty() && !world.log && world.orders_kept);
            assert_eq!(world.phase(), Phase::Settled);
            world.delete();
            assert!(world.sale.is_none(), "nothing holds it any more");
        }
    }
}

#[test]
fn a_sale_at_rest_gets_no_steps_and_no_status_writes() {
    let mut world = World::new(sale(), class());
    for phase in [Phase::Armed, Phase::Open, Phase::Settled] {
        world.until(phase, Pace::Whole);
        world.rest(Pace::Whole);
        let planned = plan(&world.observe(), world.now);
        assert!(planned.steps.is_empty(), "{phase:?}: {:?}", planned.steps);
        assert!(planned.events.is_empty(), "{phase:?}: {:?}", planned.events);
        assert_eq!(planned.status, world.status(), "{phase:?}");
        let later = plan(&world.observe(), world.now + 1);
        assert_eq!(later.status, world.status(), "{phase:?}, later");
    }
    assert!(
        world
            .objects
            .contains_key(&(Kind::Deployment, "phone-launch-worker".to_owned()))
    );
}

#[test]
fn a_scheduled_sale_costs_nothing_until_its_time() {
    let mut world = World::new(sale(), class());
    world.rest(Pace::Whole);
    assert_eq!(
        (world.phase(), world.condition("Ready")),
        (Phase::Pending, ("True".into(), "Scheduled".into()))
    );
    let writes = world.status_writes;
    world.pass(open() - 61 * 60_000, Pace::Whole);
    assert!(world.did.is_empty() && world.status_writes == writes);
    world.pass(open() - 60 * 60_000, Pace::StepByStep);
    assert_eq!(
        world.phase(),
        Phase::Armed,
        "all is made at once when its time comes"
    );
}

#[test]
fn figures_of_a_live_sale_are_written_at_edges_and_else_at_most_every_ten_seconds() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Open, Pace::Whole);
    let (writes, from) = (world.status_writes, world.now);
    world.until(Phase::Draining, Pace::Whole);
    let seconds = (world.now - from) / 1_000;
    let writes = world.status_writes - writes;
    assert!(
        seconds >= 120 && (5..=11).contains(&writes),
        "{writes} writes in {seconds} s"
    );
}

#[test]
fn an_extension_and_more_stock_reach_the_data_plane_once() {
    for pace in PACES {
        let mut world = World::new(sale(), class());
        world.until(Phase::Open, pace);
        world.edit(|sale| {
            sale.spec.close_time = "2026-12-01T12:05:00Z".parse().unwrap();
            sale.spec.items.as_mut().unwrap()[0].stock = 10_500;
        });
        world.rest(pace);
        world.edit(|sale| sale.spec.items.as_mut().unwrap()[0].stock = 11_000);
        world.rest(pace);
        assert_eq!(world.condition("Amended"), ("True".into(), "Applied".into()));
        // A ConfigMap that somebody deletes comes back with the same grants.
        world
            .objects
            .remove(&(Kind::ConfigMap, "phone-launch-run".to_owned()));
        world.rest(pace);
        world.until(Phase::Draining, pace);
        assert_eq!(world.now, at("2026-12-01T12:05:00Z"));
        assert_eq!(world.plane.loaded, [("phone-15-black".to_owned(), 11_000)]);
        world.edit(|sale| sale.spec.items.as_mut().unwrap()[0].stock = 12_000);
        world.rest(pace);
        assert_eq!(world.condition("Amended"), ("False".into(), "TooLate".into()));
        world.until(Phase::Settled, pace);
        assert_eq!(world.plane.loaded[0].1, 11_000);
    }
}

#[test]
fn what_a_running_sale_does_not_take_over_is_said() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Armed, Pace::Whole);
    let revisions = world.revisions.len();
    world.edit(|sale| {
        sale.spec.orders = Some(serde_json::from_str(r#"{"paymentTimeout": "5m"}"#).unwrap());
    });
    world.rest(Pace::Whole);
    assert_eq!(world.condition("Amended"), ("False".into(), "TooLate".into()));
    assert_eq!(world.revisions.len(), revisions);
    let status = world.status();
    let said = &status
        .conditions
        .iter()
        .find(|c| c.kind == "Amended")
        .unwrap()
        .message;
    assert!(said.contains("spec.orders"), "{said}");
}

#[test]
fn a_change_before_loading_is_made_and_pods_of_the_old_one_go() {
    for pace in PACES {
        let mut world = World::new(sale(), class());
        world.broken.database = true;
        world.until(Phase::Provisioning, pace);
        let to = world.now + 30_000;
        world.pass(to, pace);
        world.edit(|sale| sale.spec.items.as_mut().unwrap()[0].stock = 120_000);
        world.broken.database = false;
        world.until(Phase::Armed, pace);
        assert_eq!(world.plane.loaded, [("phone-15-black".to_owned(), 120_000)]);
        assert_eq!(world.status().plan.unwrap().shards, Some(3));
        let set = &world.objects[&(Kind::StatefulSet, "phone-launch-shards-a".to_owned())];
        assert_eq!(set.replicas, 3);
    }
}

#[test]
fn a_sale_called_off_while_open_drains_settles_and_goes() {
    for pace in PACES {
        let mut world = World::new(
            with(serde_json::json!({"teardown": {"after": "10s", "policy": "Delete"}})),
            class(),
        );
        world.until(Phase::Open, pace);
        let to = world.now + 20_000;
        world.pass(to, pace);
        world.edit(|sale| {
            sale.spec.cancellation = Some(
                serde_json::from_str(r#"{"reason": "a fault in the item", "unpaidOrders": "Close"}"#)
                    .unwrap(),
            );
        });
        world.rest(pace);
        assert_eq!(world.phase(), Phase::Draining);
        world.until(Phase::Settled, pace);
        assert_eq!(world.status().outcome, Some(Outcome::Cancelled));
        assert!(world.now < open() + 110_000, "it didn't wait for its end");
        let to = world.now + 60_000;
        world.pass(to, pace);
        assert_eq!(names(&world), ["ConfigMap/phone-launch-report"]);
        assert!(!world.orders_kept);
    }
}

#[test]
fn deleting_a_live_sale_drains_and_settles_before_anything_goes() {
    for pace in PACES {
        let mut world = World::new(sale(), two_rooms());
        world.until(Phase::Open, pace);
        let to = world.now + 20_000;
        world.pass(to, pace);
        world.delete();
        world.rest(pace);
        assert_eq!(world.phase(), Phase::Draining);
        assert!(
            world.log
                && world
                    .objects
                    .contains_key(&(Kind::Deployment, "phone-launch-worker".to_owned()))
        );
        let to = world.now + 600_000;
        world.pass(to, pace);
        assert!(world.sale.is_none(), "{:#?}", world.sale.map(|sale| sale.status));
        assert_eq!(names(&world), ["ConfigMap/phone-launch-report"]);
        assert!(world.orders_kept && !world.log && world.revisions.is_empty());
    }
}

#[test]
fn deleting_a_sale_before_anything_is_loaded_takes_no_time() {
    for pace in PACES {
        let mut world = World::new(sale(), class());
        world.delete();
        assert!(world.sale.is_none());

        let mut world = World::new(sale(), class());
        world.broken.pods = true;
        world.until(Phase::Provisioning, pace);
        world.rest(pace);
        let before = world.now;
        world.delete();
        let to = world.now + 60_000;
        world.pass(to, pace);
        assert!(world.sale.is_none(), "{:#?}", world.sale.map(|sale| sale.status));
        assert!(world.now <= before + 60_000 && !world.orders_kept && world.objects.is_empty());
    }
}

/// A sale whose parts are all ready, just before its stock is locked and loaded, with the steps of that.
fn about_to_load(class: FlashSaleClass) -> (World, Vec<Step>) {
    let sale = with(serde_json::json!({"teardown": {"after": "10s", "policy": "Delete"}}));
    let mut world = World::new(sale, class);
    for _ in 0..1_000 {
        let planned = plan(&world.observe(), world.now);
        if planned.steps.contains(&Step::Lock(LockLevel::Loading)) {
            return (world, planned.steps);
        }
        world.look(Pace::Whole);
        if !world.happen() && planned.steps.is_empty() {
            world.now += u64::try_from(planned.look_again.as_millis()).unwrap();
        }
    }
    panic!("never about to load: {:#?}", world.status());
}

fn cancelled(sale: &mut FlashSale) {
    let cancellation = serde_json::from_str(r#"{"reason": "a fault", "unpaidOrders": "Close"}"#);
    sale.spec.cancellation = Some(cancellation.unwrap());
}

#[test]
fn a_sale_called_off_behind_a_crash_at_any_step_of_loading_ends_by_what_is_there_not_by_what_is_locked() {
    let refuses = class_with(
        "policies",
        serde_json::json!({"liveDeletion": "Refuse", "freezeBefore": "0s"}),
    );
    let (before, steps) = about_to_load(refuses);
    let ways: [fn(&mut World); 2] = [World::delete, |world| world.edit(cancelled)];
    let mut with_worker = 0;
    for (crashed, call_off) in (0..=steps.len()).flat_map(|n| ways.map(|way| (n, way))) {
        let mut world = before.clone();
        for step in &steps[..crashed] {
            world.carry_out(step).unwrap();
        }
        assert_eq!(world.phase(), Phase::Provisioning, "the status was never written");
        let has_worker = names(&world).contains(&"Deployment/phone-launch-worker".to_owned());
        call_off(&mut world);
        if has_worker {
            with_worker += 1;
            let uid = world.sale().metadata.uid.clone().unwrap();
            let annotations = world.sale_mut().metadata.annotations.get_or_insert_default();
            annotations.insert("flashsale.dev/allow-deletion".to_owned(), uid);
        } else {
            // Nothing can be loaded, so nothing that could is waited for.
            world.broken.pods = true;
        }
        let to = world.now + if has_worker { 300_000 } else { 60_000 };
        world.pass(to, Pace::StepByStep);
        let left = world.sale.as_ref().map(|sale| sale.status.clone());
        assert_eq!(world.plane.loads, usize::from(has_worker), "{crashed}: {left:#?}");
        assert!(
            world.revisions.is_empty() && !world.log,
            "{crashed}: {:?}, {left:#?}",
            names(&world)
        );
        if let Some(status) = left.flatten() {
            assert_eq!(
                (status.phase, status.outcome),
                (Some(Phase::Settled), Some(Outcome::Cancelled))
            );
        }
    }
    assert!(with_worker > 0, "some crashes come behind the worker");
}

#[test]
fn nothing_opens_that_was_closed_for_good_before_a_crash() {
    for phase in [Phase::Provisioning, Phase::Warming] {
        let mut world = World::new(
            with(serde_json::json!({"closeTime": "2026-12-01T13:00:00Z"})),
            class(),
        );
        world.broken.pods = phase == Phase::Provisioning;
        world.broken.worker = true;
        world.until(phase, Pace::Whole);
        world.pass(open() + 599_000, Pace::Whole);
        assert_eq!(world.phase(), phase);
        world.now = open() + 600_000;
        world.carry_out(&Step::Lock(LockLevel::Closed)).unwrap();
        // Had it been looked at now, all would be well.
        world.broken = Broken::default();
        world.happen();
        let to = world.now + 60_000;
        world.pass(to, Pace::StepByStep);
        assert_eq!(world.phase(), Phase::Failed);
        assert!(world.events.iter().all(|event| event.reason != "Open"));
    }
}

#[test]
fn a_class_can_keep_a_live_sale_from_being_deleted_until_somebody_says_that_they_know() {
    let mut world = World::new(
        sale(),
        class_with(
            "policies",
            serde_json::json!({"liveDeletion": "Refuse", "freezeBefore": "0s"}),
        ),
    );
    world.until(Phase::Open, Pace::Whole);
    world.delete();
    world.rest(Pace::Whole);
    assert_eq!(
        (world.phase(), world.condition("Reconciling")),
        (Phase::Open, ("True".into(), "DeletionRefused".into()))
    );
    let uid = world.sale().metadata.uid.clone().unwrap();
    let annotations = world.sale_mut().metadata.annotations.get_or_insert_default();
    annotations.insert("flashsale.dev/allow-deletion".to_owned(), uid);
    world.rest(Pace::Whole);
    assert_eq!(world.phase(), Phase::Draining);
}

#[test]
fn a_namespace_that_goes_has_its_sale_closed_from_the_log() {
    for pace in PACES {
        let mut world = World::new(sale(), class());
        world.until(Phase::Open, pace);
        world.terminating = true;
        world.delete();
        // Pods, Secrets and revisions go by themselves, in no order.
        world.objects.clear();
        world.revisions.clear();
        let to = world.now + 60_000;
        world.pass(to, pace);
        assert!(world.did.contains(&"close the sale from its log".to_owned()));
        assert!(world.sale.is_none() && world.orders_kept && !world.log);
    }
}

#[test]
fn a_sale_that_misses_its_opening_fails_and_stays_closed() {
    let policies = [
        (serde_json::json!({"freezeBefore": "0s"}), 600_000),
        (
            serde_json::json!({"freezeBefore": "0s", "lateOpening": "Fail"}),
            0,
        ),
    ];
    for (pace, (policies, late)) in PACES
        .into_iter()
        .flat_map(|pace| policies.clone().map(|p| (pace, p)))
    {
        let mut world = World::new(
            with(serde_json::json!({"closeTime": "2026-12-01T13:00:00Z"})),
            class_with("policies", policies),
        );
        world.broken.database = true;
        world.until(Phase::Failed, pace);
        assert!(
            (open() + late..open() + late + 5_000).contains(&world.now),
            "{}",
            world.now - open()
        );
        assert_eq!(
            world.condition("Stalled"),
            ("True".into(), "MissedOpening".into())
        );
        world.broken.database = false;
        let to = world.now + 60_000;
        world.pass(to, pace);
        assert_eq!((world.phase(), world.load), (Phase::Failed, LoadState::Unseeded));
        assert_eq!(world.status().lock_level, Some(LockLevel::Closed));
        world.delete();
        world.rest(pace);
        let to = world.now + 60_000;
        world.pass(to, pace);
        assert!(world.sale.is_none() && !world.orders_kept);
    }
}

#[test]
fn a_sale_that_is_late_within_the_grace_opens() {
    let mut world = World::new(
        with(serde_json::json!({"closeTime": "2026-12-01T13:00:00Z"})),
        class(),
    );
    world.broken.pods = true;
    world.pass(open() + 120_000, Pace::Whole);
    assert_eq!(
        (world.phase(), world.condition("Stalled").1.as_str()),
        (Phase::Provisioning, "ProvisionTimeout")
    );
    let warned: Vec<&str> = world
        .events
        .iter()
        .filter(|e| e.warning)
        .map(|e| e.reason.as_str())
        .collect();
    assert_eq!(warned, ["ProvisionTimeout", "NotReadyForStart"]);
    world.broken.pods = false;
    world.until(Phase::Open, Pace::Whole);
    assert!(world.now < open() + 200_000);
}

#[test]
fn stock_is_not_loaded_beside_an_unsettled_sale_of_the_same_name() {
    let mut world = World::new(sale(), class());
    world.predecessor = Some("0123456789abcdef0123456789abcdef".to_owned());
    world.until(Phase::Provisioning, Pace::Whole);
    let to = world.now + 60_000;
    world.pass(to, Pace::Whole);
    assert_eq!(
        world.condition("Stalled"),
        ("True".into(), "PreviousSaleUnsettled".into())
    );
    assert_eq!(
        (world.condition("Armed").1.as_str(), world.load),
        ("NoPredecessor", LoadState::Unseeded)
    );
    let annotations = world.sale_mut().metadata.annotations.get_or_insert_default();
    annotations.insert(
        "flashsale.dev/supersedes".to_owned(),
        "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
    );
    world.until(Phase::Armed, Pace::Whole);
}

#[test]
fn books_that_do_not_agree_stop_everything_and_keep_everything() {
    let mut world = World::new(
        with(serde_json::json!({"teardown": {"after": "10s", "policy": "Delete"}})),
        class(),
    );
    world.findings = vec!["unit 7 of phone-15-black is sold twice".to_owned()];
    world.until(Phase::Failed, Pace::Whole);
    assert_eq!(
        world.condition("ConservationHolds"),
        ("False".into(), "AuditFailed".into())
    );
    assert_eq!(world.condition("Stalled").1, "ConservationBroken");
    let to = world.now + 3_600_000;
    world.pass(to, Pace::Whole);
    assert!(
        world.log
            && world
                .objects
                .contains_key(&(Kind::StatefulSet, "phone-launch-shards-a".to_owned()))
    );
    world.delete();
    let to = world.now + 60_000;
    world.pass(to, Pace::Whole);
    assert!(
        world.sale.is_none() && world.orders_kept,
        "orders that don't agree are never forgotten"
    );
}

#[test]
fn a_log_that_is_gone_for_good_does_not_keep_a_deleted_sale_for_ever() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Settled, Pace::Whole);
    world.broken.log = true;
    world.delete();
    let to = world.now + 3_600_000;
    world.pass(to, Pace::Whole);
    assert_eq!(
        world.condition("TeardownBlocked"),
        ("True".into(), "OrderLogUnreachable".into())
    );
    let to = world.now + 25 * 3_600_000;
    world.pass(to, Pace::Whole);
    assert!(world.sale.is_none(), "{:#?}", world.did.last());
}

/// A sale that is deleted while it sells, and `broken` from just before that on.
fn deleted_while(class: FlashSaleClass, pace: Pace, broken: impl Fn(&mut Broken)) -> World {
    let mut world = World::new(sale(), class);
    world.until(Phase::Open, pace);
    let to = world.now + 20_000;
    world.pass(to, pace);
    broken(&mut world.broken);
    world.delete();
    world
}

/// What breaks a server, the reason that is given for it then, and what its message names.
type AwayCase = (fn(&mut Broken), &'static str, &'static str);

const AWAY: [AwayCase; 2] = [
    (
        |broken| broken.log = true,
        "OrderLogUnreachable",
        "the order log of class standard, Pulsar",
    ),
    (
        |broken| broken.database = true,
        "DatabaseUnreachable",
        "database orders of class standard",
    ),
];

#[test]
fn a_live_sale_deleted_while_a_server_is_away_says_within_two_minutes_what_is_in_the_way_and_goes_once_it_is_back()
 {
    for pace in PACES {
        for (broken, reason, what) in AWAY {
            let mut world = deleted_while(class(), pace, broken);
            let deleted = world.now;
            world.pass(deleted + 30_000, pace);
            assert_eq!(
                world.condition("TeardownBlocked"),
                (String::new(), String::new()),
                "a server that restarts blocks nothing"
            );
            world.pass(deleted + 120_000, pace);
            assert_eq!(world.condition("TeardownBlocked"), ("True".into(), reason.into()));
            assert_eq!(
                world.condition("Stalled"),
                ("True".into(), "TeardownBlocked".into())
            );
            let message = world.message("TeardownBlocked");
            for part in [
                what,
                "connection refused",
                "kubectl describe flashsaleclass standard",
                "by 2026-12-02T12:1",
            ] {
                assert!(message.contains(part), "{part}: {message}");
            }
            let writes = world.status_writes;
            world.pass(deleted + 600_000, pace);
            assert_eq!(world.status_writes, writes, "it is said once");
            // An operator that starts anew doesn't know since when.
            world.away = Away::default();
            world.pass(deleted + 602_000, pace);
            assert_eq!(world.condition("TeardownBlocked"), ("True".into(), reason.into()));
            world.broken = Broken::default();
            world.pass(deleted + 780_000, pace);
            assert!(world.sale.is_none(), "{:#?}", world.sale.map(|sale| sale.status));
            assert!(world.orders_kept && !world.log);
        }
    }
}

#[test]
fn a_server_that_never_comes_back_keeps_a_deleted_live_sale_no_longer_than_the_books_may_take() {
    for pace in PACES {
        for (broken, _, _) in AWAY {
            let class = class_with("lifecycle", serde_json::json!({"settleTimeout": "1h"}));
            let mut world = deleted_while(class, pace, broken);
            let deadline = world.now + 3_600_000;
            world.pass(deadline - 60_000, pace);
            assert!(world.sale.is_some(), "given up too early");
            world.pass(deadline + 1_800_000, pace);
            assert!(world.sale.is_none(), "{:#?}", world.did.last());
            assert!(world.orders_kept || world.broken.database);
        }
    }
}

#[test]
fn the_number_of_gateways_follows_the_spec_without_applying_anything() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Open, Pace::Whole);
    let steps = world.did.len();
    world.edit(|sale| {
        sale.spec.data_plane = Some(serde_json::from_str(r#"{"gateways": {"replicas": 7}}"#).unwrap())
    });
    world.rest(Pace::Whole);
    assert_eq!(
        world.did[steps..],
        ["scale Deployment phone-launch-gateway-a to 7"]
    );
    assert_ne!(world.condition("Amended").1, "TooLate");
}

#[test]
fn a_newer_operator_leaves_an_armed_sale_alone_and_says_so() {
    let mut world = World::new(sale(), class());
    world.until(Phase::Armed, Pace::Whole);
    let mut seen = world.observe();
    seen.settings.operator_version = "0.2.0".to_owned();
    assert!(plan(&seen, world.now).steps.is_empty());
    seen.settings.data_plane_image = "docker.io/flashsale/dataplane:0.2.0".to_owned();
    let planned = plan(&seen, world.now);
    assert!(planned.steps.is_empty(), "{:?}", planned.steps);
    let pending = planned
        .status
        .conditions
        .iter()
        .find(|c| c.kind == "UpgradePending");
    assert!(pending.is_some_and(|pending| pending.reason == "Pinned"));
    assert_eq!(
        planned.status.revision.unwrap().image.unwrap(),
        "docker.io/flashsale/dataplane:0.1.0"
    );
}
