//! Single values against their schema: type, range, length, choice, pattern.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    duration::HumanDuration,
    load::Rules,
    patterns::{self, DURATION, HTTPS_URL},
    refusal::Refusal,
    suggest,
    time::Timestamp,
    yaml::{Scalar, ScalarKind},
};

/// The JSON value of a scalar, or why it is refused (the caller knows path and line).
pub(super) fn value(scalar: &Scalar, schema: &Value, rules: Rules) -> Result<Value, Refusal> {
    if scalar.kind() == ScalarKind::Null {
        return Err(Refusal::new("", "is empty; write a value or remove the line"));
    }
    match schema["type"].as_str() {
        Some("integer") => integer(scalar, schema),
        Some("boolean") => boolean(scalar),
        _ => text(scalar, schema, rules),
    }
}

fn shown(scalar: &Scalar, message: impl Into<String>) -> Refusal {
    let refusal = Refusal::new("", message);
    if scalar.plain {
        refusal.raw(&scalar.text)
    } else {
        refusal.of_text(&scalar.text)
    }
}

fn boolean(scalar: &Scalar) -> Result<Value, Refusal> {
    match (scalar.plain, scalar.text.as_str()) {
        (true, "true") => Ok(Value::Bool(true)),
        (true, "false") => Ok(Value::Bool(false)),
        (false, "true" | "false") => Err(shown(scalar, "is text; remove the quotes")),
        _ => Err(shown(scalar, "is no boolean; write true or false")),
    }
}

fn integer(scalar: &Scalar, schema: &Value) -> Result<Value, Refusal> {
    let text = scalar.text.as_str();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if !canonical {
        return Err(shown(scalar, not_an_integer(scalar)));
    }
    if !scalar.plain {
        return Err(shown(scalar, format!("is text; remove the quotes: {text}")));
    }
    let limit = |name: &str| schema[name].as_i64();
    // What doesn't fit is out of range on its side, whatever the limits are.
    let number = text
        .parse::<i64>()
        .unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
    if let Some(least) = limit("minimum").filter(|least| number < *least) {
        return Err(shown(scalar, format!("is below {least}, the least allowed")));
    }
    if let Some(most) = limit("maximum").filter(|most| number > *most) {
        return Err(shown(scalar, format!("is above {most}, the most allowed")));
    }
    Ok(Value::from(number))
}

fn not_an_integer(scalar: &Scalar) -> String {
    let plain: String = scalar
        .text
        .chars()
        .filter(|character| !matches!(character, '_' | ',' | '\'' | ' '))
        .collect();
    let separated =
        plain != scalar.text && !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    if separated {
        return format!("has separators; write plain digits: {plain}");
    }
    match scalar.kind() {
        ScalarKind::Number
            if scalar.text.starts_with('0') && plain.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            "has a leading zero, which makes it octal for kubectl; remove the zero".to_owned()
        }
        _ => "is no whole number; write plain digits such as 100".to_owned(),
    }
}

fn text(scalar: &Scalar, schema: &Value, rules: Rules) -> Result<Value, Refusal> {
    let text = scalar.text.as_str();
    let read_as = match scalar.kind() {
        ScalarKind::Number => Some("a number in YAML"),
        ScalarKind::Bool => Some("a boolean in YAML"),
        ScalarKind::OldBool => Some("a boolean for kubectl"),
        ScalarKind::Null | ScalarKind::Text => None,
    };
    if let Some(read_as) = read_as {
        let mend = if schema["format"] == "date-time" {
            "write a time such as \"2026-12-01T12:00:00Z\"".to_owned()
        } else if schema["pattern"] == DURATION {
            format!("write its unit, such as {text}s")
        } else {
            format!("quote it: \"{text}\"")
        };
        return Err(shown(scalar, format!("is {read_as}; {mend}")));
    }
    choice(scalar, schema)?;
    length(scalar, schema)?;
    pattern(scalar, schema, rules)?;
    if schema["format"] == "date-time" {
        text.parse::<Timestamp>()
            .map_err(|why| Refusal::new("", why.to_string()).of_text(text))?;
    }
    if schema["pattern"] == DURATION {
        text.parse::<HumanDuration>()
            .map_err(|why| Refusal::new("", why.to_string()).of_text(text))?;
    }
    Ok(Value::from(text))
}

fn choice(scalar: &Scalar, schema: &Value) -> Result<(), Refusal> {
    let Some(choices) = schema["enum"].as_array() else {
        return Ok(());
    };
    let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    let text = scalar.text.as_str();
    if choices.contains(&text) {
        return Ok(());
    }
    let refusal = |why: String| Err(Refusal::new("", why).of_text(text));
    match (
        choices.as_slice(),
        suggest::closest(text, choices.iter().copied()),
    ) {
        ([only], _) => refusal(format!("must be {only}")),
        (_, Some(near)) => refusal(format!(
            "is not one of {}; did you mean {near}?",
            choices.join(", ")
        )),
        (_, None) => refusal(format!("is not one of {}", choices.join(", "))),
    }
}

fn length(scalar: &Scalar, schema: &Value) -> Result<(), Refusal> {
    let count = scalar.text.chars().count();
    let limit = |name: &str| {
        schema[name]
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
    };
    let refusal = |why: String| Err(Refusal::new("", why).of_text(&scalar.text));
    if let Some(most) = limit("maxLength").filter(|most| count > *most) {
        return refusal(format!("has {count} characters; write at most {most}"));
    }
    if let Some(least) = limit("minLength").filter(|least| count < *least) {
        return refusal(format!("has {count} characters; write at least {least}"));
    }
    Ok(())
}

fn pattern(scalar: &Scalar, schema: &Value, rules: Rules) -> Result<(), Refusal> {
    let Some(source) = schema["pattern"].as_str() else {
        return Ok(());
    };
    let Some(pattern) = patterns::pattern(source) else {
        return Ok(());
    };
    let text = scalar.text.as_str();
    let is_own_machine = source == HTTPS_URL && rules.loopback_http && patterns::is_loopback_http(text);
    if pattern.takes(text) || is_own_machine {
        return Ok(());
    }
    Err(Refusal::new("", pattern.mend).of_text(&without_credentials(text)))
}

/// An address without user name and password, which belong in no log.
fn without_credentials(text: &str) -> Cow<'_, str> {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]).into(),
        _ => text.into(),
    }
}
