//! Which events what was seen amounts to, and how far they carry a sale.

use crate::api::{LockLevel, Phase};
use crate::gates::{self, Stand};
use crate::lifecycle::{Effect, Event, State, step};
use crate::observed::{Answer, DataPhase};
use crate::pinning::Pinning;
use crate::policy::ARM_BEFORE;
use crate::teardown;
use crate::view::View;

/// More events than phases can't happen in one look.
const EVENTS_MAX: usize = 16;

/// Gates without which no stock is loaded: past them, only the data plane itself has to become warm.
const BEFORE_LOADING: [&str; 6] = [
    "CredentialsReady",
    "OrderLogReady",
    "DatabasesReady",
    "ShardsReady",
    "NoPredecessor",
    "DrillPassed",
];

/// Moves a sale on as far as what was seen allows; answers the effects, in order.
pub(crate) fn drive(view: &View<'_>, gates: &[Stand], pinning: &Pinning) -> (State, Vec<Effect>) {
    let (mut state, mut effects) = (view.state, Vec::new());
    for _ in 0..EVENTS_MAX {
        let Some(event) = event(view, gates, pinning, state) else {
            break;
        };
        let (next, done) = step(state, event);
        if next == state {
            break;
        }
        effects.extend(done);
        state = next;
    }
    (state, effects)
}

/// What happened next to a sale in this state.
fn event(view: &View<'_>, gates: &[Stand], pinning: &Pinning, state: State) -> Option<Event> {
    let now = view.now;
    match state.phase {
        Phase::Pending if is_called_off(view) => Some(Event::Withdrawn),
        Phase::Pending if is_missed(view) => Some(Event::MissedOpening),
        Phase::Pending => (view.basis.is_ok() && now >= view.provision_ms()).then_some(Event::Due),
        // What is locked says what was meant before a crash; what is there says what came of it.
        Phase::Provisioning if is_called_off(view) && !teardown::may_be_loaded(view) => {
            Some(Event::Withdrawn)
        }
        Phase::Provisioning if is_called_off(view) => Some(Event::CalledOff),
        Phase::Provisioning | Phase::Warming | Phase::Registering | Phase::Armed | Phase::Open
            if state.level >= LockLevel::Closed && !is_called_off(view) =>
        {
            Some(closed_for_good(state))
        }
        // A crash after the lock: the stock may be loading already.
        Phase::Provisioning if view.is_loading() => Some(Event::PartsReady),
        Phase::Provisioning if is_missed(view) => Some(Event::MissedOpening),
        Phase::Provisioning => may_load(view, gates, pinning).then_some(Event::PartsReady),
        Phase::Warming | Phase::Registering | Phase::Armed | Phase::Open if is_called_off(view) => {
            Some(Event::CalledOff)
        }
        Phase::Warming | Phase::Registering | Phase::Armed => before_opening(view, gates, state),
        Phase::Open => is_closed(view).then_some(Event::Closed),
        Phase::Draining => is_drained(view).then_some(Event::BacklogGone),
        Phase::Settling => books(view),
        Phase::Settled | Phase::Failed => None,
    }
}

/// What it was that closed a sale whose phase was still to be written: it may look otherwise by now, and nothing may open
/// that was closed for good.
fn closed_for_good(state: State) -> Event {
    match state.phase {
        Phase::Armed | Phase::Open => Event::Closed,
        _ => Event::MissedOpening,
    }
}

fn before_opening(view: &View<'_>, gates: &[Stand], state: State) -> Option<Event> {
    if is_closed(view) && state.phase == Phase::Armed {
        return Some(Event::Closed);
    }
    if is_open(view, state) {
        return Some(Event::Opened);
    }
    if state.phase == Phase::Armed {
        return None;
    }
    if is_missed(view) {
        return Some(Event::MissedOpening);
    }
    if !gates::are_green(gates) {
        return None;
    }
    match view.registration() {
        Some((from, until)) if view.now < until.min(view.open_ms().saturating_sub(ARM_BEFORE)) => {
            let opens = state.phase == Phase::Warming && view.now >= from;
            opens.then_some(Event::RegistrationOpened)
        }
        _ => Some(Event::GatesGreen),
    }
}

/// Whether it is called off by its owner, by its deletion, or by its namespace's.
pub(crate) fn is_called_off(view: &View<'_>) -> bool {
    view.spec.cancellation.is_some() || is_going(view)
}

/// Whether the sale is being deleted, and nothing forbids that.
pub(crate) fn is_going(view: &View<'_>) -> bool {
    view.seen.namespace.terminating || view.is_deleting() && !is_deletion_refused(view)
}

/// Whether the class keeps a live sale from being deleted, and nobody has said that they know.
pub(crate) fn is_deletion_refused(view: &View<'_>) -> bool {
    let is_live = view.is_loading()
        && match view.state.phase {
            Phase::Settled | Phase::Failed => false,
            Phase::Provisioning => teardown::may_be_loaded(view),
            _ => true,
        };
    let allowed = view.annotation(flashsale_crds::objects::ALLOW_DELETION_ANNOTATION);
    view.is_deleting() && view.policy.refuses_deletion && is_live && allowed != Some(view.names.uid.as_str())
}

/// Whether nothing speaks against loading the stock.
fn may_load(view: &View<'_>, gates: &[Stand], pinning: &Pinning) -> bool {
    let is_needed = |gate: &&Stand| BEFORE_LOADING.contains(&gate.name);
    let is_pinned = view.pin.is_some() && pinning.new.is_none();
    view.basis.is_ok() && is_pinned && gates.iter().filter(is_needed).all(|gate| gate.red.is_none())
}

/// Whether buyers can buy. The data plane says so; if it can't be asked, an armed sale opens by its clock all the same.
fn is_open(view: &View<'_>, state: State) -> bool {
    let is_warm = || {
        let mut gateways = view.seen.children.iter().filter(|child| {
            child.kind == crate::observed::Kind::Deployment
                && child.name.starts_with(&view.names.gateways(""))
        });
        gateways.any(|child| child.replicas.is_some_and(|replicas| replicas.ready > 0))
    };
    match &view.seen.world.figures {
        Answer::Told { value, .. } if value.phase >= DataPhase::Open => value.loaded && is_warm(),
        Answer::Told { .. } => false,
        Answer::Failed { .. } | Answer::NotAsked => {
            state.level >= LockLevel::Armed && view.now >= view.open_ms()
        }
    }
}

/// Whether nothing is sold any more.
fn is_closed(view: &View<'_>) -> bool {
    let data_plane = view
        .figures()
        .is_some_and(|figures| figures.phase >= DataPhase::Draining);
    // Only what the pins say counts as the end: a later one, just amended, is one that shards know of soon.
    data_plane || view.now >= view.close_ms()
}

fn is_missed(view: &View<'_>) -> bool {
    let grace_ends = view.open_ms().saturating_add(view.policy.grace);
    view.now >= grace_ends.min(view.close_ms())
}

/// Whether no reservation waits for its order: the worker says so, or the operator closed the sale itself.
fn is_drained(view: &View<'_>) -> bool {
    let worker = view
        .figures()
        .is_some_and(|figures| figures.phase >= DataPhase::Settling);
    let operator = view.seen.world.closing.told();
    worker || operator.is_some_and(|closing| closing.unapplied == 0 && closing.backlog == 0)
}

fn books(view: &View<'_>) -> Option<Event> {
    let audit = view.seen.world.audit.told()?;
    Some(if audit.findings.is_empty() {
        Event::BooksAgree
    } else {
        Event::BooksDisagree
    })
}
