//! The first layer: a file against the schema. It goes on after a problem, so that all are told at once.

mod scalars;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::{
    load::Rules,
    refusal::Refusal,
    suggest,
    yaml::{Entry, Node, NodeValue, ScalarKind},
};

/// Fields of `metadata` that an API server fills in; a file saved from a cluster has them.
const SERVER_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
];

/// What came of reading a file's tree.
pub(crate) struct Shape {
    /// The right part of the file: wrong fields are left out, with all that needs them.
    pub(crate) value: Option<Value>,
    /// What was wrong.
    pub(crate) refusals: Vec<Refusal>,
    /// The line of each path that was met.
    pub(crate) lines: HashMap<String, usize>,
}

/// Checks a tree against a schema.
pub(crate) fn check(root: &Node, schema: &Value, rules: Rules) -> Shape {
    let mut walk = Walk {
        schema,
        rules,
        refusals: Vec::new(),
        lines: HashMap::new(),
    };
    let value = walk.value(root, schema, "");
    Shape {
        value,
        refusals: walk.refusals,
        lines: walk.lines,
    }
}

struct Walk<'a> {
    schema: &'a Value,
    rules: Rules,
    refusals: Vec<Refusal>,
    lines: HashMap<String, usize>,
}

impl Walk<'_> {
    /// The JSON value of a node, or `None` after telling what is wrong with it.
    fn value(&mut self, node: &Node, schema: &Value, path: &str) -> Option<Value> {
        // A field is reported where its name stands, an entry of a list where it begins.
        let line = *self.lines.entry(path.to_owned()).or_insert(node.line);
        let expected = schema["type"].as_str().unwrap_or_default();
        match (&node.value, expected) {
            (NodeValue::Map(entries), "object") => self.object(entries, line, schema, path),
            (NodeValue::List(list), "array") => self.list(list, line, schema, path),
            (NodeValue::Scalar(scalar), "string" | "integer" | "boolean") => {
                match scalars::value(scalar, schema, self.rules) {
                    Ok(value) => Some(value),
                    Err(refusal) => self.refuse(Refusal {
                        path: path.to_owned(),
                        line: Some(line),
                        ..refusal
                    }),
                }
            }
            _ => self.refuse(wrong_kind(node, expected, path).at_line(line)),
        }
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Option<T> {
        self.refusals.push(refusal);
        None
    }

    fn object(&mut self, entries: &[Entry], line: usize, schema: &Value, path: &str) -> Option<Value> {
        let mut object = Map::new();
        let mut first_lines: HashMap<&str, usize> = HashMap::new();
        let mut misspelt: Vec<&str> = Vec::new();
        for entry in entries {
            let key = entry.key.text.as_str();
            if is_passed_over(path, key) {
                continue;
            }
            let child = child_path(path, key, schema);
            if let Some(first) = first_lines.insert(key, entry.line) {
                let why = format!("is set twice, on lines {first} and {}; keep one", entry.line);
                self.refusals.push(Refusal::new(child, why).at_line(entry.line));
                continue;
            }
            self.lines.insert(child.clone(), entry.line);
            if entry.key.kind() == ScalarKind::OldBool {
                let why =
                    format!("the bare name `{key}` is read as a boolean by kubectl; quote it: \"{key}\":");
                self.refusals.push(Refusal::new(child, why).at_line(entry.line));
                continue;
            }
            match field_schema(schema, key) {
                Some(field) => {
                    if let Some(value) = self.value(&entry.value, field, &child) {
                        object.insert(key.to_owned(), value);
                    }
                }
                None => misspelt.extend(self.unknown_field(key, entry.line, schema, path)),
            }
        }
        self.missing_fields(schema, path, line, |name| {
            first_lines.contains_key(name) || misspelt.contains(&name)
        });
        let complete = required(schema).all(|name| object.contains_key(name));
        complete.then_some(Value::Object(object))
    }

    fn missing_fields(&mut self, schema: &Value, path: &str, line: usize, is_there: impl Fn(&str) -> bool) {
        for name in required(schema).filter(|name| !is_there(name)) {
            let why = format!("missing; add {}", example(name, &schema["properties"][name]));
            self.refusals
                .push(Refusal::new(joined(path, name), why).at_line(line));
        }
    }

    /// Refuses a field that the schema doesn't know; answers the one that was probably meant.
    fn unknown_field<'s>(
        &mut self,
        key: &str,
        line: usize,
        schema: &'s Value,
        path: &str,
    ) -> Option<&'s str> {
        // Sorted, since the order within a JSON object depends on how serde_json was built.
        let known = schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str);
        let known: BTreeSet<&str> = known.collect();
        let near = suggest::closest(key, known.iter().copied());
        let mend = if key == "<<" {
            "merge keys aren't supported, write the fields out".to_owned()
        } else if let Some(near) = near {
            format!("did you mean `{near}`?")
        } else if let Some(home) = home_of(key, self.schema, "") {
            format!("it belongs at `{home}`")
        } else {
            let known: Vec<&str> = known.into_iter().collect();
            format!("remove it; known here: {}", known.join(", "))
        };
        self.refusals
            .push(Refusal::new(joined(path, key), format!("unknown field; {mend}")).at_line(line));
        near
    }

    fn list(&mut self, list: &[Node], line: usize, schema: &Value, path: &str) -> Option<Value> {
        let refused_before = self.refusals.len();
        let entries: Vec<Option<Value>> = list
            .iter()
            .enumerate()
            .map(|(index, node)| self.value(node, &schema["items"], &format!("{path}[{index}]")))
            .collect();
        let limit = |name: &str| {
            schema[name]
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok())
        };
        if let Some(most) = limit("maxItems").filter(|most| list.len() > *most) {
            let why = format!("holds {} entries; write at most {most}", list.len());
            self.refusals.push(Refusal::new(path, why).at_line(line));
        }
        if let Some(least) = limit("minItems").filter(|least| list.len() < *least) {
            let why = format!("holds {} entries; write at least {least}", list.len());
            self.refusals.push(Refusal::new(path, why).at_line(line));
        }
        self.duplicates(list, schema, path);
        if self.refusals.len() > refused_before {
            return None;
        }
        entries.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    /// Entries of a set must differ, and those of a map by their key (an item's `id`).
    fn duplicates(&mut self, list: &[Node], schema: &Value, path: &str) {
        let key = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => schema["x-kubernetes-list-map-keys"][0].as_str(),
            Some("set") => None,
            _ => return,
        };
        let mut seen: HashMap<&str, (String, usize)> = HashMap::new();
        for (index, node) in list.iter().enumerate() {
            let (text, line) = match (key, &node.value) {
                (Some(key), _) => match node.text_of(key) {
                    Some(found) => found,
                    None => continue,
                },
                (None, NodeValue::Scalar(scalar)) => (scalar.text.as_str(), node.line),
                _ => continue,
            };
            let at = joined(&format!("{path}[{index}]"), key.unwrap_or_default());
            if let Some((first, first_line)) = seen.get(text) {
                let why = format!("is already used by {first} on line {first_line}; each must be unique");
                self.refusals
                    .push(Refusal::new(at, why).of_text(text).at_line(line));
            } else {
                seen.insert(text, (format!("{path}[{index}]"), line));
            }
        }
    }
}

