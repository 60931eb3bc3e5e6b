//! What is wrong with a sale that runs or ends: changes that wait, what is broken, units that don't add up, what keeps it.

use super::making::refused_step;
use super::{Facts, Said, is_past, said};
use crate::api::Phase;
use crate::drive;
use crate::observed::Kind;
use crate::policy::AWAY_MAX;
use crate::teardown;
use crate::view::View;

pub(super) fn amended(view: &View<'_>, facts: &Facts<'_>) -> Option<Said> {
    let wrong = view
        .basis
        .as_ref()
        .map(|basis| basis.wrong.as_slice())
        .unwrap_or_default();
    let refused: Vec<&str> = facts
        .pinning
        .refused
        .iter()
        .chain(wrong)
        .map(String::as_str)
        .collect();
    if !refused.is_empty() {
        return Some(said("Amended", false, "TooLate", refused.join("; ")));
    }
    let pin = facts.pinning.new.as_ref().or(view.pin.as_ref())?;
    let revision = pin.1.amendments.revision;
    if revision == 0 {
        return None;
    }
    let taken = view.figures().map_or(0, |figures| figures.amended);
    let is_taken = u64::try_from(taken).is_ok_and(|taken| taken >= revision) || teardown::is_done(view);
    Some(if is_taken {
        said(
            "Amended",
            true,
            "Applied",
            format!("the sale's processes act by change {revision}"),
        )
    } else {
        said(
            "Amended",
            false,
            "Pending",
            format!("change {revision} is on its way to the sale's processes"),
        )
    })
}

pub(super) fn degraded(view: &View<'_>, facts: &Facts<'_>) -> Said {
    let is_live = matches!(
        facts.state.phase,
        Phase::Registering | Phase::Armed | Phase::Open | Phase::Draining | Phase::Settling
    );
    if is_live {
        if let Some((reason, message)) = broken(view, facts) {
            return said("Degraded", true, reason, message);
        }
        let switched: Vec<String> = facts
            .status
            .switches
            .iter()
            .map(|set| format!("{}={}", set.name, set.value))
            .collect();
        if !switched.is_empty() {
            let look = format!("kubectl -n {} get flashsaleswitches", view.names.namespace);
            return said(
                "Degraded",
                true,
                "SwitchInForce",
                format!("switched: {} ({look})", switched.join(", ")),
            );
        }
    }
    said(
        "Degraded",
        false,
        "AsItShould",
        "nothing is known to be broken or switched off",
    )
}

/// What is broken in a live sale, the worst first.
fn broken(view: &View<'_>, facts: &Facts<'_>) -> Option<(&'static str, String)> {
    let (_, pin) = view.pin.as_ref()?;
    let namespace = &view.names.namespace;
    let is_dead = |kind, name: &str| {
        view.child(kind, name)
            .and_then(|child| child.replicas)
            .is_none_or(|r| r.ready == 0)
    };
    let lost = pin.sizes.rooms.iter().find(|room| {
        is_dead(Kind::StatefulSet, &view.names.shards(&room.name))
            && is_dead(Kind::Deployment, &view.names.gateways(&room.name))
    });
    if let Some(room) = lost {
        let look = format!(
            "kubectl -n {namespace} get pods -l flashsale.dev/room={} -o wide",
            room.name
        );
        return Some((
            "RoomLost",
            format!("nothing of room {} is ready ({look})", room.name),
        ));
    }
    let is_selling = facts.state.phase == Phase::Open;
    let shut: Vec<String> = view
        .figures()
        .filter(|_| is_selling)
        .map(|figures| {
            figures
                .shards
                .iter()
                .filter(|shard| !shard.open)
                .map(|shard| shard.id.to_string())
                .collect()
        })
        .unwrap_or_default();
    if !shut.is_empty() {
        let look = format!(
            "kubectl -n {namespace} get pods -l flashsale.dev/sale={},app.kubernetes.io/component=shard",
            view.names.sale
        );
        return Some((
            "RedisDown",
            format!(
                "shards {} are closed; their buyers are told to come back ({look})",
                shut.join(", ")
            ),
        ));
    }
    let down = view
        .seen
        .world
        .databases
        .each
        .iter()
        .find_map(|database| Some((database, database.answer.error()?)));
    if let Some((database, error)) = down {
        return Some((
            "DatabaseDown",
            format!("database {}: {error}; orders wait in the log", database.name),
        ));
    }
    let log = view.seen.world.log.error()?;
    Some(("OrderLogDown", format!("the order log's admin API: {log}")))
}

pub(super) fn conservation(facts: &Facts<'_>) -> Option<Said> {
    if let Some(false) = facts
        .status
        .settlement
        .as_ref()
        .and_then(|settlement| settlement.audit_ok)
    {
        let found = facts
            .status
            .settlement
            .as_ref()
            .and_then(|settlement| settlement.message.clone());
        return Some(said(
            "ConservationHolds",
            false,
            "AuditFailed",
            found.unwrap_or_default(),
        ));
    }
    let items = &facts.status.items;
    if items.is_empty() {
        return None;
    }
    Some(match items.iter().find(|item| !item.adds_up()) {
        None => said(
            "ConservationHolds",
            true,
            "AddsUp",
            "sellable + in transfer + locked + sold = stock, for each item",
        ),
        Some(item) => said(
            "ConservationHolds",
            false,
            "DoesNotAddUp",
            format!(
                "item {}: sellable {} + in transfer {} + locked {} + sold {} isn't stock {}",
                item.id, item.sellable, item.in_transfer, item.locked, item.sold, item.stock
            ),
        ),
    })
}

pub(super) fn teardown_blocked(view: &View<'_>, facts: &Facts<'_>) -> Option<Said> {
    let schedule = facts.status.schedule.clone().unwrap_or_default();
    let deadline = match facts.state.phase {
        Phase::Draining => schedule.drain_deadline,
        Phase::Settling => schedule.settle_deadline,
        _ => None,
    };
    let is_leaving = drive::is_going(view) && facts.state.phase != Phase::Pending;
    let patience = match (is_past(view, deadline), is_leaving) {
        (true, _) => 0,
        // A step was tried and failed: no need to wait and see.
        (false, true) if view.seen.failure.is_some() => 0,
        // The sale's own processes may be waiting for it: then no step of the operator's ever fails.
        (false, true) => AWAY_MAX,
        (false, false) => return None,
    };
    if let Some((reason, message)) = teardown::away(view, patience) {
        return Some(said("TeardownBlocked", true, reason, message));
    }
    if let Some((reason @ ("OrderLogUnreachable" | "DatabaseUnreachable"), message)) = refused_step(view) {
        let message = teardown::go_on(view, &message);
        return Some(said("TeardownBlocked", true, reason, message));
    }
    if !is_past(view, deadline) {
        return None;
    }
    let databases = view
        .seen
        .world
        .databases
        .each
        .iter()
        .filter_map(|database| database.answer.told());
    let (backlog, pending) = databases.fold((0, 0), |sum, state| {
        (sum.0 + state.backlog, sum.1 + state.pending)
    });
    let look = format!(
        "kubectl -n {} logs deployment/{}",
        view.names.namespace,
        view.names.worker()
    );
    // Whether, not how many: numbers that change with every look would be a write each.
    let what = match (backlog, pending) {
        (0, 0) => "the books don't agree yet",
        (0, _) => "some orders are neither paid nor closed",
        _ => "some reservations wait for their order",
    };
    Some(said(
        "TeardownBlocked",
        true,
        "Backlog",
        format!("{what} ({look})"),
    ))
}
