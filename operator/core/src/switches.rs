//! Which switches are in force, for the status: what the control sidecars work out for the sale's processes by the same rule.

use crate::api::{FlashSaleSwitch, HumanDuration, SwitchInForce, SwitchSource, Switches};
use crate::time::{Millis, timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// As many as the status may hold.
const SWITCHES_MAX: usize = 24;

/// The switches in force at `now`, by name; no object holds longer than `longest`. Of two objects that set the same, the newer one wins; of one second, the later name.
pub(crate) fn in_force(
    own: Option<&Switches>,
    objects: &[FlashSaleSwitch],
    longest: Option<HumanDuration>,
    now: Millis,
) -> Vec<SwitchInForce> {
    let mut all: BTreeMap<String, ((Millis, String), SwitchInForce)> = BTreeMap::new();
    if let Some(own) = own {
        for (name, value) in leaves(own) {
            let set = plain(&name, value, SwitchSource::Sale);
            all.insert(name, ((0, String::new()), set));
        }
    }
    for object in objects
        .iter()
        .filter(|object| object.metadata.deletion_timestamp.is_none())
    {
        let since = created(object);
        let until = since.saturating_add(object.spec.holds_ms(longest));
        if until <= now {
            continue;
        }
        let name = object.metadata.name.clone().unwrap_or_default();
        for (switch, value) in leaves(&object.spec.set) {
            let rank = (since, name.clone());
            // The sale's own is weaker than any object.
            let is_stronger = all
                .get(&switch)
                .is_none_or(|(other, set)| set.source == SwitchSource::Sale || *other < rank);
            if is_stronger {
                let set = SwitchInForce {
                    source_name: Some(name.clone()),
                    reason: Some(object.spec.reason.clone()),
                    actor: object.spec.actor.clone(),
                    since_time: Some(timestamp(since)),
                    expire_time: Some(timestamp(until)),
                    ..plain(&switch, value, SwitchSource::Switch)
                };
                all.insert(switch, (rank, set));
            }
        }
    }
    all.into_values().map(|(_, set)| set).take(SWITCHES_MAX).collect()
}

/// When the next switch stops holding.
pub(crate) fn next_expiry(
    objects: &[FlashSaleSwitch],
    longest: Option<HumanDuration>,
    now: Millis,
) -> Option<Millis> {
    let ends = objects
        .iter()
        .map(|object| created(object).saturating_add(object.spec.holds_ms(longest)));
    ends.filter(|end| *end > now).min()
}

fn created(object: &FlashSaleSwitch) -> Millis {
    let created = object.metadata.creation_timestamp.as_ref();
    created
        .and_then(|time| u64::try_from(time.0.as_millisecond()).ok())
        .unwrap_or(0)
}

fn plain(name: &str, value: String, source: SwitchSource) -> SwitchInForce {
    SwitchInForce {
        name: name.to_owned(),
        value,
        source,
        source_name: None,
        reason: None,
        actor: None,
        since_time: None,
        expire_time: None,
        applied: None,
    }
}

/// Each switch by its dotted name.
fn leaves(switches: &Switches) -> Vec<(String, String)> {
    let mut all = Vec::new();
    collect("", &json!(switches), &mut all);
    all
}

fn collect(path: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                collect(&path, value, all);
            }
        }
        Value::Null => {}
        Value::String(text) => all.push((path.to_owned(), text.clone())),
        other => all.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, created: &str, set: &str, expires: &str) -> FlashSaleSwitch {
        let set: Value = serde_json::from_str(set).unwrap();
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"saleName": "a", "set": set, "reason": "a test", "expiresAfter": expires},
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_object_in_force_wins_and_all_are_stronger_than_the_sale() {
        let at = |text: &str| text.parse::<crate::api::Timestamp>().unwrap().millis();
        let own: Switches =
            serde_json::from_str(r#"{"orders": {"hold": false, "ratePerMinute": 5}}"#).unwrap();
        let objects = [
            object("b", "2026-12-01T12:01:00Z", r#"{"orders": {"hold": true}}"#, "1m"),
            object(
                "a",
                "2026-12-01T12:00:00Z",
                r#"{"orders": {"hold": false}, "sale": {"paused": true}}"#,
                "10m",
            ),
        ];
        let shown_with = |longest: Option<&str>, now| {
            let longest = longest.map(|text| text.parse().unwrap());
            let all = in_force(Some(&own), &objects, longest, at(now));
            all.iter()
                .map(|set| format!("{}={} {:?}", set.name, set.value, set.source))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let shown = |now| shown_with(None, now);
        let early = "orders.hold=true Switch, orders.ratePerMinute=5 Sale, sale.paused=true Switch";
        assert_eq!(shown("2026-12-01T12:01:30Z"), early);
        let later = "orders.hold=false Switch, orders.ratePerMinute=5 Sale, sale.paused=true Switch";
        assert_eq!(shown("2026-12-01T12:02:00Z"), later);
        assert_eq!(
            shown("2026-12-01T12:10:00Z"),
            "orders.hold=false Sale, orders.ratePerMinute=5 Sale"
        );
        let held = shown_with(Some("5m"), "2026-12-01T12:05:00Z");
        assert_eq!(held, "orders.hold=false Sale, orders.ratePerMinute=5 Sale");
        let longest = Some("5m".parse().unwrap());
        assert_eq!(
            next_expiry(&objects, longest, at("2026-12-01T12:03:00Z")),
            Some(at("2026-12-01T12:05:00Z"))
        );
    }
}
