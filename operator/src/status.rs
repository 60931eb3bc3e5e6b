//! Writing a status: only if it changed, and only what did.

use crate::hand::{CallError, Hand, patching};
use flashsale_operator_core::api::FlashSale;
use kube::api::Patch;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// What turns `old` into `new` as a merge patch; `None` if they are equal.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            None => drop(patch.insert(key.clone(), value.clone())),
            Some(old) => {
                if let Some(changed) = difference(old, value) {
                    patch.insert(key.clone(), changed);
                }
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

/// Writes a status if it differs, on condition that the object still is at `version`. Answers the object as it is now.
///
/// # Errors
/// A conflict, or another refusal.
pub(crate) async fn write<K>(
    hand: &Hand,
    api: &Api<K>,
    name: &str,
    version: &str,
    (old, new): (&Value, &Value),
) -> Result<Option<K>, CallError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let Some(changed) = difference(old, new) else {
        return Ok(None);
    };
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "status": changed}));
    hand.write(api.patch_status(name, &patching(), &patch))
        .await
        .map(Some)
}

/// A status as JSON; one that isn't there is empty.
pub(crate) fn value<S: Serialize>(status: Option<&S>) -> Value {
    status.map_or_else(
        || json!({}),
        |status| serde_json::to_value(status).unwrap_or_default(),
    )
}

/// The sales of a namespace.
pub(crate) fn sales(hand: &Hand, namespace: &str) -> Api<FlashSale> {
    Api::namespaced(hand.client.clone(), namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_applied_gives_the_new_one() {
        let old = json!({"a": 1, "b": {"c": [1, 2], "d": 1}, "e": 1});
        let new = json!({"a": 1, "b": {"c": [2], "f": null}, "g": {}});
        assert_eq!(
            difference(&old, &new),
            Some(json!({"b": {"c": [2], "d": null, "f": null}, "e": null, "g": {}}))
        );
        assert_eq!(difference(&new, &new), None);
    }
}
