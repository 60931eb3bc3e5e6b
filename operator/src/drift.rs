//! Whether an object still is as it was applied, and who keeps changing it.

use flashsale_operator_core::api::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// So many times within [`WINDOW`] somebody's change is taken back.
const REVERTS_MAX: usize = 3;
/// See [`REVERTS_MAX`].
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// For so long a change is left alone that comes back again and again.
const LEFT_ALONE: Duration = Duration::from_secs(10 * 60);
/// The parts of an object that are asked for; the rest is reported, or somebody else's business.
const ASKED: [&str; 6] = [
    "f:spec",
    "f:data",
    "f:rules",
    "f:roleRef",
    "f:subjects",
    "f:binaryData",
];
/// Of the fields that somebody set, so many are named.
const NAMED: usize = 3;

/// Somebody else who has set fields of what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intruder {
    /// The name under which they wrote.
    pub(crate) manager: String,
    /// Some of the fields, such as `spec.replicas`.
    pub(crate) fields: String,
}

/// Whether an entry says that somebody else set what only the operator sets.
pub(crate) fn intrudes(entry: &ManagedFieldsEntry) -> bool {
    let other = entry.manager.as_deref() != Some(FIELD_MANAGER);
    let asked = |fields: &Value| ASKED.iter().any(|part| fields.get(part).is_some());
    other && entry.subresource.is_none() && entry.fields_v1.as_ref().is_some_and(|f| asked(&f.0))
}

/// The last one who did, by the entries that watches keep.
pub(crate) fn intruder(meta: &ObjectMeta) -> Option<Intruder> {
    let entries = meta
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| intrudes(entry));
    let last = entries.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let mut fields = Vec::new();
    let all = last.fields_v1.as_ref().map_or(&Value::Null, |f| &f.0);
    for part in ASKED {
        if let Some(below) = all.get(part) {
            leaves(below, part.trim_start_matches("f:"), &mut fields);
        }
    }
    fields.truncate(NAMED);
    Some(Intruder {
        manager: last.manager.clone().unwrap_or_else(|| "unknown".to_owned()),
        fields: fields.join(", "),
    })
}

/// The paths of the fields below one, as managers' entries have them: `f:name`, `k:{…}` for a list's entry.
fn leaves(fields: &Value, path: &str, into: &mut Vec<String>) {
    let below: Vec<_> = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != ".")
        .collect();
    if below.is_empty() {
        into.push(path.to_owned());
    }
    for (key, value) in below {
        let path = match key.split_once(':') {
            Some(("f", name)) => format!("{path}.{name}"),
            Some(("k", keys)) => {
                let name = serde_json::from_str::<Value>(keys).ok();
                let name = name.as_ref().and_then(|keys| keys.as_object()?.values().next());
                let name = name.map(|n| n.as_str().map_or_else(|| n.to_string(), str::to_owned));
                format!("{path}[{}]", name.unwrap_or_default())
            }
            _ => path.to_owned(),
        };
        leaves(value, &path, into);
    }
}

/// Of what an object looks like, a digest without what others may change: status, and the replicas of what is scaled.
pub(crate) fn print(object: &Value, scaled: bool) -> String {
    let mut asked = object.clone();
    if let Some(fields) = asked.as_object_mut() {
        for reported in ["status", "metadata", "kind", "apiVersion"] {
            fields.remove(reported);
        }
    }
    if scaled && let Some(spec) = asked.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    flashsale_operator_core::canonical::digest(&serde_json::json!([asked, labels]))
}

/// Which changes were taken back when.
#[derive(Debug, Default)]
pub(crate) struct Reverts {
    /// By object and fields.
    when: HashMap<(String, String), VecDeque<Instant>>,
    left_alone: HashMap<String, (Instant, String)>,
}

impl Reverts {
    /// A change of an object was taken back. Answers whether it is to be left alone from now on.
    pub(crate) fn note(&mut self, object: &str, intruder: &Intruder, now: Instant) -> bool {
        let times = self
            .when
            .entry((object.to_owned(), intruder.fields.clone()))
            .or_default();
        times.push_back(now);
        while times
            .front()
            .is_some_and(|first| now.duration_since(*first) > WINDOW)
        {
            times.pop_front();
        }
        if times.len() < REVERTS_MAX {
            return false;
        }
        times.clear();
        let who = if intruder.fields.is_empty() {
            intruder.manager.clone()
        } else {
            format!("{} ({})", intruder.manager, intruder.fields)
        };
        self.left_alone.insert(object.to_owned(), (now + LEFT_ALONE, who));
        true
    }

    /// Who keeps changing an object that is left alone now, and for how long it still is.
    pub(crate) fn contended(&self, object: &str, now: Instant) -> Option<(&str, Duration)> {
        let (until, who) = self.left_alone.get(object)?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some((who, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, subresource: Option<&str>, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "subresource": subresource, "operation": "Update", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-11-28T10:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn only_others_who_set_what_is_asked_for_intrude() {
        let spec = json!({"f:spec": {"f:replicas": {}}});
        assert!(intrudes(&entry("kubectl-edit", None, &spec)));
        assert!(!intrudes(&entry(FIELD_MANAGER, None, &spec)));
        assert!(!intrudes(&entry("kubectl", Some("scale"), &spec)));
        let reported = json!({"f:metadata": {"f:annotations": {}}, "f:status": {}});
        assert!(!intrudes(&entry("kube-controller-manager", None, &reported)));
    }

    #[test]
    fn the_fields_are_named_as_a_person_would() {
        let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"gateway\"}": {".": {}, "f:image": {}}}}}}});
        let meta = ObjectMeta {
            managed_fields: Some(vec![entry("argocd", None, &fields)]),
            ..ObjectMeta::default()
        };
        let found = intruder(&meta).unwrap();
        assert_eq!(found.manager, "argocd");
        assert_eq!(found.fields, "spec.template.spec.containers[gateway].image");
    }

    #[test]
    fn the_third_revert_within_five_minutes_is_the_last_for_ten() {
        let (start, mut reverts) = (Instant::now(), Reverts::default());
        let who = |fields: &str| Intruder {
            manager: "argocd".into(),
            fields: fields.into(),
        };
        let minute = Duration::from_secs(60);
        assert!(!reverts.note("a", &who("x"), start));
        assert!(!reverts.note("a", &who("y"), start));
        assert!(!reverts.note("a", &who("x"), start + minute * 4));
        // The first is too long ago.
        assert!(!reverts.note("a", &who("x"), start + minute * 6));
        assert_eq!(reverts.contended("a", start + minute * 6), None);
        assert!(reverts.note("a", &who("x"), start + minute * 7));
        assert_eq!(
            reverts.contended("a", start + minute * 8),
            Some(("argocd (x)", minute * 9))
        );
        assert_eq!(reverts.contended("a", start + minute * 17), None);
        assert_eq!(reverts.contended("b", start + minute * 8), None);
    }

    #[test]
    fn status_and_what_is_scaled_dont_count() {
        let object = |replicas: u8, status: u8, image: &str| json!({"metadata": {"generation": status}, "spec": {"replicas": replicas, "image": image}, "status": status});
        assert_eq!(print(&object(1, 1, "a"), true), print(&object(9, 2, "a"), true));
        assert_ne!(print(&object(1, 1, "a"), false), print(&object(9, 1, "a"), false));
        assert_ne!(print(&object(1, 1, "a"), true), print(&object(1, 1, "b"), true));
    }
}
