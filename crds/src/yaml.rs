//! YAML as a tree that remembers lines and quotes, so that a refusal can name both.
//!
//! Scalars stay text here: only the schema knows whether `10000` is meant as a number.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::refusal::Refusal;

/// The most nodes of a file, aliases counted as what they stand for.
const NODES_MAX: usize = 100_000;
/// The deepest nesting of a file.
const DEPTH_MAX: usize = 64;

/// A value with its line, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: NodeValue,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum NodeValue {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text, and whether it stands in the file without quotes.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
}

/// One field of a mapping. A key may come twice: that is for the reader to refuse.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Scalar,
    pub(crate) line: usize,
    pub(crate) value: Node,
}

/// What a scalar is for YAML; Kubernetes' tools read YAML 1.1, where more than `true` is a boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    /// `true` or `false`.
    Bool,
    /// `yes`, `on` and their like: a boolean for kubectl, text for others.
    OldBool,
    Number,
    Text,
}

impl Scalar {
    /// What YAML makes of it.
    pub(crate) fn kind(&self) -> ScalarKind {
        if !self.plain {
            return ScalarKind::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Bool,
            text if is_old_bool(text) => ScalarKind::OldBool,
            text if is_number(text) => ScalarKind::Number,
            _ => ScalarKind::Text,
        }
    }
}

impl Node {
    /// Whether nothing stands there.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar(scalar) if scalar.kind() == ScalarKind::Null)
    }

    /// The text of a field of this mapping, if both exist.
    pub(crate) fn text_of(&self, key: &str) -> Option<(&str, usize)> {
        let NodeValue::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key.text == key)?;
        match &entry.value.value {
            NodeValue::Scalar(scalar) => Some((&scalar.text, entry.line)),
            _ => None,
        }
    }
}

/// All lower case, all upper case, or the first letter alone in upper case.
fn is_old_bool(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|word| {
        let (first, rest) = word.split_at(1);
        text == *word || text == word.to_ascii_uppercase() || text == first.to_ascii_uppercase() + rest
    })
}

/// Numbers of YAML 1.1 and 1.2: decimal with `_`, octal, hex, binary, with exponent, infinite or not a number.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.replace('_', "");
    if matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return true;
    }
    let radix = |prefix, radix: u32| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest: &str| !rest.is_empty() && rest.chars().all(|digit| digit.is_digit(radix)))
    };
    // `parse` also takes words such as `inf`; a number begins with a digit or a point.
    let decimal = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || (decimal && digits.parse::<f64>().is_ok())
}

/// Reads all documents of a text.
///
/// # Errors
/// The text is no YAML, or uses what a resource needs not: tags, keys that aren't text, huge aliases.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Refusal> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unreadable(&error))?;
        tree.take(event, span)?;
    }
    Ok(tree.documents)
}

fn unreadable(error: &ScanError) -> Refusal {
    let why = format!(
        "this is no YAML: {}; mend the indentation, quotes or brackets there",
        error.info()
    );
    Refusal::new("", why).at_line(error.marker().line())
}

/// A list or mapping whose end hasn't come yet.
struct Open {
    line: usize,
    anchor: usize,
    list: Vec<Node>,
    map: Vec<Entry>,
    key: Option<(Scalar, usize)>,
    is_map: bool,
}

#[derive(Default)]
struct Tree {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), line)?;
                let plain = style == ScalarStyle::Plain;
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.put(
                    Node {
                        line,
                        value: NodeValue::Scalar(scalar),
                    },
                    anchor,
                    1,
                )
            }
            Event::SequenceStart(anchor, tag) => self.begin(false, anchor, tag.is_some(), line),
            Event::MappingStart(anchor, tag) => self.begin(true, anchor, tag.is_some(), line),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(
                        Refusal::new("", "an alias stands within its own anchor; write it out").at_line(line),
                    );
                };
                self.put(node, 0, size)
            }
            Event::DocumentStart(_) | Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
        }
    }

    fn begin(&mut self, is_map: bool, anchor: usize, tagged: bool, line: usize) -> Result<(), Refusal> {
        refuse_tag(tagged, line)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(Refusal::new(
                "",
                format!("this nests deeper than {DEPTH_MAX} levels; flatten it"),
            )
            .at_line(line));
        }
        self.open.push(Open {
            line,
            anchor,
            list: Vec::new(),
            map: Vec::new(),
            key: None,
            is_map,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = if open.is_map {
            NodeValue::Map(open.map)
        } else {
            NodeValue::List(open.list)
        };
        self.put(
            Node {
                line: open.line,
                value,
            },
            open.anchor,
            1,
        )
    }

    /// Puts a finished node, which counts `size` new nodes, where it belongs.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Refusal> {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            let why = format!(
                "this holds more than {NODES_MAX} values; shorten it (aliases count as what they repeat)"
            );
            return Err(Refusal::new("", why).at_line(node.line));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), count(&node)));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        if !open.is_map {
            open.list.push(node);
        } else if let Some((key, line)) = open.key.take() {
            open.map.push(Entry {
                key,
                line,
                value: node,
            });
        } else if let NodeValue::Scalar(key) = node.value {
            open.key = Some((key, node.line));
        } else {
            return Err(
                Refusal::new("", "a field's name must be text, not a list or mapping").at_line(node.line),
            );
        }
        Ok(())
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        NodeValue::Scalar(_) => 0,
        NodeValue::List(list) => list.iter().map(count).sum(),
        NodeValue::Map(map) => map.iter().map(|entry| 1 + count(&entry.value)).sum(),
    }
}

fn refuse_tag(tagged: bool, line: usize) -> Result<(), Refusal> {
    if tagged {
        return Err(Refusal::new(
            "",
            "a YAML tag (!…) has no meaning here; remove it, and quote what is text",
        )
        .at_line(line));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> ScalarKind {
        Scalar {
            text: text.to_owned(),
            plain: true,
        }
        .kind()
    }

    #[test]
    fn plain_scalars_are_what_kubectl_makes_of_them() {
        for text in [
            "699.00", "10_000", "0x1F", "0o17", "017", "1e3", "-5", ".5", ".inf",
        ] {
            assert_eq!(kind(text), ScalarKind::Number, "{text}");
        }
        for text in ["on", "On", "OFF", "yes", "N"] {
            assert_eq!(kind(text), ScalarKind::OldBool, "{text}");
        }
        for text in [
            "",
            "oN",
            "phone-15",
            "2026-12-01T12:00:00Z",
            "12:30",
            "inf",
            "1.2.3",
            "e3",
            "nano",
        ] {
            assert_ne!(kind(text), ScalarKind::Number, "{text}");
            assert_ne!(kind(text), ScalarKind::OldBool, "{text}");
        }
    }

    #[test]
    fn aliases_that_multiply_are_refused_within_bounds() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(documents(&bomb).unwrap_err().message.contains("more than 100000"));
    }

    #[test]
    fn deep_nesting_is_refused_rather_than_followed() {
        assert!(documents(&"[".repeat(500_000)).is_err());
        assert!(documents(&"- ".repeat(250_000)).is_err());
        assert!(documents(&"[".repeat(65)).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn an_alias_within_its_own_anchor_is_refused() {
        assert!(documents("a: &a [*a]").is_err());
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "[-{}\\[\\],:&*#'\"|>!%@ \na1~?]{0,60}|\\PC{0,60}")| {
            let _ = documents(&text);
        });
    }
}
