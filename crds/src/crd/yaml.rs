//! Writes JSON values as YAML for people: stable order, block style, quotes only where they are needed.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Fields that come first wherever they are, in this order; all others follow by name.
const FIRST: [&str; 14] = [
    "apiVersion",
    "kind",
    "name",
    "metadata",
    "spec",
    "group",
    "description",
    "type",
    "format",
    "rule",
    "jsonPath",
    "message",
    "messageExpression",
    "fieldPath",
];

/// A value as a YAML document, always in the same order whatever the order in memory.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => true,
    }
}

/// Writes a mapping or list in lines of its own, each indented.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (index, (name, field)) in ordered(fields).into_iter().enumerate() {
                // The first field of a list's entry stands on the line of its dash.
                if index > 0 || !text.ends_with("- ") {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str(&scalar(name));
                text.push(':');
                if is_empty(field) {
                    text.push(' ');
                    text.push_str(&inline(field));
                    text.push('\n');
                } else {
                    text.push('\n');
                    block(field, if field.is_array() { indent } else { indent + 2 }, text);
                }
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                text.push_str(&" ".repeat(indent));
                text.push_str("- ");
                if is_empty(entry) {
                    text.push_str(&inline(entry));
                    text.push('\n');
                } else {
                    block(entry, indent + 2, text);
                }
            }
        }
        other => {
            let _ = writeln!(text, "{}", inline(other));
        }
    }
}

fn ordered(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |name: &str| {
        FIRST
            .iter()
            .position(|first| *first == name)
            .unwrap_or(FIRST.len())
    };
    let mut ordered: Vec<_> = fields.iter().collect();
    ordered.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    ordered
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

/// A text, in quotes unless every reader of YAML takes it for text as it is.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.contains(['\n', '\t', '\r']) {
        return Value::from(text).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let starts_well =
        text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '.' | '/' | '$'));
    let is_harmless = |character: char| character.is_alphanumeric() || " .,;/()_-+=$<>…’".contains(character);
    starts_well
        && !text.ends_with(' ')
        && text.chars().all(is_harmless)
        && !WORDS.contains(&text.to_lowercase().as_str())
        && text.parse::<f64>().is_err()
        && !text.starts_with(". ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_written_for_people_and_its_words_stay_text() {
        let value = json!({
            "b": [{"name": "on", "jsonPath": ".a", "list": [1, "x: y"]}, "two\nlines", [], {}],
            "kind": "No", "apiVersion": "v1", "on": true, "price": "1.50", "why": "it's so",
        });
        let expected = "apiVersion: v1\nkind: 'No'\nb:\n- name: 'on'\n  jsonPath: .a\n  list:\n  - 1\n  - 'x: y'\n- \"two\\nlines\"\n- []\n- {}\n'on': true\nprice: '1.50'\nwhy: 'it''s so'\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
