//! Which objects are meant, by their labels.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Labels that an object must have; `{}` selects all.
///
/// It has the form and the meaning of Kubernetes' own `LabelSelector`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(default)]
    #[schemars(schema_with = "labels")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Further conditions on labels, of which all must hold.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Option<Vec<LabelExpression>>,
}

/// One condition on a label.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelExpression {
    /// The label.
    #[schemars(length(max = 317))]
    pub key: String,
    /// How its value compares.
    pub operator: LabelOperator,
    /// The values for `In` and `NotIn`.
    #[schemars(length(max = 32), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Option<Vec<String>>,
}

/// How a label's value compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It is one of the values.
    In,
    /// It is none of the values, or the label is missing.
    NotIn,
    /// The label is there, whatever its value.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut exact = self.match_labels.iter().flatten();
        let mut expressions = self.match_expressions.iter().flatten();
        exact.all(|(name, value)| labels.get(name) == Some(value))
            && expressions.all(|expression| expression.matches(labels))
    }
}

impl LabelExpression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_listed = || self.values.iter().flatten().any(|listed| Some(listed) == value);
        match self.operator {
            LabelOperator::In => is_listed(),
            LabelOperator::NotIn => !is_listed(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// Up to 16 labels with their values.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// Up to 32 annotations with their values.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 1024 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn selector(json: &str) -> LabelSelector {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_empty_selector_selects_all() {
        assert!(selector("{}").matches(&labels(&[])));
        assert!(selector("{}").matches(&labels(&[("a", "b")])));
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let both = selector(
            r#"{"matchLabels": {"team": "shop"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}"#,
        );
        assert!(both.matches(&labels(&[("team", "shop"), ("tier", "b")])));
        assert!(!both.matches(&labels(&[("team", "shop"), ("tier", "c")])));
        assert!(!both.matches(&labels(&[("tier", "b")])));
    }

    #[test]
    fn a_missing_label_is_not_in_any_list() {
        let not_in =
            selector(r#"{"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}"#);
        assert!(not_in.matches(&labels(&[])) && not_in.matches(&labels(&[("tier", "b")])));
        assert!(!not_in.matches(&labels(&[("tier", "a")])));
        let exists = selector(r#"{"matchExpressions": [{"key": "tier", "operator": "Exists"}]}"#);
        assert!(exists.matches(&labels(&[("tier", "")])) && !exists.matches(&labels(&[])));
        let missing = selector(r#"{"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}"#);
        assert!(!missing.matches(&labels(&[("tier", "")])) && missing.matches(&labels(&[])));
    }
}
