//! The rules' fixtures as objects to try: for the test without a cluster and for the trial against an API server.
//!
//! `fixtures/cel/base` has whole objects, `fixtures/cel/cases` what is merged into them at a rule's place. Rules on
//! a text's form and on durations need no files: what they must take and refuse follows from them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use flashsale_crds::{
    FlashSaleSpec,
    class::FlashSaleClassSpec,
    crd::all_rules,
    rules::{Rule, duration_bounds},
    switch::FlashSaleSwitchSpec,
};
use serde::Deserialize;
use serde_json::Value;

/// A text of the wrong form for every pattern, short enough for every field.
const WRONG_FORM: &str = "? ?";

/// Places whose texts also fall under a rule across fields, so that a wrong form is told twice.
const TOLD_TWICE: [&str; 1] = ["spec.defaults.dataPlane.rooms[]"];

/// One object to try.
pub(crate) struct Try {
    /// The kind of the object.
    pub kind: String,
    /// The rule that this is about.
    pub rule: &'static str,
    /// The rule's place.
    pub at: String,
    /// The object before; `None` when the object is created.
    pub old: Option<Value>,
    /// The object.
    pub new: Value,
    /// Whether the object's status is written, not the object.
    #[allow(dead_code, reason = "an interpreter of CEL knows no subresources")]
    pub is_status: bool,
    /// What the rule says when it refuses the object; `None` when nothing refuses it.
    pub message: Option<String>,
    /// Whether no other rule refuses it.
    pub is_alone: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    parts: Vec<Part>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    base: String,
    part: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    #[serde(default)]
    at: String,
    old: Option<Value>,
    subresource: Option<String>,
    #[serde(default)]
    accepted: Vec<Value>,
    #[serde(default)]
    refused: Vec<Value>,
    message: Option<String>,
    messages: Option<Vec<String>>,
}

/// The field that a refusal must name; `None` where the rule is about the object as a whole.
#[allow(dead_code, reason = "only an API server names fields as it does")]
pub(crate) fn field_of(one: &Try) -> Option<String> {
    let rules = rules_by_kind();
    let rule = rule_of(&rules, &one.kind, &one.at, one.rule);
    let field = format!("{}{}", rule.at, rule.field.as_deref().unwrap_or_default());
    let field = field.trim_start_matches('.').replace("[]", "[0]");
    (!field.is_empty()).then_some(field)
}

/// The rules of all kinds, by kind.
pub(crate) fn rules_by_kind() -> Vec<(&'static str, Vec<Rule>)> {
    vec![
        ("FlashSale", all_rules::<FlashSaleSpec>()),
        ("FlashSaleClass", all_rules::<FlashSaleClassSpec>()),
        ("FlashSaleSwitch", all_rules::<FlashSaleSwitchSpec>()),
    ]
}

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "cel", name]
        .iter()
        .collect()
}

fn files(name: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder(name)).expect("the folder of fixtures is there");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    paths
        .map(|path| {
            let stem = path
                .file_stem()
                .expect("a file has a name")
                .to_string_lossy()
                .into_owned();
            (stem, fs::read_to_string(&path).expect("a fixture can be read"))
        })
        .collect()
}

/// The whole objects, by the names of their files.
pub(crate) fn bases() -> BTreeMap<String, Value> {
    let read = |(name, text): (String, String)| {
        let value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, value)
    };
    files("base").into_iter().map(read).collect()
}

/// Everything to try.
pub(crate) fn tries() -> Vec<Try> {
    let bases = bases();
    let rules = rules_by_kind();
    let mut tries = Vec::new();
    for (name, text) in files("cases") {
        let documents: Vec<Document> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for document in &documents {
            for part in &document.parts {
                let base = bases
                    .get(&part.base)
                    .unwrap_or_else(|| panic!("{name}: no base {}", part.base));
                for case in &document.cases {
                    written(case, part, base, &rules, &mut tries);
                }
            }
        }
    }
    for (kind, rules) in rules {
        for rule in rules {
            of_form(kind, &rule, &bases, &mut tries);
        }
    }
    tries
}

