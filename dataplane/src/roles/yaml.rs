//! A configuration's YAML as a JSON value: mappings, lists and scalars, no anchors or tags.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// The most values of a file.
const VALUES_MAX: usize = 10_000;
/// The deepest nesting.
const DEPTH_MAX: usize = 16;

/// A list or mapping whose end hasn't come yet.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// The one document of a text; nothing in it is an empty mapping.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn document(text: &str) -> Result<Value, String> {
    let (mut open, mut document, mut values) = (Vec::new(), None, 0);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let line = e.marker().line();
            format!(
                "line {line}: this is no YAML ({}): mend the indentation, quotes or brackets there",
                e.info()
            )
        })?;
        let line = span.start.line();
        let at = |what: &str| format!("line {line}: {what}");
        let done = match event {
            Event::Scalar(text, style, 0, None) => {
                let plain = style == ScalarStyle::Plain;
                Some(scalar(&text, plain, is_key(&open)))
            }
            Event::SequenceStart(0, None) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(0, None) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Some(Value::Array(list)),
                Some(Open::Map(map, _)) => Some(Value::Object(map)),
                None => None,
            },
            Event::Alias(_) | Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(at(
                    "anchors, aliases and tags have no meaning here: write the value out",
                ));
            }
            Event::DocumentStart(_) if document.is_some() => {
                return Err(at("there is a second document: write one file for each process"));
            }
            _ => None,
        };
        values += 1;
        if values > VALUES_MAX || open.len() > DEPTH_MAX {
            return Err(at("this is larger than any configuration: is it the right file?"));
        }
        if let Some(value) = done {
            put(&mut open, &mut document, value).map_err(|what| at(&what))?;
        }
    }
    Ok(document.unwrap_or_else(|| Value::Object(Map::new())))
}

fn is_key(open: &[Open]) -> bool {
    matches!(open.last(), Some(Open::Map(_, None)))
}

fn put(open: &mut [Open], document: &mut Option<Value>, value: Value) -> Result<(), String> {
    match open.last_mut() {
        None => *document = Some(value),
        Some(Open::List(list)) => list.push(value),
        Some(Open::Map(map, key @ Some(_))) => {
            let name = key.take().unwrap_or_default();
            if map.insert(name.clone(), value).is_some() {
                return Err(format!("`{name}` is there twice: remove one"));
            }
        }
        Some(Open::Map(_, key)) => match value {
            Value::String(name) => *key = Some(name),
            _ => return Err("a field's name must be text".to_owned()),
        },
    }
    Ok(())
}

fn scalar(text: &str, plain: bool, is_key: bool) -> Value {
    if !plain || is_key {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => match text.parse::<u64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_is_read_as_it_is_meant() {
        let text = "# where\nlisten: 0.0.0.0:8080\nshards: [0, 1]\nredis:\n  - {urlFile: /run/redis}\nname: \"7\"\non: true\n";
        let read = document(text).unwrap();
        assert_eq!(
            read,
            json!({"listen": "0.0.0.0:8080", "shards": [0, 1], "redis": [{"urlFile": "/run/redis"}], "name": "7",
                   "on": true})
        );
        assert_eq!(document("").unwrap(), json!({}));
        assert_eq!(document("{\"a\": [1, null]}").unwrap(), json!({"a": [1, null]}));
    }

    #[test]
    fn what_cant_be_meant_is_refused_by_its_line() {
        for (text, line) in [
            ("a: 1\na: 2\n", "line 2: `a` is there twice"),
            ("a: &x 1\n", "line 1: anchors"),
            ("a: 1\nb: !secret 1\n", "line 2: anchors"),
            ("a: 1\n---\nb: 2\n", "line 2: there is a second"),
            ("a: [1\n", "this is no YAML"),
        ] {
            let why = document(text).unwrap_err();
            assert!(why.contains(line), "{text:?}: {why}");
        }
        assert!(document(&"[".repeat(100)).is_err());
    }
}
