//! What is worth telling as an event: edges, never states.

use crate::api::{Condition, ConditionStatus, FlashSaleStatus, Phase, condition};
use crate::conditions::SOON;
use crate::outcome::EventNote;
use crate::view::View;

/// Longest note, in characters: the API takes 1 KiB.
const NOTE_CHARS_MAX: usize = 900;

/// Conditions of which the bad edge is told, and which status is bad.
const BAD: [(&str, ConditionStatus); 7] = [
    ("Accepted", ConditionStatus::False),
    ("Stalled", ConditionStatus::True),
    ("Degraded", ConditionStatus::True),
    ("ConservationHolds", ConditionStatus::False),
    ("TeardownBlocked", ConditionStatus::True),
    ("UpgradePending", ConditionStatus::True),
    ("Amended", ConditionStatus::False),
];

/// The events of the way from one status to the next.
pub(crate) fn events(view: &View<'_>, status: &FlashSaleStatus) -> Vec<EventNote> {
    let mut events = Vec::new();
    if let Some(phase) = status.phase.filter(|phase| view.old.phase != Some(*phase)) {
        events.push(phase_note(phase, status));
    }
    for (kind, bad) in BAD {
        let new = condition(&status.conditions, kind).filter(|new| new.status == bad);
        let Some(new) = new.filter(|new| new.reason != "Pending") else {
            continue;
        };
        let old = condition(&view.old.conditions, kind);
        if old.is_none_or(|old| old.status != bad || old.reason != new.reason) {
            events.push(warning(kind, new));
        }
    }
    events.extend(not_ready(view, status));
    events
}

fn warning(kind: &str, condition: &Condition) -> EventNote {
    EventNote {
        warning: kind != "UpgradePending",
        reason: condition.reason.clone(),
        action: kind.to_owned(),
        note: condition.message.chars().take(NOTE_CHARS_MAX).collect(),
    }
}

fn phase_note(phase: Phase, status: &FlashSaleStatus) -> EventNote {
    let url = status.entry_url.as_deref().unwrap_or_default();
    let stock = status
        .summary
        .as_ref()
        .and_then(|summary| summary.stock.clone())
        .unwrap_or_default();
    let settlement = status
        .settlement
        .as_ref()
        .and_then(|settlement| settlement.message.clone())
        .unwrap_or_default();
    let note = match phase {
        Phase::Pending => "the sale waits for its time".to_owned(),
        Phase::Provisioning => {
            "the sale's parts are being made; class, host and namespace are taken".to_owned()
        }
        Phase::Warming => {
            format!("the stock of {stock} units is being loaded; items can't be added or removed any more")
        }
        Phase::Registering => format!("buyers register at {url}"),
        Phase::Armed => format!("all blocking gates hold; the sale opens at its time at {url}"),
        Phase::Open => format!("buyers buy at {url}"),
        Phase::Draining => "the sale has closed; reservations become orders".to_owned(),
        Phase::Settling => {
            "no reservation waits any more; orders are paid or closed, then the books are compared".to_owned()
        }
        Phase::Settled if settlement.is_empty() => "the sale is over; nothing was sold".to_owned(),
        Phase::Settled => settlement,
        Phase::Failed => "the sale can't go on; Stalled says why".to_owned(),
    };
    EventNote {
        warning: phase == Phase::Failed,
        reason: format!("{phase:?}"),
        action: "Phase".to_owned(),
        note: note.chars().take(NOTE_CHARS_MAX).collect(),
    }
}

/// Once, a quarter of an hour before the opening, if blocking gates are still red then. That time is told in the
/// condition's message, so the edge is seen by whoever looks.
fn not_ready(view: &View<'_>, status: &FlashSaleStatus) -> Option<EventNote> {
    let early = [Phase::Provisioning, Phase::Warming, Phase::Registering];
    let was_early = view.old.phase.is_some_and(|phase| early.contains(&phase));
    let is_early = status.phase.is_some_and(|phase| early.contains(&phase));
    let armed = condition(&status.conditions, "Armed")?;
    let told = condition(&view.old.conditions, "Armed")?;
    let is_edge = armed.message.contains(SOON) && !told.message.contains(SOON);
    (was_early && is_early && is_edge).then(|| EventNote {
        warning: true,
        reason: "NotReadyForStart".to_owned(),
        action: "Arming".to_owned(),
        note: armed.message.chars().take(NOTE_CHARS_MAX).collect(),
    })
}
