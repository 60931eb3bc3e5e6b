//! Reading a sale from a file: every problem at once, each with its line.

use std::{fs::File, io::Read, path::Path};

use crate::{
    refusal::Refusal,
    sale::FlashSale,
    schema::flash_sale_schema,
    shape,
    validate::validate,
    yaml::{self, Node, NodeValue},
};

/// The largest file that is read: what an API server would store of one object, generously.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Which rules a file is read by, where a cluster and a single process differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether addresses to call may also be `http://` on this very machine.
    pub loopback_http: bool,
}

impl Rules {
    /// As an API server reads it: only `https://` is called.
    pub const CLUSTER: Self = Self { loopback_http: false };
    /// As one process serves it: the shop's webhooks and keys may be on this machine, without TLS.
    pub const EMBEDDED: Self = Self { loopback_http: true };
}

impl FlashSale {
    /// Reads a sale from a file, by the rules of a cluster.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line; or one refusal when the file can't be read at all.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Vec<Refusal>> {
        Self::load_with(path, Rules::CLUSTER)
    }

    /// Reads a sale from a file, by the given rules.
    ///
    /// # Errors
    /// As [`FlashSale::load`].
    pub fn load_with(path: impl AsRef<Path>, rules: Rules) -> Result<Self, Vec<Refusal>> {
        let text = read(path.as_ref()).map_err(|refusal| vec![refusal])?;
        Self::parse_with(&text, rules)
    }

    /// Reads a sale from YAML (or JSON), by the rules of a cluster.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse(yaml: &str) -> Result<Self, Vec<Refusal>> {
        Self::parse_with(yaml, Rules::CLUSTER)
    }

    /// Reads a sale from YAML (or JSON), by the given rules.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse_with(yaml: &str, rules: Rules) -> Result<Self, Vec<Refusal>> {
        let document = document_of(yaml, "FlashSale").map_err(|refusal| vec![refusal])?;
        let shape = shape::check(&document, flash_sale_schema(), rules);
        let mut refusals = shape.refusals;
        let sale = match shape.value.map(serde_json::from_value::<Self>) {
            Some(Ok(sale)) => {
                let mut broken = validate(&sale.spec);
                // A rule that trips over a part which was refused already has nothing new to say.
                broken.retain(|rule| {
                    !refusals
                        .iter()
                        .any(|refusal| is_related(&refusal.path, &rule.path))
                });
                for rule in &mut broken {
                    rule.line = line_of(&rule.path, &shape.lines);
                }
                refusals.extend(broken);
                Some(sale)
            }
            Some(Err(error)) => {
                refusals.push(Refusal::new(
                    "",
                    format!("this fits the schema but not the types: {error}; report it"),
                ));
                None
            }
            None => None,
        };
        match sale {
            Some(sale) if refusals.is_empty() => Ok(sale),
            _ => {
                refusals.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
                Err(refusals)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Refusal> {
    let name = path.display();
    let unreadable =
        |error: std::io::Error| Refusal::new("", format!("{name} can't be read: {error}; check the path"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Refusal::new(
            "",
            format!("{name} is not UTF-8 text from byte {at} on; save it as UTF-8"),
        )
    })
}

/// The one document of a text, which must be about an object of a kind.
pub(crate) fn document_of(yaml: &str, wanted: &str) -> Result<Node, Refusal> {
    if yaml.len() > FILE_BYTES_MAX {
        return Err(Refusal::new(
            "",
            "the file is larger than 1 MiB; use itemsFrom for long lists of items",
        ));
    }
    let mut documents = yaml::documents(yaml.strip_prefix('\u{feff}').unwrap_or(yaml))?;
    documents.retain(|document| !document.is_null());
    if let [_, second, ..] = documents.as_slice() {
        let why = format!(
            "the file holds {} documents; put each into a file of its own",
            documents.len()
        );
        return Err(Refusal::new("", why).at_line(second.line));
    }
    let Some(document) = documents.pop() else {
        return Err(Refusal::new(
            "",
            "the file is empty; begin with `apiVersion: flashsale.dev/v1alpha1`",
        ));
    };
    if !matches!(document.value, NodeValue::Map(_)) {
        let why = "the file holds no fields; begin with `apiVersion: flashsale.dev/v1alpha1`";
        return Err(Refusal::new("", why).at_line(document.line));
    }
    match document.text_of("kind") {
        Some((kind, line)) if kind != wanted => Err(Refusal::new(
            "kind",
            format!("is another kind of object; this needs a {wanted}"),
        )
        .of_text(kind)
        .at_line(line)),
        _ => Ok(document),
    }
}

/// Whether one path is the other, or lies within it.
fn is_related(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(a, b) || within(b, a)
}

/// The line of a path, or of what it would be part of.
fn line_of(path: &str, lines: &std::collections::HashMap<String, usize>) -> Option<usize> {
    let mut path = path;
    loop {
        if let Some(line) = lines.get(path) {
            return Some(*line);
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}
