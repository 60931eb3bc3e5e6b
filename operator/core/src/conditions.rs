//! A sale's conditions: what is wrong, with which object, and the next command.

use crate::api::{Condition, ConditionStatus, LoadState, Phase, set_condition};
use crate::drive;
use crate::failure::FailureKind;
use crate::gates::{self, Stand};
use crate::lifecycle::State;
use crate::observed::{DataPhase, Kind, Trouble};
use crate::pinning::Pinning;
use crate::policy::{AWAY_MAX, READY_BEFORE};
use crate::teardown;
use crate::time::timestamp;
use crate::view::View;

/// What one condition says.
pub(crate) struct Said {
    pub(crate) kind: &'static str,
    pub(crate) status: ConditionStatus,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What a red sale's message says once its opening is near.
pub(crate) const SOON: &str = ", less than 15 minutes before the opening";
/// Longest message, in characters.
const MESSAGE_CHARS_MAX: usize = 2_000;

fn said(kind: &'static str, is_so: bool, reason: &'static str, message: impl Into<String>) -> Said {
    let status = if is_so {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    Said {
        kind,
        status,
        reason,
        message: message.into(),
    }
}

/// What is known before conditions are said.
pub(crate) struct Facts<'a> {
    pub(crate) state: State,
    pub(crate) gates: &'a [Stand],
    pub(crate) pinning: &'a Pinning,
    /// The status that is being put together: deadlines, load, figures, settlement.
    pub(crate) status: &'a crate::api::FlashSaleStatus,
}

/// All conditions of a sale, in the order in which they are shown.
pub(crate) fn conditions(view: &View<'_>, facts: &Facts<'_>) -> Vec<Condition> {
    let mut all = vec![
        accepted(view),
        provisioned(view, facts),
        stock_loaded(view, facts),
        armed(view, facts),
    ];
    all.extend(amended(view, facts));
    all.push(degraded(view, facts));
    all.extend(conservation(facts));
    if facts.pinning.upgrade_pending {
        let version = &view.seen.settings.operator_version;
        all.push(said(
            "UpgradePending",
            true,
            "Pinned",
            format!("operator {version} would make this sale's pods otherwise; they stay as they are until the sale is over"),
        ));
    }
    let blocked = teardown_blocked(view, facts);
    let stalled = stalled(view, facts, blocked.as_ref());
    all.extend(blocked);
    let reconciling = reconciling(view, facts, &stalled);
    all.push(ready(view, facts, &stalled, &reconciling));
    all.push(reconciling);
    all.push(stalled);
    kept(view, all)
}

/// Puts what is said now into the place of what was said before, so that unchanged ones keep their times. What isn't
/// said any more goes.
fn kept(view: &View<'_>, all: Vec<Said>) -> Vec<Condition> {
    let mut kept: Vec<Condition> = view
        .old
        .conditions
        .iter()
        .filter(|old| all.iter().any(|said| said.kind == old.kind))
        .cloned()
        .collect();
    for Said {
        kind,
        status,
        reason,
        message,
    } in all
    {
        set_condition(
            &mut kept,
            Condition {
                kind: kind.to_owned(),
                status,
                observed_generation: Some(view.generation),
                last_transition_time: timestamp(view.now),
                reason: reason.to_owned(),
                message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
            },
        );
    }
    kept
}

fn accepted(view: &View<'_>) -> Said {
    match &view.basis {
        Ok(basis) => said(
            "Accepted",
            true,
            "Accepted",
            format!(
                "class {}, generation {}",
                basis.class.name, basis.class.generation
            ),
        ),
        Err(refused) => said("Accepted", false, refused.reason, refused.message.clone()),
    }
}

fn provisioned(view: &View<'_>, facts: &Facts<'_>) -> Said {
    let no = |reason, message: String| said("Provisioned", false, reason, message);
    match facts.state.phase {
        Phase::Pending => {
            return no(
                "Scheduled",
                "the sale's parts are made when its time comes".to_owned(),
            );
        }
        Phase::Settled if teardown::is_done(view) => {
            return no("TornDown", "the sale is over and its parts are gone".to_owned());
        }
        _ => {}
    }
    if let Some((reason, message)) = refused_step(view) {
        return no(reason, message);
    }
    for gate in facts
        .gates
        .iter()
        .filter(|gate| ["CredentialsReady", "OrderLogReady", "DatabasesReady"].contains(&gate.name))
    {
        if let Some(red) = &gate.red {
            let known = ["SecretMissing", "OrderLogUnreachable", "DatabaseUnreachable"];
            let reason = if known.contains(&red.reason) && !red.is_pending {
                red.reason
            } else {
                "Progressing"
            };
            return no(reason, red.message.clone());
        }
    }
    if let Some((reason, message)) = trouble(view) {
        return no(reason, message);
    }
    for gate in facts.gates.iter().filter(|gate| gate.name == "ShardsReady") {
        if let Some(red) = &gate.red {
            return no("Progressing", red.message.clone());
        }
    }
    let payments = view
        .child(Kind::Deployment, &view.names.payments())
        .and_then(|child| child.replicas);
    if payments.is_none_or(|replicas| replicas.ready < 1) {
        return no(
            "Progressing",
            format!("Deployment {} isn't ready", view.names.payments()),
        );
    }
    said(
        "Provisioned",
        true,
        "Provisioned",
        "all parts of the sale are there and ready",
    )
}

/// A step that was refused, if that is what keeps parts from being made.
fn refused_step(view: &View<'_>) -> Option<(&'static str, String)> {
    let failure = view.seen.failure.as_ref()?;
    let reason = match &failure.kind {
        FailureKind::Quota => "QuotaExceeded",
        FailureKind::OrderLog => "OrderLogUnreachable",
        FailureKind::Database { .. } => "DatabaseUnreachable",
        FailureKind::SecretMissing => "SecretMissing",
        FailureKind::Forbidden | FailureKind::Contended { .. } | FailureKind::Other => "Progressing",
    };
    Some((reason, format!("{}: {}", failure.step, failure.error)))
}

/// What keeps pods from running, the worst first.
fn trouble(view: &View<'_>) -> Option<(&'static str, String)> {
    let all: Vec<&Trouble> = view
        .seen
        .children
        .iter()
        .flat_map(|child| &child.troubles)
        .collect();
    let first = |pick: &dyn Fn(&Trouble) -> Option<(&'static str, String)>| {
        all.iter().find_map(|trouble| pick(trouble))
    };
    first(&|trouble| match trouble {
        Trouble::Quota { message } => Some(("QuotaExceeded", message.clone())),
        _ => None,
    })
    .or_else(|| {
        first(&|trouble| match trouble {
            Trouble::Unschedulable { pod, message } => {
                Some(("Unschedulable", format!("pod {pod}: {message}")))
            }
            _ => None,
        })
    })
    .or_else(|| {
        first(&|trouble| match trouble {
            Trouble::Image { pod, message }
            | Trouble::Mount { pod, message }
            | Trouble::Crashing { pod, message } => Some(("Progressing", format!("pod {pod}: {message}"))),
            _ => None,
        })
    })
}

fn stock_loaded(view: &View<'_>, facts: &Facts<'_>) -> Said {
    let state = facts
        .status
        .load
        .as_ref()
        .map_or(LoadState::Unseeded, |load| load.state);
    match state {
        LoadState::Seeded => said("StockLoaded", true, "Loaded", "each unit is in a shard, once"),
        LoadState::Seeding => said(
            "StockLoaded",
            false,
            "Loading",
            "the stock is being loaded; it goes on where it was, and never from the start",
        ),
        LoadState::Unseeded if view.is_loading() && facts.state.phase == Phase::Warming => {
            let look = format!(
                "kubectl -n {} logs deployment/{}",
                view.names.namespace,
                view.names.worker()
            );
            said(
                "StockLoaded",
                false,
                "Waiting",
                format!("the worker hasn't begun to load the stock ({look})"),
            )
        }
        LoadState::Unseeded => said("StockLoaded", false, "NotLoaded", "no stock is loaded yet"),
    }
}

fn armed(view: &View<'_>, facts: &Facts<'_>) -> Said {
    match facts.state.phase {
        Phase::Armed | Phase::Open => return said("Armed", true, "Armed", "all blocking gates held"),
        Phase::Draining | Phase::Settling | Phase::Settled => {
            return said("Armed", false, "Over", "the sale has closed");
        }
        Phase::Failed => return said("Armed", false, "Failed", "the sale has failed"),
        Phase::Pending => {
            return said(
                "Armed",
                false,
                "Scheduled",
                "the gates are looked at once the sale's parts are made",
            );
        }
        Phase::Provisioning | Phase::Warming | Phase::Registering => {}
    }
    let red = |gate: &&Stand| gate.is_blocking && gate.red.is_some();
    let Some(first) = facts.gates.iter().find(red) else {
        return said(
            "Armed",
            false,
            "Waiting",
            "all blocking gates hold; the sale is armed when registration ends",
        );
    };
    // What is broken is the reason before what is only early.
    let worst = facts
        .gates
        .iter()
        .find(|gate| red(gate) && gate.red.as_ref().is_some_and(|red| !red.is_pending));
    let worst = worst.unwrap_or(first);
    let reason = match worst.name {
        "NoPredecessor" => "NoPredecessor",
        "ClocksInSync" if worst.red.as_ref().is_some_and(|red| !red.is_pending) => "ClockSkew",
        "DrillPassed" => "DrillMissing",
        _ => "GateFailed",
    };
    let (green, all) = gates::count(facts.gates);
    let names: Vec<&str> = facts.gates.iter().filter(red).map(|gate| gate.name).collect();
    let why = worst.red.as_ref().map_or("", |red| red.message.as_str());
    let namespace = &view.names.namespace;
    let is_soon = view.now >= view.open_ms().saturating_sub(READY_BEFORE);
    let soon = if is_soon { SOON } else { "" };
    let look = format!(
        "kubectl -n {namespace} get flashsale {} -o yaml shows all",
        view.names.sale
    );
    let red = names.join(", ");
    said(
        "Armed",
        false,
        reason,
        format!(
            "{green} of {all} gates green{soon}; red: {red}; {}: {why} ({look})",
            worst.name
        ),
    )
}

fn amended(view: &View<'_>, facts: &Facts<'_>) -> Option<Said> {
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

fn degraded(view: &View<'_>, facts: &Facts<'_>) -> Said {
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

fn conservation(facts: &Facts<'_>) -> Option<Said> {
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

fn teardown_blocked(view: &View<'_>, facts: &Facts<'_>) -> Option<Said> {
    let schedule = facts.status.schedule.clone().unwrap_or_default();
    let is_past = |deadline: Option<crate::api::Timestamp>| {
        deadline.is_some_and(|deadline| view.now >= deadline.millis())
    };
    let deadline = match facts.state.phase {
        Phase::Draining => schedule.drain_deadline,
        Phase::Settling => schedule.settle_deadline,
        _ => None,
    };
    let is_leaving = drive::is_going(view) && facts.state.phase != Phase::Pending;
    let patience = match (is_past(deadline), is_leaving) {
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
    if !is_past(deadline) {
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

fn stalled(view: &View<'_>, facts: &Facts<'_>, blocked: Option<&Said>) -> Said {
    let yes = |reason, message: String| said("Stalled", true, reason, message);
    let schedule = facts.status.schedule.clone().unwrap_or_default();
    let is_past = |deadline: Option<crate::api::Timestamp>| {
        deadline.is_some_and(|deadline| view.now >= deadline.millis())
    };
    let predecessor = facts
        .gates
        .iter()
        .find(|gate| gate.name == "NoPredecessor")
        .and_then(|gate| gate.red.as_ref());
    match facts.state.phase {
        Phase::Failed => {
            let audit = facts
                .status
                .settlement
                .as_ref()
                .and_then(|settlement| settlement.audit_ok);
            return if audit == Some(false) {
                yes(
                    "ConservationBroken",
                    "the audit found what doesn't add up; everything is kept: see the report".to_owned(),
                )
            } else {
                yes("MissedOpening", "the sale wasn't ready in time, nothing was sold: create it anew under another name, with a later opening".to_owned())
            };
        }
        Phase::Provisioning => {
            if let Some(red) = predecessor.filter(|red| !red.is_pending) {
                return yes("PreviousSaleUnsettled", red.message.clone());
            }
            if is_past(schedule.provision_deadline) {
                return yes("ProvisionTimeout", "the sale's parts aren't ready in time; Provisioned says what keeps them, and it goes on trying".to_owned());
            }
        }
        Phase::Warming if is_past(schedule.warm_deadline) => {
            return yes("ProvisionTimeout", "the stock isn't loaded, or the gateways aren't warm, in time; Armed says what is red, and it goes on trying".to_owned());
        }
        _ => {}
    }
    if let Some(failure) = &view.seen.failure
        && let FailureKind::Contended { manager } = &failure.kind
    {
        return yes(
            "Contended",
            format!(
                "{}: {manager} takes the same fields back again and again: end its doing; the operator lets it be for 10 minutes",
                failure.step
            ),
        );
    }
    if let Some(blocked) = blocked {
        return yes(
            "TeardownBlocked",
            format!("{}: {}", blocked.reason, blocked.message),
        );
    }
    said("Stalled", false, "Moving", "nothing is overdue")
}

fn reconciling(view: &View<'_>, facts: &Facts<'_>, stalled: &Said) -> Said {
    let yes = |reason, message: &str| said("Reconciling", true, reason, message);
    if stalled.status == ConditionStatus::True {
        return said("Reconciling", false, "Stalled", "Stalled says why nothing moves");
    }
    if drive::is_deletion_refused(view) {
        let (namespace, sale, uid) = (&view.names.namespace, &view.names.sale, &view.names.uid);
        let key = flashsale_crds::objects::ALLOW_DELETION_ANNOTATION;
        let say = format!(
            "the class doesn't let a live sale be deleted; to close, drain and remove it: kubectl -n {namespace} annotate flashsale {sale} {key}={uid}"
        );
        return yes("DeletionRefused", &say);
    }
    if drive::is_going(view) {
        return yes(
            "Deleting",
            "the sale closes, what was taken is worked off, then its parts go",
        );
    }
    if view.basis.is_err() {
        return yes(
            "NotAccepted",
            "Accepted says what is missing; it is looked at again when that comes",
        );
    }
    match facts.state.phase {
        Phase::Provisioning => yes("Provisioning", "the sale's parts are being made"),
        Phase::Warming => yes(
            "Warming",
            "the stock is being loaded and the gateways become warm",
        ),
        _ => said(
            "Reconciling",
            false,
            "Done",
            "everything is as far as it can be by now",
        ),
    }
}

/// Whether the sale is on course for now: a scheduled one is, long before it is armed.
fn ready(view: &View<'_>, facts: &Facts<'_>, stalled: &Said, reconciling: &Said) -> Said {
    if stalled.status == ConditionStatus::True {
        return said("Ready", false, stalled.reason, stalled.message.clone());
    }
    if reconciling.status == ConditionStatus::True {
        let why = if reconciling.reason == "NotAccepted" {
            accepted(view).message
        } else {
            reconciling.message.clone()
        };
        return said("Ready", false, reconciling.reason, why);
    }
    let (reason, message) = match facts.state.phase {
        Phase::Pending => ("Scheduled", "the sale waits for its time"),
        Phase::Registering => ("Registering", "buyers register"),
        Phase::Armed => ("Armed", "the sale opens at its time"),
        Phase::Open => ("Open", "buyers buy"),
        Phase::Draining => ("Draining", "reservations become orders"),
        Phase::Settling
            if view
                .figures()
                .is_some_and(|figures| figures.phase == DataPhase::Settled) =>
        {
            ("Settling", "the books are being compared")
        }
        Phase::Settling => ("Settling", "orders are paid or closed"),
        Phase::Settled => ("Settled", "the books agree"),
        Phase::Provisioning | Phase::Warming | Phase::Failed => ("Moving", "the sale moves on"),
    };
    said("Ready", true, reason, message)
}
