//! Events about sales and switches (`events.k8s.io/v1`): each once, also over restarts.

use crate::hand::{CallError, Hand, patching};
use crate::metrics::Metrics;
use flashsale_operator_core::EventNote;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PostParams};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who reports.
const CONTROLLER: &str = "flashsale.dev/operator";
/// The same event again within this time is not written again.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// The API's limit on a note.
const NOTE_MAX: usize = 1_000;
/// Events that are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// Writes events.
pub(crate) struct Events {
    hand: Hand,
    metrics: Metrics,
    instance: String,
    /// When which event was last written, and how often it has happened.
    written: Mutex<HashMap<String, (Instant, i32)>>,
}

/// How often something has happened, and whether that is worth a write now.
#[derive(Debug, PartialEq, Eq)]
enum Worth {
    First,
    Again(i32),
    Nothing,
}

impl Events {
    /// Reported by the pod `instance`.
    pub(crate) fn new(hand: Hand, instance: &str) -> Self {
        Self {
            metrics: hand.metrics.clone(),
            hand,
            instance: instance.to_owned(),
            written: Mutex::default(),
        }
    }

    /// Reports something about an object. What can't be written is logged: an event is never worth a failure.
    pub(crate) async fn report(&self, about: &ObjectReference, note: &EventNote) {
        let name = name(about, note);
        let result = match self.worth(&name, Instant::now()) {
            Worth::Nothing => return,
            Worth::First => match self.create(about, note, &name).await {
                // A process before this one has written it.
                Err(error) if error.code() == Some(409) => self.again(about, &name, 2).await,
                done => done,
            },
            Worth::Again(count) => match self.again(about, &name, count).await {
                // The API server drops events after an hour.
                Err(error) if error.code() == Some(404) => self.create(about, note, &name).await,
                done => done,
            },
        };
        match result {
            Ok(()) => self.metrics.event(&note.reason),
            Err(error) => tracing::warn!(%error, reason = note.reason, "an event isn't written"),
        }
    }

    fn worth(&self, name: &str, now: Instant) -> Worth {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= REMEMBERED_MAX {
            written.retain(|_, (at, _)| now.duration_since(*at) < QUIET);
        }
        match written.get_mut(name) {
            None => {
                written.insert(name.to_owned(), (now, 1));
                Worth::First
            }
            Some((at, count)) if now.duration_since(*at) >= QUIET => {
                *at = now;
                *count = count.saturating_add(1);
                Worth::Again(*count)
            }
            Some(_) => Worth::Nothing,
        }
    }

    async fn create(&self, about: &ObjectReference, note: &EventNote, name: &str) -> Result<(), CallError> {
        let namespace = namespace(about);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(Timestamp::now())),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.clone()),
            action: Some(note.action.clone()),
            note: Some(short(&note.note)),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.hand.client.clone(), namespace);
        self.hand
            .write(api.create(&PostParams::default(), &event))
            .await
            .map(drop)
    }

    async fn again(&self, about: &ObjectReference, name: &str, count: i32) -> Result<(), CallError> {
        let series = EventSeries {
            count,
            last_observed_time: MicroTime(Timestamp::now()),
        };
        let api: Api<Event> = Api::namespaced(self.hand.client.clone(), namespace(about));
        let patch = Patch::Merge(json!({"series": series}));
        self.hand
            .write(api.patch(name, &patching(), &patch))
            .await
            .map(drop)
    }
}

/// Objects of the cluster have their events in `default`.
fn namespace(about: &ObjectReference) -> &str {
    about.namespace.as_deref().unwrap_or("default")
}

/// A name that follows from what is said of whom, so that two processes write the same event once.
fn name(about: &ObjectReference, note: &EventNote) -> String {
    let said = [
        about.uid.as_deref().unwrap_or_default(),
        &note.reason,
        &note.action,
        &note.note,
    ];
    let digest = blake3::hash(said.join("\0").as_bytes());
    let object = about.name.as_deref().unwrap_or_default();
    format!("{object}.{}", &digest.to_hex()[..16])
}

fn short(note: &str) -> String {
    match note.char_indices().nth(NOTE_MAX) {
        Some((end, _)) => format!("{}…", &note[..end]),
        None => note.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(note: &str) -> EventNote {
        EventNote {
            warning: false,
            reason: "Armed".into(),
            action: "Arming".into(),
            note: note.into(),
        }
    }

    #[test]
    fn another_sale_of_the_same_name_has_events_of_its_own() {
        let of = |uid: &str| ObjectReference {
            name: Some("phone".into()),
            uid: Some(uid.into()),
            ..ObjectReference::default()
        };
        assert_eq!(name(&of("1"), &note("a")), name(&of("1"), &note("a")));
        assert_ne!(name(&of("1"), &note("a")), name(&of("2"), &note("a")));
        assert_ne!(name(&of("1"), &note("a")), name(&of("1"), &note("b")));
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        let long = "ä".repeat(2_000);
        assert_eq!(short(&long).chars().count(), NOTE_MAX + 1);
        assert_eq!(short("a"), "a");
    }
}
