//! How a sale goes: its pods first, then the log and the databases, its objects, and the revision that owns them last.

use crate::api::{FlashSaleClassSpec, LoadState, Phase, TeardownPolicy, condition};
use crate::drive;
use crate::failure::FailureKind;
use crate::observed::{Answer, Kind};
use crate::outcome::Step;
use crate::pinned::OWNER;
use crate::policy::{CLOSE_FROM_LOG_MAX, TEARDOWN_AFTER};
use crate::render::Component;
use crate::tell;
use crate::time::{Millis, timestamp};
use crate::view::View;

/// Kinds of which pods come, and the way in.
const FIRST: [Kind; 4] = [
    Kind::HttpRoute,
    Kind::Ingress,
    Kind::Deployment,
    Kind::StatefulSet,
];

/// When a settled sale's parts go.
pub(crate) fn due(view: &View<'_>, settled: Millis) -> Millis {
    let after = view.spec.teardown.as_ref().and_then(|teardown| teardown.after);
    let class = class(view).and_then(|class| class.defaults.as_ref()?.teardown.as_ref()?.after);
    settled.saturating_add(
        after
            .or(class)
            .map_or(TEARDOWN_AFTER, crate::api::HumanDuration::millis),
    )
}

/// The class as pinned, or as it is where the pin went first.
fn class<'a>(view: &'a View<'_>) -> Option<&'a FlashSaleClassSpec> {
    if let Some((_, pin)) = &view.pin {
        return Some(&pin.class_spec);
    }
    let name = view.old.class.as_ref().map(|class| class.name.as_str());
    let found = view
        .seen
        .classes
        .iter()
        .find(|class| name.is_some() && class.metadata.name.as_deref() == name);
    found.map(|class| &class.spec)
}

/// Whether the sale's stock ever was, or may have been, in the shards.
pub(crate) fn was_loaded(view: &View<'_>) -> bool {
    let known = view
        .old
        .load
        .as_ref()
        .is_some_and(|load| load.state != LoadState::Unseeded);
    let is_early = matches!(view.state.phase, Phase::Pending | Phase::Provisioning);
    known
        || view.seen.world.databases.load != LoadState::Unseeded
        || view.is_loading() && !is_early && view.old.load.is_some()
}

/// Whether the sale's stock is in the shards, or may come to be at any time: the worker loads it as soon as it runs.
pub(crate) fn may_be_loaded(view: &View<'_>) -> bool {
    let has_worker = view.child(Kind::Deployment, &view.names.worker()).is_some();
    let mut pods = view.seen.pods.iter();
    was_loaded(view) || has_worker || pods.any(|pod| pod.component == Component::Worker.word())
}

/// Whether the orders go, too: the policy says so, the books agree, and nobody gave up waiting for them.
fn forgets(view: &View<'_>, is_forced: bool) -> bool {
    if !was_loaded(view) {
        return true;
    }
    let own = view.spec.teardown.as_ref().and_then(|teardown| teardown.policy);
    let default = class(view).and_then(|class| class.defaults.as_ref()?.teardown.as_ref()?.policy);
    let agrees = view
        .old
        .settlement
        .as_ref()
        .is_some_and(|settlement| settlement.audit_ok == Some(true));
    own.or(default) == Some(TeardownPolicy::Delete) && agrees && !is_forced
}

/// Whether nothing is left but the object itself.
pub(crate) fn is_done(view: &View<'_>) -> bool {
    view.seen.revisions.is_empty() && view.pin.is_none()
}

