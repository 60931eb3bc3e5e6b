//! What was switched, by whom, until when; and which of it wins.

use flashsale_core::ids::Millis;
use flashsale_crds::Switches;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Who switched. A later one overrules an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The class' defaults.
    Class,
    /// The sale's own `spec.switches`.
    Spec,
    /// A `FlashSaleSwitch`.
    FlashSaleSwitch,
    /// Somebody with the sale's key, past the API server.
    BreakGlass,
}

impl Source {
    /// The word for it in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Spec => "spec",
            Self::FlashSaleSwitch => "flashSaleSwitch",
            Self::BreakGlass => "breakGlass",
        }
    }
}

/// One switch, as one source has set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its dotted name, such as `orders.hold`.
    pub switch: String,
    /// What it is set to.
    pub value: Value,
    /// Who set it.
    pub source: Source,
    /// The object that set it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Since when, in milliseconds since 1970; 0 if nobody knows.
    #[serde(default)]
    pub since_ms: Millis,
    /// From when on it counts no more; nothing: it doesn't expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<Millis>,
}

impl Entry {
    /// One that nobody in particular has set to anything, to be filled in.
    #[must_use]
    pub fn nobody(source: Source) -> Self {
        Self {
            switch: String::new(),
            value: Value::Null,
            source,
            name: None,
            reason: None,
            actor: None,
            since_ms: 0,
            expires_ms: None,
        }
    }

    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: Millis) -> bool {
        self.expires_ms.is_none_or(|end| now < end)
    }

    /// What it is compared by: the greatest wins. Two objects of one second are told apart by name, so that every
    /// process decides alike.
    fn rank(&self) -> (Source, Millis, Option<&str>, Option<Millis>) {
        (self.source, self.since_ms, self.name.as_deref(), self.expires_ms)
    }
}

/// Everything that was declared, as a control sidecar sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Grows with every change; 0 is no document.
    pub revision: u64,
    /// In no order.
    pub entries: Vec<Entry>,
}

/// Everything that a process knows of switches, as it is passed on and kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// What was declared.
    pub document: Document,
    /// What was switched past the API server.
    #[serde(default)]
    pub glass: Vec<Entry>,
}

impl Kept {
    /// Takes over what somebody else knows at `now`; whether that changed anything.
    pub fn merge(&mut self, other: Self, now: Millis) -> bool {
        let newer = other.document.revision > self.document.revision;
        if newer {
            self.document = other.document;
        }
        let before = self.glass.clone();
        self.glass.extend(other.glass);
        self.glass.retain(|entry| entry.counts(now));
        self.glass.sort_by(|a, b| a.glass_order().cmp(&b.glass_order()));
        self.glass.dedup();
        newer || before != self.glass
    }
}

impl Entry {
    /// Any order in which equal ones are neighbours.
    fn glass_order(&self) -> (&str, Millis, Option<&str>, Option<Millis>, String) {
        let value = self.value.to_string();
        (
            &self.switch,
            self.since_ms,
            self.name.as_deref(),
            self.expires_ms,
            value,
        )
    }
}

/// Of each switch the entry that wins at `now`, by the switch's name.
pub fn in_force<'e>(
    entries: impl IntoIterator<Item = &'e Entry>,
    now: Millis,
) -> BTreeMap<&'e str, &'e Entry> {
    let mut winners: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| entry.counts(now)) {
        let winner = winners.entry(&entry.switch).or_insert(entry);
        if entry.rank() > winner.rank() {
            *winner = entry;
        }
    }
    winners
}

/// The entries of a declaration, each like `as_in` but for its name and value.
#[must_use]
pub fn entries(switches: &Switches, as_in: &Entry) -> Vec<Entry> {
    // Only structs of plain values: they always have a JSON form, objects in an object.
    let Ok(Value::Object(groups)) = serde_json::to_value(switches) else {
        return Vec::new();
    };
    let leaves = groups.into_iter().flat_map(|(group, leaves)| {
        let Value::Object(leaves) = leaves else {
            return Vec::new();
        };
        let named = leaves.into_iter();
        named
            .map(|(leaf, value)| (format!("{group}.{leaf}"), value))
            .collect()
    });
    let entry = |(switch, value)| Entry {
        switch,
        value,
        ..as_in.clone()
    };
    leaves.map(entry).collect()
}