fn is_passed_over(path: &str, key: &str) -> bool {
    match path {
        "" => key == "status",
        "metadata" => SERVER_METADATA.contains(&key),
        _ => false,
    }
}

fn field_schema<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    match schema["properties"].get(key) {
        Some(field) => Some(field),
        None => schema
            .get("additionalProperties")
            .filter(|others| others.is_object()),
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() || name.is_empty() {
        format!("{path}{name}")
    } else {
        format!("{path}.{name}")
    }
}

/// A field's path; keys that a person chose, such as labels, stand in brackets.
fn child_path(path: &str, key: &str, schema: &Value) -> String {
    if schema["additionalProperties"].is_object() {
        format!("{path}[{key}]")
    } else {
        joined(path, key)
    }
}

/// Where else in the schema a field of this name is at home, the shallowest place first.
fn home_of(key: &str, schema: &Value, path: &str) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    if let Some(name) = properties.keys().find(|name| name.eq_ignore_ascii_case(key)) {
        return Some(joined(path, name));
    }
    let homes = properties
        .iter()
        .filter_map(|(name, field)| match field["type"].as_str() {
            Some("array") => home_of(key, &field["items"], &format!("{}[]", joined(path, name))),
            _ => home_of(key, field, &joined(path, name)),
        });
    homes.min_by_key(|home| (home.matches('.').count(), home.clone()))
}

/// How to write a field: with its value when there is only one, else with its description's first sentence.
fn example(name: &str, schema: &Value) -> String {
    let choices: Vec<&str> = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match choices.as_slice() {
        [] => {}
        [only] => return format!("`{name}: {only}`"),
        _ => return format!("`{name}:` (one of {})", choices.join(", ")),
    }
    let description = schema["description"].as_str().unwrap_or_default();
    let ends = [". ", "; ", "\n"].iter().filter_map(|end| description.find(end));
    let sentence = &description[..ends.min().unwrap_or(description.len())];
    let mut letters = sentence.trim_end_matches('.').chars();
    match letters.next() {
        Some(first) => format!("`{name}:` ({}{})", first.to_lowercase(), letters.as_str()),
        None => format!("`{name}:`"),
    }
}

fn wrong_kind(node: &Node, expected: &str, path: &str) -> Refusal {
    let refusal = Refusal::new(path, "");
    let wanted = match expected {
        "object" => "write its fields below it, each as `name: value`",
        "array" => "start each of its entries with `- `",
        _ => "write a single value",
    };
    if node.is_null() {
        let mend = format!("is empty; {wanted}, or remove the line");
        return Refusal {
            message: mend,
            ..refusal
        };
    }
    match &node.value {
        NodeValue::Scalar(scalar) => {
            let refusal = if scalar.plain {
                refusal.raw(&scalar.text)
            } else {
                refusal.of_text(&scalar.text)
            };
            Refusal {
                message: format!("is a single value; {wanted}"),
                ..refusal
            }
        }
        NodeValue::List(_) => Refusal {
            message: format!("is a list; {wanted}"),
            ..refusal
        },
        NodeValue::Map(_) => Refusal {
            message: format!("is a mapping; {wanted}"),
            ..refusal
        },
    }
}
