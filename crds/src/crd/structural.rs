//! From the plain schema of the types to what an API server calls structural.

use serde_json::{Map, Value};

use crate::{
    patterns::{CURRENCY, DURATION},
    rules::{Rule, pattern_rule},
};

/// Rewrites a schema in place; answers the rules that stand for its patterns.
pub(super) fn rewrite(schema: &mut Value) -> Vec<Rule> {
    let mut rules = Vec::new();
    walk(schema, "", &mut rules);
    rules
}

fn walk(schema: &mut Value, path: &str, rules: &mut Vec<Rule>) {
    let Value::Object(fields) = schema else { return };
    fields.remove("title");
    // An API server drops unknown fields, or refuses them when asked to; it takes no `false` beside `properties`.
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        fields.remove("additionalProperties");
    }
    if let Some(Value::String(text)) = fields.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::String(source)) = fields.remove("pattern") {
        // Both have a rule of their own that asks for more than their form.
        if source != CURRENCY && source != DURATION {
            rules.extend(pattern_rule(&source, path));
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for (name, field) in properties.iter_mut() {
            walk(field, &joined(path, name), rules);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(keyword) {
            walk(inner, &format!("{path}[]"), rules);
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The schema at a place such as `spec.items[].stock`; the empty place is the whole.
pub(super) fn place<'a>(schema: &'a mut Value, at: &str) -> Option<&'a mut Value> {
    let mut node = schema;
    for step in at.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]");
        node = node.get_mut("properties")?.get_mut(name)?;
        if name.len() < step.len() {
            let fields: &mut Map<String, Value> = node.as_object_mut()?;
            let keyword = if fields.contains_key("items") {
                "items"
            } else {
                "additionalProperties"
            };
            node = fields.get_mut(keyword)?;
        }
    }
    Some(node)
}
