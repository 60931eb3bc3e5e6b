//! The CustomResourceDefinitions, made from the types and the rules.

mod columns;
mod structural;
mod yaml;

use serde_json::{Value, json};
pub use yaml::to_yaml;

use crate::{
    class::FlashSaleClassSpec,
    objects::{CATEGORY, GROUP, Kind, VERSION},
    rules::{Reason, Rule, rules},
    sale::FlashSaleSpec,
    schema,
    switch::FlashSaleSwitchSpec,
};

/// Every CustomResourceDefinition with the name of its file, in the order in which they are installed.
pub fn custom_resource_definitions() -> Vec<(String, Value)> {
    fn named<S: Kind>() -> (String, Value) {
        (format!("{}.yaml", S::PLURAL), custom_resource_definition::<S>())
    }
    vec![
        named::<FlashSaleClassSpec>(),
        named::<FlashSaleSpec>(),
        named::<FlashSaleSwitchSpec>(),
    ]
}

/// The CustomResourceDefinition of a kind.
pub fn custom_resource_definition<S: Kind>() -> Value {
    let selectable: Vec<Value> = columns::selectable(S::KIND)
        .iter()
        .map(|path| json!({ "jsonPath": path }))
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{GROUP}", S::PLURAL) },
        "spec": {
            "group": GROUP,
            "scope": S::SCOPE,
            "names": {
                "kind": S::KIND,
                "listKind": format!("{}List", S::KIND),
                "plural": S::PLURAL,
                "singular": S::KIND.to_lowercase(),
                "shortNames": [S::SHORT],
                "categories": [CATEGORY],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "selectableFields": selectable,
                "additionalPrinterColumns": columns::columns(S::KIND),
                "schema": { "openAPIV3Schema": object_schema::<S>() },
            }],
        },
    })
}

/// The schema of a kind's objects as an API server takes it, with every rule at its place.
pub fn object_schema<S: Kind>() -> Value {
    let mut schema = json!({
        "type": "object",
        "description": S::ABOUT,
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string", "description": "The version of this resource's format: flashsale.dev/v1alpha1." },
            "kind": { "type": "string", "description": format!("The kind of the resource: {}.", S::KIND) },
            "metadata": { "type": "object" },
            "spec": schema::of::<S>(),
            "status": schema::of::<S::Status>(),
        },
    });
    let forms = structural::rewrite(&mut schema);
    for rule in rules::<S>().into_iter().chain(forms) {
        let attached = structural::place(&mut schema, &rule.at).map(|node| attach(node, &rule));
        assert!(
            attached.is_some(),
            "{}: no place {} in the schema",
            rule.name,
            rule.at
        );
    }
    schema
}

/// Every rule of a kind, those that stand for patterns included.
pub fn all_rules<S: Kind>() -> Vec<Rule> {
    let mut schema = json!({
        "type": "object",
        "properties": { "spec": schema::of::<S>(), "status": schema::of::<S::Status>() },
    });
    let forms = structural::rewrite(&mut schema);
    rules::<S>().into_iter().chain(forms).collect()
}

fn attach(node: &mut Value, rule: &Rule) {
    let mut entry = json!({ "rule": rule.rule });
    // Joining a text with a sentence can't fail, so there the plain message would only add to the size.
    if !rule.is_of_form() {
        entry["message"] = rule.message.as_str().into();
    }
    if let Some(expression) = &rule.message_expression {
        entry["messageExpression"] = expression.as_str().into();
    }
    if let Some(field) = &rule.field {
        entry["fieldPath"] = field.as_str().into();
    }
    match rule.reason {
        Reason::Invalid => {}
        Reason::Forbidden => entry["reason"] = "FieldValueForbidden".into(),
        Reason::Required => entry["reason"] = "FieldValueRequired".into(),
    }
    let known = &mut node["x-kubernetes-validations"];
    match known {
        Value::Array(entries) => entries.push(entry),
        other => *other = json!([entry]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcd keeps and every client of the API reads stays small.
    const BYTES_MAX: usize = 60 * 1024;

    #[test]
    fn every_definition_stays_small() {
        for (name, definition) in custom_resource_definitions() {
            let bytes = definition.to_string().len();
            assert!(bytes <= BYTES_MAX, "{name} has {bytes} bytes");
        }
    }

    #[test]
    fn there_are_no_defaults_and_nothing_that_is_not_structural() {
        fn walk(schema: &Value, path: &str) {
            let fields = schema.as_object().unwrap();
            let unwanted = [
                "default", "$ref", "anyOf", "oneOf", "allOf", "nullable", "title", "pattern", "const",
            ];
            for keyword in unwanted {
                assert!(!fields.contains_key(keyword), "{path} has {keyword}");
            }
            assert!(fields["type"].is_string(), "{path} has no type");
            let closed = fields.contains_key("properties") && fields.contains_key("additionalProperties");
            assert!(!closed, "{path} has both properties and additionalProperties");
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                walk(field, &format!("{path}.{name}"));
            }
            for keyword in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(keyword) {
                    walk(inner, &format!("{path}[]"));
                }
            }
        }
        for (name, definition) in custom_resource_definitions() {
            walk(
                &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
                &name,
            );
        }
    }

    /// The API server multiplies what a rule may cost by how often its place can come.
    #[test]
    fn whatever_a_person_writes_has_an_upper_bound() {
        fn walk(schema: &Value, path: &str) {
            let bound = match schema["type"].as_str() {
                Some("string") if schema.get("enum").is_none() && schema.get("format").is_none() => {
                    "maxLength"
                }
                Some("array") => "maxItems",
                Some("integer") => "minimum",
                _ => "",
            };
            assert!(
                bound.is_empty() || schema.get(bound).is_some(),
                "{path} has no {bound}"
            );
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                walk(field, &format!("{path}.{name}"));
            }
            for keyword in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(keyword) {
                    walk(inner, &format!("{path}[]"));
                }
            }
        }
        for (name, definition) in custom_resource_definitions() {
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            walk(&schema["spec"], &format!("{name} spec"));
            walk(&schema["status"], &format!("{name} status"));
        }
    }
}