/// The steps of taking a sale down. `is_forced`: the books never agreed, and the time for that is over.
pub(crate) fn teardown(view: &View<'_>, is_forced: bool) -> Vec<Step> {
    if is_done(view) {
        return view
            .has_finalizer()
            .then_some(Step::RemoveFinalizer)
            .into_iter()
            .collect();
    }
    let entry = view.names.child("entry");
    let is_first = |kind: Kind, name: &str| FIRST.contains(&kind) || kind == Kind::Service && name == entry;
    let first: Vec<Step> = delete(view, |kind, name| is_first(kind, name));
    let are_leaving = view
        .seen
        .children
        .iter()
        .any(|child| is_first(child.kind, &child.name));
    if are_leaving || !view.seen.pods.is_empty() {
        // What still runs could write after the log is gone: wait until it doesn't.
        return first;
    }
    if let Some(tell) = tell::step(view) {
        // What signs the call goes with the rest.
        return vec![tell];
    }
    // Whoever was waited for until the books' deadline isn't waited for as long once more. That time, unlike the one since
    // a failure, is known to an operator that starts anew, too.
    let is_late = is_forced
        && settle_deadline(view).is_some_and(|at| view.now >= at.saturating_add(CLOSE_FROM_LOG_MAX));
    let patience = if is_late { 0 } else { view.policy.settle_timeout };
    let mut steps = stores(view, forgets(view, is_forced), patience, is_late);
    let report = view.names.child("report");
    steps.extend(delete(view, |kind, name| {
        !(kind == Kind::ConfigMap && name == report)
    }));
    let mut revisions: Vec<_> = view
        .seen
        .revisions
        .iter()
        .filter(|revision| !revision.deleting)
        .collect();
    revisions.sort_by_key(|revision| (revision.revision == OWNER, revision.revision));
    steps.extend(revisions.into_iter().map(|revision| Step::Delete {
        kind: Kind::ControllerRevision,
        name: revision.name.clone(),
        uid: revision.uid.clone(),
    }));
    steps
}

fn delete(view: &View<'_>, which: impl Fn(Kind, &str) -> bool) -> Vec<Step> {
    let each = view
        .seen
        .children
        .iter()
        .filter(|child| !child.deleting && which(child.kind, &child.name));
    each.map(|child| Step::Delete {
        kind: child.kind,
        name: child.name.clone(),
        uid: child.uid.clone(),
    })
    .collect()
}

/// Log and databases. What has refused for too long is left behind, so that nothing keeps a sale for ever; `is_late`: what
/// doesn't answer, too.
fn stores(view: &View<'_>, forget_orders: bool, patience: Millis, is_late: bool) -> Vec<Step> {
    let failure = view.seen.failure.as_ref();
    let failure = failure.filter(|failure| view.now >= failure.since.saturating_add(patience));
    let refused = |matches: fn(&FailureKind) -> bool| failure.is_some_and(|failure| matches(&failure.kind));
    let world = &view.seen.world;
    let mut steps = Vec::new();
    let is_log_away = is_late && world.log.error().is_some();
    if !(is_log_away || refused(|kind| *kind == FailureKind::OrderLog)) {
        steps.push(Step::TearDownLog);
    }
    if !refused(|kind| matches!(kind, FailureKind::Database { .. })) {
        let is_away = |name: &str| is_late && world.databases.away().any(|away| away == name);
        let databases = class(view)
            .map(|class| class.databases.as_slice())
            .unwrap_or_default();
        let there = databases.iter().filter(|database| !is_away(&database.name));
        steps.extend(there.map(|database| Step::LeaveDatabase {
            database: database.name.clone(),
            forget_orders,
        }));
    }
    steps
}

/// What is done for a sale whose namespace is going: its pods, Secrets and rights go first, so the operator itself closes
/// it, from the log, with the class' credentials.
pub(crate) fn with_namespace(view: &View<'_>) -> Vec<Step> {
    if !view.has_finalizer() {
        return Vec::new();
    }
    let closing = &view.seen.world.closing;
    let is_closed = closing
        .told()
        .is_some_and(|c| c.unapplied + c.backlog + c.pending == 0);
    let is_over = matches!(view.state.phase, Phase::Settled) || !was_loaded(view);
    if !(is_over || is_closed || is_out_of_time(view)) {
        return vec![Step::CloseFromLog];
    }
    let mut steps = stores(view, forgets(view, false), CLOSE_FROM_LOG_MAX, false);
    if view.is_deleting() {
        steps.push(Step::RemoveFinalizer);
    } else {
        // Its turn to be deleted comes; nothing more is needed before.
        steps.clear();
    }
    steps
}

