//! The reference of the resources as a page: every field with its type, its limits, and until when it may change.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    class::FlashSaleClassSpec,
    crd::{all_rules, object_schema},
    objects::{GROUP, Kind, VERSION},
    rules::{Rule, changeable, duration_bounds},
    sale::FlashSaleSpec,
    switch::FlashSaleSwitchSpec,
};

/// The whole page.
pub(crate) fn markdown() -> String {
    let mut page = format!(
        "# Reference: the resources\n\n\
        Made from the types in `crds/` by `cargo run -p flashsale-crds --example generate`; a test fails when it is stale.\n\
        Group `{GROUP}`, version `{VERSION}`. Required fields are **bold**. No field has a default in the schema: what a sale leaves open means what its class says, then what the operator says, and\n\
        `status.effective` shows it. *Changes* says until when a field may change; why, and what *provisioned*, *loading*, *armed* mean, is in [decision 0008](decisions/0008-what-may-change-when.md).\n"
    );
    kind::<FlashSaleSpec>(&mut page);
    kind::<FlashSaleClassSpec>(&mut page);
    kind::<FlashSaleSwitchSpec>(&mut page);
    page
}

fn kind<S: Kind>(page: &mut String) {
    let schema = object_schema::<S>();
    let scope = if S::SCOPE == "Cluster" {
        "for the whole cluster"
    } else {
        "in a namespace"
    };
    let _ = write!(
        page,
        "\n## {} (`{}`, {scope})\n\n{}\n\n### {} spec\n\n",
        S::KIND,
        S::SHORT,
        text(&schema, "description"),
        S::KIND
    );
    page.push_str("| field | type | changes | meaning |\n|---|---|---|---|\n");
    rows(&schema["properties"]["spec"], "", &mut |path, field, required| {
        row(page, path, field, required, Some(changeable(S::KIND, path)));
    });
    let _ = write!(
        page,
        "\n### {} status\n\n| field | type | meaning |\n|---|---|---|\n",
        S::KIND
    );
    rows(
        &schema["properties"]["status"],
        "",
        &mut |path, field, required| row(page, path, field, required, None),
    );
    let _ = write!(
        page,
        "\n### {} rules\n\nWhat an API server says of an object that breaks one.\n\n",
        S::KIND
    );
    page.push_str("| place | rule |\n|---|---|\n");
    for rule in all_rules::<S>().iter().filter(|rule| !rule.is_of_form()) {
        let _ = writeln!(page, "| {} | {} |", place(rule), escaped(&rule.message));
    }
}

fn place(rule: &Rule) -> String {
    let field = rule.field.as_deref().unwrap_or_default();
    let place = format!("{}{field}", rule.at);
    match place.trim_start_matches('.') {
        "" => "the object".to_owned(),
        place => format!("`{place}`"),
    }
}

fn row(page: &mut String, path: &str, field: &Value, required: bool, changes: Option<&str>) {
    let name = if required {
        format!("**`{path}`**")
    } else {
        format!("`{path}`")
    };
    let _ = write!(page, "| {name} | {} |", kind_of(field));
    if let Some(changes) = changes {
        let _ = write!(page, " {changes} |");
    }
    let _ = writeln!(page, " {} |", escaped(text(field, "description")));
}

/// Visits every field in the schema's own nesting, required ones first.
fn rows(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value, bool)) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| (!required.contains(&name.as_str()), *name));
    for (name, field) in fields {
        let child = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        visit(&child, field, required.contains(&name.as_str()));
        let is_list = field["type"] == "array";
        let inner = if is_list { &field["items"] } else { field };
        rows(inner, &if is_list { format!("{child}[]") } else { child }, visit);
    }
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema[name].as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// A field's type with its limits, for people.
fn kind_of(field: &Value) -> String {
    let mut rules = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    if let Some((least, most)) = rules.find_map(|rule| duration_bounds(text(rule, "rule"))) {
        return format!("duration, {least}–{most}");
    }
    let number = |name: &str| field[name].as_i64();
    match text(field, "type") {
        "string" if field["enum"].is_array() => {
            let choices: Vec<String> = field["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|choice| format!("`{choice}`"))
                .collect();
            choices.join(" ")
        }
        "string" if text(field, "format") == "date-time" => "time".to_owned(),
        "string" => match (number("minLength"), number("maxLength")) {
            (Some(least), Some(most)) => format!("text, {least}–{most}"),
            (None, Some(most)) => format!("text, ≤ {most}"),
            _ => "text".to_owned(),
        },
        "integer" => match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => format!("integer, {least}–{most}"),
            (Some(least), None) => format!("integer, ≥ {least}"),
            _ => "integer".to_owned(),
        },
        "array" => {
            let of = if field["items"]["type"] == "object" {
                "list".to_owned()
            } else {
                format!("list of {}", kind_of(&field["items"]))
            };
            match (number("minItems"), number("maxItems")) {
                (Some(least), Some(most)) => format!("{of}, {least}–{most}"),
                (None, Some(most)) => format!("{of}, ≤ {most}"),
                _ => of,
            }
        }
        "object" if field["additionalProperties"].is_object() => "names and values".to_owned(),
        "object" => "object".to_owned(),
        other => other.to_owned(),
    }
}
