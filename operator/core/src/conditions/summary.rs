//! What the others come to: whether it stands still, moves, or is ready.

use super::making::accepted;
use super::{Facts, Said, is_past, said};
use crate::api::{ConditionStatus, Phase};
use crate::drive;
use crate::failure::FailureKind;
use crate::observed::DataPhase;
use crate::view::View;

pub(super) fn stalled(view: &View<'_>, facts: &Facts<'_>, blocked: Option<&Said>) -> Said {
    let yes = |reason, message: String| said("Stalled", true, reason, message);
    let schedule = facts.status.schedule.clone().unwrap_or_default();
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
            if is_past(view, schedule.provision_deadline) {
                return yes("ProvisionTimeout", "the sale's parts aren't ready in time; Provisioned says what keeps them, and it goes on trying".to_owned());
            }
        }
        Phase::Warming if is_past(view, schedule.warm_deadline) => {
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

pub(super) fn reconciling(view: &View<'_>, facts: &Facts<'_>, stalled: &Said) -> Said {
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
pub(super) fn ready(view: &View<'_>, facts: &Facts<'_>, stalled: &Said, reconciling: &Said) -> Said {
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
