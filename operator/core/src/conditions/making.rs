//! Whether the sale is accepted, its parts made, its stock loaded, and it armed.

use super::{Facts, SOON, Said, said};
use crate::api::{LoadState, Phase};
use crate::failure::FailureKind;
use crate::gates::{self, Stand};
use crate::observed::{Kind, Trouble};
use crate::policy::READY_BEFORE;
use crate::teardown;
use crate::view::View;

pub(super) fn accepted(view: &View<'_>) -> Said {
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

pub(super) fn provisioned(view: &View<'_>, facts: &Facts<'_>) -> Said {
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
pub(super) fn refused_step(view: &View<'_>) -> Option<(&'static str, String)> {
    let failure = view.seen.failure.as_ref()?;
    let reason = match &failure.kind {
        FailureKind::Quota => "QuotaExceeded",
        FailureKind::OrderLog => "OrderLogUnreachable",
        FailureKind::Database { .. } => "DatabaseUnreachable",
        FailureKind::SecretMissing => "SecretMissing",
        FailureKind::Forbidden | FailureKind::Contended { .. } | FailureKind::Other => "Progressing",
        FailureKind::Shop => return None,
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

pub(super) fn stock_loaded(view: &View<'_>, facts: &Facts<'_>) -> Said {
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

pub(super) fn armed(view: &View<'_>, facts: &Facts<'_>) -> Said {
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