fn rule_of<'a>(rules: &'a [(&'static str, Vec<Rule>)], kind: &str, at: &str, name: &str) -> &'a Rule {
    let of_kind = rules.iter().find(|(known, _)| *known == kind);
    let rule = of_kind.and_then(|(_, rules)| rules.iter().find(|rule| rule.at == at && rule.name == name));
    rule.unwrap_or_else(|| panic!("a fixture names a rule `{name}` at `{at}` of {kind} that isn't there"))
}

fn written(
    case: &Case,
    part: &Part,
    base: &Value,
    rules: &[(&'static str, Vec<Rule>)],
    tries: &mut Vec<Try>,
) {
    let kind = base["kind"].as_str().expect("a base has a kind");
    let at = [part.part.as_str(), case.at.as_str()]
        .into_iter()
        .filter(|path| !path.is_empty())
        .collect::<Vec<_>>()
        .join(".");
    let rule = rule_of(rules, kind, &at, &case.rule);
    let old = case.old.as_ref().map(|patch| merged(base.clone(), patch));
    let start = old.as_ref().unwrap_or(base);
    let mut put = |patch: &Value, message: Option<String>| {
        let mut new = start.clone();
        let place =
            place(&mut new, &at).unwrap_or_else(|| panic!("{kind} {}: no place {at} in the base", rule.name));
        *place = merged(place.take(), patch);
        // What is removed from the object itself is not there, rather than null.
        if let Value::Object(fields) = &mut new {
            fields.retain(|_, value| !value.is_null());
        }
        tries.push(Try {
            kind: kind.to_owned(),
            rule: rule.name,
            at: at.clone(),
            old: old.clone(),
            new,
            is_status: case.subresource.is_some(),
            message,
            is_alone: true,
        });
    };
    for patch in &case.accepted {
        put(patch, None);
    }
    for (index, patch) in case.refused.iter().enumerate() {
        let message = match (&case.message, &case.messages) {
            (Some(message), None) => message,
            (None, Some(messages)) => &messages[index],
            _ => panic!("{}: give message or messages", case.rule),
        };
        put(patch, Some(message.clone()));
    }
}

/// What a rule on a form takes and refuses follows from the rule.
fn of_form(kind: &str, rule: &Rule, bases: &BTreeMap<String, Value>, tries: &mut Vec<Try>) {
    let Some(expression) = rule
        .message_expression
        .as_deref()
        .filter(|_| rule.name == "form" || rule.name == "duration")
    else {
        return;
    };
    let mut base = bases
        .values()
        .filter(|base| base["kind"] == kind)
        .find(|base| place(&mut (*base).clone(), &rule.at).is_some_and(|value| value.is_string()))
        .cloned()
        .unwrap_or_else(|| panic!("no base of {kind} has the field {}", rule.at));
    let right = place(&mut base, &rule.at).and_then(|value| value.as_str().map(str::to_owned));
    let right = right.expect("found above");
    let is_status = rule.at.starts_with("status");
    let mut put = |text: &str, is_right: bool| {
        *place(&mut base, &rule.at).expect("found above") = text.into();
        tries.push(Try {
            kind: kind.to_owned(),
            rule: rule.name,
            at: rule.at.clone(),
            old: is_status.then(|| base.clone()),
            new: base.clone(),
            is_status,
            message: (!is_right).then(|| said(expression, text)),
            is_alone: !TOLD_TWICE.contains(&rule.at.as_str()),
        });
    };
    if let Some((least, most)) = duration_bounds(&rule.rule) {
        put(least, true);
        put(most, true);
        for wrong in ["1.5h", "9999h", "-1m", "0h0m0s0ms0s"] {
            put(wrong, false);
        }
        if least != "0s" {
            put("0s", false);
        }
    } else {
        put(&right, true);
        put(WRONG_FORM, false);
    }
}

/// What `'a "' + self + '" b'` says of a text.
fn said(expression: &str, text: &str) -> String {
    let unquoted = |part: &str| part.trim_matches('\'').replace("\\'", "'").replace("\\\\", "\\");
    let (before, after) = expression
        .split_once(" + self + ")
        .expect("a sentence around the value");
    format!("{}{text}{}", unquoted(before), unquoted(after))
}

/// The value at a place such as `spec.items[].stock`, in the first entry of each list.
fn place<'a>(object: &'a mut Value, at: &str) -> Option<&'a mut Value> {
    let mut node = object;
    for step in at.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]");
        node = node.get_mut(name)?;
        if name.len() < step.len() {
            node = node.get_mut(0)?;
        }
    }
    Some(node)
}

/// A JSON merge patch (RFC 7396), applied.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut fields = match target {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    for (name, change) in changes {
        let old = fields.remove(name).unwrap_or_default();
        if !change.is_null() {
            fields.insert(name.clone(), merged(old, change));
        }
    }
    Value::Object(fields)
}
