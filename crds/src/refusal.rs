//! One reason why a sale is refused.

use std::fmt;

/// The longest part of an offending value that a refusal repeats, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// One reason why a sale is refused: where, what stood there, and how to mend it.
///
/// Its `Display` is a single line, as `spec.items[0].stock: 0 is below 1; … (line 9)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field, as `spec.items[2].price`; empty when it is about the whole file.
    pub path: String,
    /// The offending value as it would stand in JSON, shortened; `None` when there is none to show.
    pub value: Option<String>,
    /// What is wrong and what to do. It continues the sentence that the value begins.
    pub message: String,
    /// The line of the file, from 1, where it is known.
    pub line: Option<usize>,
}

impl Refusal {
    /// A refusal without a value or a line.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            value: None,
            message: message.into(),
            line: None,
        }
    }

    /// Names the offending value, given as text; it is shown in quotes.
    #[must_use]
    pub fn of_text(self, value: &str) -> Self {
        self.of(shortened(value))
    }

    /// Names the offending value.
    #[must_use]
    pub fn of(mut self, value: impl Into<serde_json::Value>) -> Self {
        self.value = Some(shortened(&value.into().to_string()));
        self
    }

    /// Names the offending value as it stands in the file, without quotes.
    #[must_use]
    pub(crate) fn raw(mut self, value: &str) -> Self {
        self.value = Some(shortened(value));
        self
    }

    /// Names the line, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(VALUE_CHARS_MAX - 1).collect();
    format!("{head}…")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if let Some(value) = &self.value {
            write!(f, "{value} ")?;
        }
        f.write_str(&self.message)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_with_path_value_mend_and_line() {
        let refusal = Refusal::new("spec.items[0].stock", "is below 1; declare at least one unit")
            .of(0)
            .at_line(9);
        let text = refusal.to_string();
        assert_eq!(
            text,
            "spec.items[0].stock: 0 is below 1; declare at least one unit (line 9)"
        );
    }

    #[test]
    fn a_long_value_is_shortened_and_its_line_breaks_are_escaped() {
        let text = Refusal::new("a", "is too long")
            .of_text(&"x\n".repeat(500))
            .to_string();
        assert!(text.chars().count() < 160 && !text.contains('\n'), "{text}");
    }
}
