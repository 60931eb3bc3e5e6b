//! A sale's conditions: what is wrong, with which object, and the next command.

mod making;
mod selling;
mod summary;

use crate::api::{Condition, ConditionStatus, Timestamp, set_condition};
use crate::gates::Stand;
use crate::lifecycle::State;
use crate::pages;
use crate::pinning::Pinning;
use crate::tell;
use crate::time::timestamp;
use crate::view::View;
use making::{accepted, armed, provisioned, stock_loaded};
use selling::{amended, conservation, degraded, teardown_blocked};
use summary::{ready, reconciling, stalled};

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

/// Whether a deadline is there and over.
fn is_past(view: &View<'_>, deadline: Option<Timestamp>) -> bool {
    deadline.is_some_and(|deadline| view.now >= deadline.millis())
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
    all.extend(pages::condition(view, facts.status.pages.as_ref()));
    all.extend(tell::condition(view, facts.status.settlement.as_ref()));
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
