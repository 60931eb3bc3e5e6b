//! From objects of the API to entries: pure.

use crate::amendments::Amendments;
use crate::switches::{Entry, Source, entries};
use flashsale_core::ids::Millis;
use flashsale_crds::objects::FlashSaleSwitch;
use flashsale_crds::{HumanDuration, Switches};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The keys of the run ConfigMap.
const SWITCHES_KEY: &str = "switches.json";
const AMENDMENTS_KEY: &str = "amendments.json";

/// What the run ConfigMap says of the sale's switches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Standing {
    /// The labels of the sale's object.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// `spec.switches`.
    #[serde(default)]
    pub(super) spec: Switches,
    /// The class' switches.
    #[serde(default)]
    pub(super) class: Switches,
    /// How long the class lets an object hold.
    #[serde(default)]
    pub(super) switch_duration: Option<HumanDuration>,
}

/// What the ConfigMap says of the switches; nothing said is nothing switched.
///
/// # Errors
/// It can't be read.
pub(super) fn standing(map: &ConfigMap) -> Result<Standing, String> {
    key(map, SWITCHES_KEY).map(Option::unwrap_or_default)
}

/// What the ConfigMap says of amendments.
///
/// # Errors
/// It can't be read.
pub(super) fn amendments(map: &ConfigMap) -> Result<Option<Amendments>, String> {
    key(map, AMENDMENTS_KEY)
}

fn key<T: serde::de::DeserializeOwned>(map: &ConfigMap, key: &str) -> Result<Option<T>, String> {
    let text = map.data.as_ref().and_then(|data| data.get(key));
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let value = serde_json::from_str(text);
    value
        .map(Some)
        .map_err(|e| format!("{key} of the run ConfigMap can't be read ({e})"))
}

impl Standing {
    /// The entries of the sale itself and of its class.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut all = entries(&self.class, &Entry::nobody(Source::Class));
        all.extend(entries(&self.spec, &Entry::nobody(Source::Spec)));
        all
    }

    /// The entries of one object, if it means the sale.
    pub(super) fn entries_of(&self, sale: &str, switch: &FlashSaleSwitch) -> Vec<Entry> {
        let (metadata, spec) = (&switch.metadata, &switch.spec);
        let named = spec.sale_name.as_deref() == Some(sale);
        let selected = spec
            .sale_selector
            .as_ref()
            .is_some_and(|by| by.matches(&self.labels));
        if !(named || selected) || metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let created = metadata.creation_timestamp.as_ref();
        let since_ms: Millis = created.map_or(0, |at| u64::try_from(at.0.as_millisecond()).unwrap_or(0));
        let as_in = Entry {
            name: metadata.name.clone(),
            reason: Some(spec.reason.clone()),
            actor: spec.actor.clone(),
            since_ms,
            expires_ms: Some(since_ms.saturating_add(spec.holds_ms(self.switch_duration))),
            ..Entry::nobody(Source::FlashSaleSwitch)
        };
        entries(&spec.set, &as_in)
    }
}
