//! Conditions as Kubernetes' tools read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::time::Timestamp;

/// One thing that is so, isn't so, or isn't known. It has the form of `metav1.Condition`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about, such as `Ready`.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub kind: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The generation of the spec that it is about.
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When its status last changed.
    pub last_transition_time: Timestamp,
    /// Why, as one word for machines.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Why, as a sentence for people.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It isn't so.
    False,
    /// It isn't known.
    Unknown,
}

/// The condition of a type, if it was reported.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Puts a condition in the place of the one of its type.
///
/// # Guarantees
/// `lastTransitionTime` stays as it was while the status does. Answers whether anything but that time changed.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) -> bool {
    let Some(old) = conditions.iter_mut().find(|old| old.kind == new.kind) else {
        conditions.push(new);
        return true;
    };
    if old.status == new.status {
        new.last_transition_time = old.last_transition_time;
    }
    let changed = *old != new;
    *old = new;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: ConditionStatus, time: &str, message: &str) -> Condition {
        Condition {
            kind: "Ready".to_owned(),
            status,
            observed_generation: Some(1),
            last_transition_time: time.parse().unwrap(),
            reason: "OnCourse".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let (first, second) = ("2026-12-01T12:00:00Z", "2026-12-01T12:01:00Z");
        let mut conditions = Vec::new();
        assert!(set_condition(
            &mut conditions,
            ready(ConditionStatus::True, first, "a")
        ));
        assert!(set_condition(
            &mut conditions,
            ready(ConditionStatus::True, second, "b")
        ));
        assert_eq!(conditions[0], ready(ConditionStatus::True, first, "b"));
        assert!(set_condition(
            &mut conditions,
            ready(ConditionStatus::False, second, "b")
        ));
        assert_eq!(conditions[0], ready(ConditionStatus::False, second, "b"));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn the_same_condition_again_is_no_change() {
        let mut conditions = vec![ready(ConditionStatus::True, "2026-12-01T12:00:00Z", "a")];
        let again = ready(ConditionStatus::True, "2026-12-01T12:09:00Z", "a");
        assert!(!set_condition(&mut conditions, again));
    }
}