/// Whether the time for closing a sale from its log is over.
pub(crate) fn is_out_of_time(view: &View<'_>) -> bool {
    deleted_ms(view).is_some_and(|since| view.now >= since.saturating_add(CLOSE_FROM_LOG_MAX))
}

/// Whether a sale that is being deleted has waited long enough for its books to agree.
pub(crate) fn is_forced(view: &View<'_>) -> bool {
    let is_waiting = matches!(view.state.phase, Phase::Draining | Phase::Settling);
    drive::is_going(view) && is_waiting && settle_deadline(view).is_some_and(|deadline| view.now >= deadline)
}

/// The log or the database that hasn't answered for `at_least`, as far as that keeps a teardown back: the condition's
/// reason, and its message with the object at fault, what comes next and how to look at it.
///
/// # Guarantees
/// The time counts from the deletion at the earliest. What was said stays said until there is an answer, so a restart of
/// the operator, which forgets since when there was none, takes nothing back.
pub(crate) fn away(view: &View<'_>, at_least: Millis) -> Option<(&'static str, String)> {
    let said = condition(&view.old.conditions, "TeardownBlocked").map(|said| said.reason.as_str());
    let is_away = |reason: &str, since: Millis| {
        let since = since.max(deleted_ms(view).unwrap_or(0));
        said == Some(reason) || view.now >= since.saturating_add(at_least)
    };
    if let Answer::Failed { error, since } = &view.seen.world.log
        && is_away("OrderLogUnreachable", *since)
    {
        let what = format!("the order log of class {}, Pulsar: {error}", class_name(view));
        return Some(("OrderLogUnreachable", go_on(view, &what)));
    }
    view.seen
        .world
        .databases
        .each
        .iter()
        .find_map(|database| match &database.answer {
            Answer::Failed { error, since } if is_away("DatabaseUnreachable", *since) => {
                let what = format!(
                    "database {} of class {}: {error}",
                    database.name,
                    class_name(view)
                );
                Some(("DatabaseUnreachable", go_on(view, &what)))
            }
            _ => None,
        })
}

/// What is in the way, with what comes next: it is mended, or the sale goes without it.
pub(crate) fn go_on(view: &View<'_>, what: &str) -> String {
    let look = format!("kubectl describe flashsaleclass {}", class_name(view));
    let by = gives_up_at(view).filter(|at| view.now < *at);
    let by = by.map_or_else(String::new, |at| format!(" by {}", timestamp(at)));
    let end = if what.ends_with('?') { "" } else { "." };
    format!(
        "{what}{end} Mend it ({look}), and the sale goes on by itself; if that isn't done{by}, it goes without, and its orders stay in the databases"
    )
}

/// When nobody waits any more for a server that doesn't answer.
fn gives_up_at(view: &View<'_>) -> Option<Millis> {
    if view.seen.namespace.terminating {
        return deleted_ms(view).map(|since| since.saturating_add(CLOSE_FROM_LOG_MAX));
    }
    if matches!(view.state.phase, Phase::Draining | Phase::Settling) {
        // The books first, then who doesn't answer: see `teardown`.
        return settle_deadline(view).map(|at| at.saturating_add(CLOSE_FROM_LOG_MAX));
    }
    let failure = view.seen.failure.as_ref()?;
    Some(failure.since.saturating_add(view.policy.settle_timeout))
}

fn class_name<'a>(view: &'a View<'_>) -> &'a str {
    let pinned = view.pin.as_ref().map(|(_, pin)| pin.class.name.as_str());
    pinned
        .or_else(|| view.old.class.as_ref().map(|class| class.name.as_str()))
        .unwrap_or("NAME")
}

/// Until when a sale's books may take to agree.
fn settle_deadline(view: &View<'_>) -> Option<Millis> {
    let schedule = view.old.schedule.as_ref()?;
    schedule.settle_deadline.map(crate::api::Timestamp::millis)
}

/// When the sale was deleted, if it was.
pub(crate) fn deleted_ms(view: &View<'_>) -> Option<Millis> {
    let deleted = view.seen.sale.metadata.deletion_timestamp.as_ref()?;
    u64::try_from(deleted.0.as_millisecond()).ok()
}
