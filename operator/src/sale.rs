//! One look at a sale: observe, plan, apply, status.

use crate::cache::Key;
use crate::memory::Memory;
use crate::observe::{is_over, observe, phase};
use crate::operator::{Item, Operator};
use crate::queue::Again;
use crate::status;
use crate::steps::{Job, StepError};
use crate::world::now_ms;
use flashsale_operator_core::api::{FlashSale, Phase};
use flashsale_operator_core::{EventNote, Failure, FailureKind, Millis, Observed, Plan, plan};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use std::time::Duration;
use tracing::Instrument as _;

/// How soon a cache that is behind is looked at again.
const BEHIND: Duration = Duration::from_millis(200);
/// The longest time between two looks at a sale that isn't over.
const LOOK_MAX: Duration = Duration::from_secs(3_600);

/// How long an object is left alone that somebody else keeps changing.
const CONTENDED_REST: Millis = 10 * 60_000;

/// Looks at the sale of this name.
pub(crate) async fn look(operator: &Operator, key: &Key) -> Again {
    let Some(sale) = operator.caches.sales.get(key) else {
        operator.forget(key);
        operator.count_anew();
        operator.queue.forget(&Item::Sale(key.clone()));
        return Again::Never;
    };
    let uid = sale.metadata.uid.clone().unwrap_or_default();
    let span = tracing::info_span!("look", namespace = key.namespace, sale = key.name, uid);
    let memory = operator.memory(key);
    async {
        let mut memory = memory.lock().await;
        if memory.uid != uid {
            *memory = Memory::of(&uid);
        }
        let counts = !is_over(&sale);
        if memory.counted.replace(counts) != Some(counts) {
            operator.count_anew();
        }
        let version = sale.metadata.resource_version.as_ref();
        if version.is_some_and(|version| memory.replaced.contains(version)) {
            // What was written isn't seen yet; a plan from what was before would be of no use.
            return Again::In(BEHIND);
        }
        memory.replaced.clear();
        one_look(operator, &mut memory, &sale).await
    }
    .instrument(span)
    .await
}

async fn one_look(operator: &Operator, memory: &mut Memory, sale: &FlashSale) -> Again {
    let now = now_ms();
    let mut observed = observe(operator, memory, sale, now).await;
    let planned = plan(&observed, now);
    let mut job = Job::new(operator, memory, &observed);
    for step in &planned.steps {
        let result = job.carry_out(step).await;
        operator
            .metrics
            .step(kind(step), if result.is_ok() { "ok" } else { "failed" });
        match result {
            Ok(()) => tracing::info!(step = step.name(), "done"),
            // Nothing is wrong with the sale: whoever leads now, or the next look, goes on.
            Err(StepError::Moved(why)) => {
                tracing::debug!(step = step.name(), why, "the sale has changed meanwhile");
                return Again::In(BEHIND);
            }
            Err(StepError::Failed { kind, error }) => {
                tracing::warn!(step = step.name(), error, "failed");
                let version = job.version.clone();
                memory.failed(step.name(), kind, error, now);
                observed.failure.clone_from(&memory.failure);
                observed.sale.metadata.resource_version = Some(version);
                return failed(operator, memory, &observed).await;
            }
        }
    }
    let (version, released) = (job.version.clone(), job.released);
    let worked = !planned.steps.is_empty();
    memory.failure = memory.failure.take().filter(|failure| is_rested(failure, now));
    if released {
        return Again::Never;
    }
    let wait = planned.look_again.min(LOOK_MAX);
    match say(operator, memory, &observed, &planned, &version).await {
        Ok(()) if worked => Again::In(wait.min(Duration::from_secs(5))),
        Ok(()) => Again::In(wait),
        Err(again) => again,
    }
}

/// Whether a failure stays one although every step was carried out: an object is left alone that somebody else keeps
/// changing, so no step was about it.
fn is_rested(failure: &Failure, now: Millis) -> bool {
    let contended = matches!(failure.kind, FailureKind::Contended { .. });
    contended && now < failure.since.saturating_add(CONTENDED_REST)
}

/// Says what went wrong, and tries again later.
async fn failed(operator: &Operator, memory: &mut Memory, observed: &Observed) -> Again {
    let planned = plan(observed, now_ms());
    let version = observed
        .sale
        .metadata
        .resource_version
        .clone()
        .unwrap_or_default();
    // Whether that can be written or not, the failure decides when to look again.
    let _ = say(operator, memory, observed, &planned, &version).await;
    Again::Failed
}

/// Writes the status, if it is worth it, and reports the events.
async fn say(
    operator: &Operator,
    memory: &mut Memory,
    observed: &Observed,
    planned: &Plan,
    version: &str,
) -> Result<(), Again> {
    let sale = &observed.sale;
    if sale.status.as_ref() != Some(&planned.status) {
        let key = Key::of(&sale.metadata);
        let api = status::sales(&operator.hand, &key.namespace);
        let states = (
            status::value(sale.status.as_ref()),
            status::value(Some(&planned.status)),
        );
        match status::write(&operator.hand, &api, &key.name, version, (&states.0, &states.1)).await {
            Ok(written) => {
                let now = written.and_then(|sale| sale.metadata.resource_version);
                if now.is_some_and(|now| now != version) {
                    memory.replaced.push(version.to_owned());
                }
                moved_on(sale, planned.status.phase);
            }
            Err(error) if matches!(error.code(), Some(404 | 409)) => return Err(Again::In(BEHIND)),
            Err(error) => {
                tracing::warn!(%error, "the status isn't written");
                return Err(Again::Failed);
            }
        }
    }
    report(operator, sale, &planned.events).await;
    Ok(())
}

fn moved_on(sale: &FlashSale, to: Option<Phase>) {
    if let Some(to) = to
        && (sale.status.is_none() || to != phase(sale))
    {
        tracing::info!(from = ?phase(sale), ?to, "the sale has moved on");
    }
}

async fn report(operator: &Operator, sale: &FlashSale, events: &[EventNote]) {
    let about: ObjectReference = sale.object_ref(&());
    for note in events {
        operator.events.report(&about, note).await;
    }
}

/// A step's kind, for the metrics.
fn kind(step: &flashsale_operator_core::Step) -> &'static str {
    use flashsale_operator_core::Step;
    match step {
        Step::AddFinalizer => "add_finalizer",
        Step::RemoveFinalizer => "remove_finalizer",
        Step::Lock(_) => "lock",
        Step::PinRevision(_) => "pin",
        Step::WriteSecret(_) => "secret",
        Step::Apply(_) => "apply",
        Step::Scale { .. } => "scale",
        Step::Delete { .. } => "delete",
        Step::EnsureLog { .. } => "ensure_log",
        Step::EnsureDatabase { .. } => "ensure_database",
        Step::CloseFromLog => "close_from_log",
        Step::Audit => "audit",
        Step::WriteReport(_) => "report",
        Step::PublishPages { .. } => "publish_pages",
        Step::PurgeCdn { .. } => "purge_cdn",
        Step::TellShop(_) => "tell_shop",
        Step::TearDownLog => "tear_down_log",
        Step::LeaveDatabase { .. } => "leave_database",
    }
}
