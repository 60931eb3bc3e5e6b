//! The plan of a sale: one look, the events that it amounts to, the steps, the status.

use crate::accept;
use crate::api::{LockLevel, Phase};
use crate::drive::{self, drive};
use crate::events::events;
use crate::gates::{self, Stand};
use crate::lifecycle::{Effect, State};
use crate::observed::{Kind, Observed};
use crate::outcome::{Plan, Step};
use crate::pages;
use crate::pinned::finished;
use crate::pinning::{Pinning, cancellation, pinning};
use crate::policy::READY_BEFORE;
use crate::render::sale_labels;
use crate::report;
use crate::switches;
use crate::teardown;
use crate::tell;
use crate::time::Millis;
use crate::view::View;
use crate::work::{lock, work};
use serde_json::json;
use std::time::Duration;

/// Something moves: look again soon.
const SOON: Duration = Duration::from_secs(2);
/// Nothing moves, and what is watched says when it does.
const SELDOM: Duration = Duration::from_hours(1);
/// What isn't accepted may be, when something that isn't watched changes.
const NOT_ACCEPTED: Duration = Duration::from_mins(5);

/// Plans a sale's next steps, at `now` in milliseconds since 1970.
#[must_use]
pub fn plan(seen: &Observed, now: Millis) -> Plan {
    if accept::is_foreign(seen) {
        // Another operator's: two that write one status would never rest.
        let status = seen.sale.status.clone().unwrap_or_default();
        return Plan {
            steps: Vec::new(),
            status,
            events: Vec::new(),
            look_again: SELDOM,
        };
    }
    let view = View::new(seen, now);
    let gates = gates::gates(&view);
    let mut pinned = pinning(&view, None);
    let (state, effects) = drive(&view, &gates, &pinned);
    if effects.contains(&Effect::CallOff) {
        pinned = pinning(&view, Some(&cancellation(&view)));
    }
    let pinning = pinned;
    let steps = steps(&view, state, &effects, &pinning);
    // A plan stopped on its way: what it would have come to isn't said before it has.
    let is_stuck = seen.failure.is_some() && !steps.is_empty();
    let shown = if is_stuck { view.state } else { state };
    let status = report::status(&view, shown, &gates, &pinning);
    let events = events(&view, &status);
    let look_again = look_again(&view, state, &gates, &steps);
    Plan {
        steps,
        status,
        events,
        look_again,
    }
}

fn steps(view: &View<'_>, state: State, effects: &[Effect], pinning: &Pinning) -> Vec<Step> {
    if view.seen.namespace.terminating {
        let mut steps: Vec<Step> = lock(effects).into_iter().collect();
        steps.extend(teardown::with_namespace(view));
        return steps;
    }
    let is_forced = teardown::is_forced(view);
    if is_forced || is_leaving(view, state) {
        let mut steps: Vec<Step> = lock(effects).into_iter().collect();
        if state.phase != view.state.phase {
            // First the status says how it ended, then its parts go.
            steps.extend(report_step(view));
            return steps;
        }
        steps.extend(teardown::teardown(view, is_forced));
        return steps;
    }
    let mut steps = work(view, state, effects, pinning);
    steps.extend(pages::purge(view));
    steps.extend(report_step(view));
    steps.extend(tell::step(view));
    steps
}

/// Whether the sale's parts are to go.
fn is_leaving(view: &View<'_>, state: State) -> bool {
    let is_due = view
        .old
        .schedule
        .as_ref()
        .and_then(|schedule| schedule.teardown_time);
    let is_due = is_due.is_some_and(|due| view.now >= due.millis());
    // A sale of which nothing was loaded has nothing to wait for.
    let is_void = state.phase == Phase::Settled && !teardown::was_loaded(view);
    match state.phase {
        Phase::Settled => is_void || is_due || drive::is_going(view),
        Phase::Failed | Phase::Pending => drive::is_going(view),
        _ => false,
    }
}

/// The report, as soon as the audit is done.
fn report_step(view: &View<'_>) -> Option<Step> {
    let audit = view.seen.world.audit.told()?;
    let is_written = view
        .old
        .settlement
        .as_ref()
        .is_some_and(|settlement| settlement.report_config_map.is_some());
    if is_written || !matches!(view.state.phase, Phase::Settling) {
        return None;
    }
    let name = view.names.child("report");
    let object = json!({
        "apiVersion": Kind::ConfigMap.api_version(),
        "kind": Kind::ConfigMap.as_str(),
        "metadata": {"name": name, "namespace": view.names.namespace, "labels": sale_labels(&view.names)},
        "data": {"report.json": format!("{:#}\n", audit.report)},
    });
    Some(Step::WriteReport(finished(Kind::ConfigMap, &name, object)))
}

/// When to look again: soon while something moves, else at the next time that means something.
fn look_again(view: &View<'_>, state: State, gates: &[Stand], steps: &[Step]) -> Duration {
    if !steps.is_empty() {
        return SOON;
    }
    let is_quiet = match state.phase {
        Phase::Pending | Phase::Settled => true,
        // Kept until somebody looks; if the sale is being deleted there are steps or pods to wait for.
        Phase::Failed => !view.is_deleting(),
        // All is ready, and the opening far: what is watched says what breaks.
        Phase::Armed => gates::are_green(gates) && view.now.saturating_add(READY_BEFORE) < view.open_ms(),
        _ => false,
    };
    if !is_quiet || view.is_deleting() {
        return SOON;
    }
    if view.basis.is_err() {
        return NOT_ACCEPTED;
    }
    let teardown = view
        .old
        .schedule
        .as_ref()
        .and_then(|schedule| schedule.teardown_time);
    let times = [
        (state.level == LockLevel::Pending).then(|| view.provision_ms()),
        Some(view.open_ms().saturating_sub(READY_BEFORE)),
        Some(view.open_ms()),
        teardown.map(crate::api::Timestamp::millis),
        switches::next_expiry(&view.seen.switches, view.switch_duration(), view.now),
    ];
    let next = times.into_iter().flatten().filter(|time| *time > view.now).min();
    let next = next.into_iter().chain(pages::next_look(view)).min();
    next.map_or(SELDOM, |next| {
        Duration::from_millis(next - view.now).clamp(Duration::from_millis(50), SELDOM)
    })
}
