//! JSON in one fixed form: as bytes for digests, and as YAML for people and for the data plane's files.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Hexadecimal digits of a digest: enough that two of a sale's objects never share one by chance.
const DIGEST_DIGITS: usize = 16;

/// A digest of a value that doesn't depend on the order of its keys.
#[must_use]
pub fn digest(value: &Value) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    let digits = Sha256::digest(text.as_bytes());
    let hex: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..DIGEST_DIGITS].to_owned()
}

fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            for (key, value) in sorted(map) {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_json(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for value in list {
                write_json(value, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// The value as YAML in blocks, keys sorted, long texts as literal blocks. What reads YAML 1.2 reads the same value.
#[must_use]
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block_map(map, 0, &mut out),
        Value::Array(list) if !list.is_empty() => block_list(list, 0, &mut out),
        scalar => {
            scalar_text(scalar, 0, &mut out);
        }
    }
    out
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn block_map(map: &serde_json::Map<String, Value>, depth: usize, out: &mut String) {
    for (position, (key, value)) in sorted(map).into_iter().enumerate() {
        // The first key of a list's entry stands behind the dash already.
        if position > 0 || !out.ends_with("- ") {
            indent(depth, out);
        }
        let _ = write!(out, "{}:", plain_or_quoted(key));
        entry(value, depth, out);
    }
}

fn block_list(list: &[Value], depth: usize, out: &mut String) {
    for value in list {
        indent(depth, out);
        out.push('-');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push(' ');
                block_map(map, depth + 1, out);
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push('\n');
                block_list(inner, depth + 1, out);
            }
            scalar => entry(scalar, depth, out),
        }
    }
}

/// What stands behind `key:` or `-`, up to the end of its last line.
fn entry(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block_map(map, depth + 1, out);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            block_list(list, depth, out);
        }
        scalar => {
            out.push(' ');
            scalar_text(scalar, depth + 1, out);
        }
    }
}

fn scalar_text(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::String(text) if is_block(text) => {
            out.push_str("|\n");
            for line in text.lines() {
                if !line.is_empty() {
                    indent(depth.max(1), out);
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        Value::String(text) => {
            out.push_str(&plain_or_quoted(text));
            out.push('\n');
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        scalar => {
            let _ = writeln!(out, "{scalar}");
        }
    }
}

/// Whether a text can be a literal block without any indicator: lines that begin with a letter and end the text with one line break.
fn is_block(text: &str) -> bool {
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| {
            c == '\n'
                || !c.is_control() && c != '\u{feff}' && c != '\u{85}' && c != '\u{2028}' && c != '\u{2029}'
        })
        && text.trim_end_matches('\n').contains('\n')
}

/// Plain where no reader could take it for anything but this text, in quotes everywhere else.
fn plain_or_quoted(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if starts && text.chars().all(plain) && !words.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_knows_nothing_of_the_order_of_keys_but_of_that_of_lists() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(
            digest(&parse(r#"{"a":1,"b":2}"#)),
            digest(&parse(r#"{"b":2,"a":1}"#))
        );
        assert_ne!(digest(&parse("[1,2]")), digest(&parse("[2,1]")));
        assert_ne!(digest(&parse(r#"["1"]"#)), digest(&parse("[1]")));
    }

    #[test]
    fn yaml_reads_as_a_person_would_write_it() {
        let value = json!({
            "shards": [0, 1], "on": "yes", "time": "2026-12-01T12:00:00Z", "image": "redis:7",
            "list": [{"name": "a", "of": {"x": []}}, "plain-text", [1]], "text": "one\ntwo\n", "empty": {},
        });
        insta::assert_snapshot!(yaml(&value), @r#"
        empty: {}
        image: "redis:7"
        list:
        - name: a
          of:
            x: []
        - plain-text
        -
          - 1
        "on": "yes"
        shards:
        - 0
        - 1
        text: |
          one
          two
        time: "2026-12-01T12:00:00Z"
        "#);
    }
}
