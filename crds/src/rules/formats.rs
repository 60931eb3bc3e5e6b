//! Rules that follow from a text's form: one for every pattern in a schema, one for every duration.
//!
//! A bare `pattern` would be told as a regular expression; a rule says it as a sentence.

use super::Rule;
use crate::patterns::{DURATION, pattern};

/// A duration's path, its least and its most.
type Bounds = (&'static str, &'static str, &'static str);

/// Durations that a sale and a class' defaults share.
pub(super) const SHARED_DURATIONS: &[Bounds] = &[
    ("orders.paymentTimeout", "1m", "168h"),
    ("orders.backlog.after", "10s", "24h"),
    ("orders.handover.webhook.timeout", "1s", "30s"),
    ("payments.followUps[].webhook.timeout", "1s", "30s"),
    ("teardown.after", "0s", "720h"),
    ("teardown.drainTimeout", "1m", "24h"),
    ("teardown.settlement.webhook.timeout", "1s", "30s"),
];

/// All durations of a sale.
pub(super) const SALE_DURATIONS: &[Bounds] = &[
    ("entry.cdnPurge.timeout", "1s", "30s"),
    SHARED_DURATIONS[0],
    SHARED_DURATIONS[1],
    SHARED_DURATIONS[2],
    SHARED_DURATIONS[3],
    SHARED_DURATIONS[4],
    SHARED_DURATIONS[5],
    SHARED_DURATIONS[6],
];

/// Durations of a class but for its defaults.
pub(super) const CLASS_DURATIONS: &[Bounds] = &[
    ("orderLog.pulsar.retention", "1h", "2160h"),
    ("limits.switchDuration", "1m", "168h"),
    ("policies.drillMaxAge", "1h", "720h"),
    ("policies.freezeBefore", "0s", "72h"),
    ("policies.lateOpeningGrace", "0s", "24h"),
    ("lifecycle.provisionBefore", "1m", "168h"),
    ("lifecycle.provisionTimeout", "1m", "24h"),
    ("lifecycle.warmTimeout", "10s", "6h"),
    ("lifecycle.settleTimeout", "1m", "720h"),
];

/// Durations of a switch.
pub(super) const SWITCH_DURATIONS: &[Bounds] = &[("expiresAfter", "1m", "168h")];

/// The name of the rule on a duration.
pub(super) const DURATION_NAME: &str = "duration";
/// The name of the rule that stands for a pattern.
pub(super) const FORM_NAME: &str = "form";

/// A text as a literal in CEL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The field's own name, for the sentence: the last part of a place without its brackets.
fn field_name(place: &str) -> &str {
    let place = place.trim_end_matches("[]");
    place.rsplit('.').next().unwrap_or(place)
}

pub(super) fn durations(part: &str, table: &[Bounds]) -> Vec<Rule> {
    let rule = |(path, least, most): &Bounds| {
        let sentence = format!("is no duration from {least} to {most}; write it like \"{most}\"");
        let name = field_name(path);
        Rule::new(
            DURATION_NAME,
            format!(
                "self.matches({}) && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
                literal(DURATION)
            ),
            format!("{name} {sentence}"),
        )
        .shows(format!("'{name} \"' + self + '\" {sentence}'"))
        .at(format!("{part}.{path}"))
    };
    table.iter().map(rule).collect()
}

/// The least and the most of a duration's rule; `None` for other rules.
pub fn duration_bounds(rule: &str) -> Option<(&str, &str)> {
    let (_, bounds) = rule.split_once("duration(self) >= duration('")?;
    let (least, rest) = bounds.split_once('\'')?;
    let (_, most) = rest.split_once("<= duration('")?;
    Some((least, most.strip_suffix("')")?))
}

/// The rule that stands for a pattern in a schema, at a place.
pub(crate) fn pattern_rule(source: &str, place: &str) -> Option<Rule> {
    let mend = pattern(source)?.mend;
    let name = field_name(place);
    let rule = Rule::new(
        FORM_NAME,
        format!("self.matches({})", literal(source)),
        format!("{name} {mend}"),
    )
    .shows(format!("'{name} \"' + self + {}", literal(&format!("\" {mend}"))))
    .at(place);
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_back_from_a_rule() {
        let rules = durations("spec", SWITCH_DURATIONS);
        assert_eq!(duration_bounds(&rules[0].rule), Some(("1m", "168h")));
    }

    #[test]
    fn a_literal_keeps_backslashes_and_quotes() {
        assert_eq!(literal(r"a\d'"), r"'a\\d\''");
    }
}
