//! The rules across fields that an API server checks, as data: CEL expressions with the sentence for whoever breaks one.
//!
//! Each rule stands at a *place* of its resource, written as `spec.items[]`; `self` is the value there. One topic, one
//! file below. What is the same for every text of a form or every duration is made from tables, in [`formats`].

mod buyers;
mod changes;
mod class;
mod formats;
mod items;
mod locks;
mod operations;
mod orders;
mod report;
mod switch;
mod window;

pub(crate) use changes::changeable;
pub use formats::duration_bounds;
pub(crate) use formats::pattern_rule;

use crate::objects::Kind;

/// Why a value is refused, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The value is wrong.
    Invalid,
    /// The value may not be set, or not be changed now.
    Forbidden,
    /// A value is missing.
    Required,
}

/// A rule that an API server checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique at its place.
    pub name: &'static str,
    /// Where it stands: `` (the object), `spec`, `spec.items[]` …
    pub at: String,
    /// The expression in CEL that must be true.
    pub rule: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// An expression in CEL that says the same with the offending value; where it fails, `message` is shown.
    pub message_expression: Option<String>,
    /// The field to name, from the rule's place; left out, the place itself.
    pub field: Option<String>,
    /// Why the value is refused.
    pub reason: Reason,
}

impl Rule {
    fn new(name: &'static str, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name,
            at: String::new(),
            rule: rule.into(),
            message: message.into(),
            message_expression: None,
            field: None,
            reason: Reason::Invalid,
        }
    }

    /// The field that the message is about, from the rule's place.
    fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The message as an expression.
    fn shows(mut self, expression: impl Into<String>) -> Self {
        self.message_expression = Some(expression.into());
        self
    }

    fn forbidden(mut self) -> Self {
        self.reason = Reason::Forbidden;
        self
    }

    fn required(mut self) -> Self {
        self.reason = Reason::Required;
        self
    }

    /// Whether it is made from a text's form alone, as [`formats`] does.
    pub(crate) fn is_of_form(&self) -> bool {
        matches!(self.name, formats::FORM_NAME | formats::DURATION_NAME)
    }

    fn at(mut self, place: impl Into<String>) -> Self {
        self.at = place.into();
        self
    }
}

/// Moves rules that stand at places within a part to where that part is.
fn within(part: &str, rules: Vec<Rule>) -> Vec<Rule> {
    let moved = |mut rule: Rule| {
        rule.at = match rule.at.as_str() {
            "" => part.to_owned(),
            place if place.starts_with('[') => format!("{part}{place}"),
            place => format!("{part}.{place}"),
        };
        rule
    };
    rules.into_iter().map(moved).collect()
}

/// The rules of a kind that are written by hand, those of durations included; see [`pattern_rule`] for the rest.
pub fn rules<S: Kind>() -> Vec<Rule> {
    match S::KIND {
        "FlashSaleClass" => class::rules(),
        "FlashSaleSwitch" => switch::rules(),
        _ => sale(),
    }
}

fn sale() -> Vec<Rule> {
    [
        operations::names(),
        within("spec", window::rules()),
        within("spec", items::rules()),
        within("spec.buyers", buyers::rules()),
        within("spec.orders", orders::rules()),
        within("spec", operations::rules()),
        locks::rules(),
        report::rules(),
        formats::durations("spec", formats::SALE_DURATIONS),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{class::FlashSaleClassSpec, sale::FlashSaleSpec, switch::FlashSaleSwitchSpec};

    fn all() -> Vec<Rule> {
        [
            rules::<FlashSaleSpec>(),
            rules::<FlashSaleClassSpec>(),
            rules::<FlashSaleSwitchSpec>(),
        ]
        .concat()
    }

    #[test]
    fn names_are_unique_within_a_kind_and_place() {
        for rules in [
            rules::<FlashSaleSpec>(),
            rules::<FlashSaleClassSpec>(),
            rules::<FlashSaleSwitchSpec>(),
        ] {
            let names: BTreeSet<_> = rules.iter().map(|rule| (rule.at.clone(), rule.name)).collect();
            assert_eq!(names.len(), rules.len());
        }
    }

    #[test]
    fn there_are_sixty_rules_and_twenty_that_go_by_the_lock_level() {
        let rules = all();
        assert!(rules.len() >= 60, "{}", rules.len());
        let locks = rules
            .iter()
            .filter(|rule| rule.rule.contains("oldSelf") && rule.rule.contains("lockLevel"));
        assert!(locks.count() >= 20);
    }

    #[test]
    fn every_message_says_what_to_do_in_one_line() {
        for rule in all() {
            assert!(
                !rule.message.contains('\n') && rule.message.len() > 20,
                "{}",
                rule.name
            );
            let has_mend = rule.message.contains([';', ':']);
            assert!(has_mend, "{}: {}", rule.name, rule.message);
        }
    }

    /// Turning a number or a time into text exceeds what an API server allows a message to cost.
    #[test]
    fn no_message_turns_numbers_or_times_into_text() {
        for rule in all() {
            assert!(
                !rule.message_expression.unwrap_or_default().contains("string("),
                "{}",
                rule.name
            );
        }
    }
}
