//! What is changed of a sale while it runs, and what can't be changed any more.

use crate::api::{Cancellation, LockLevel, Timestamp};
use crate::declared::Declared;
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All that was changed so far, as the data plane reads it (`amendments.json`). It is pinned before it is applied, so
/// that nothing can lose it: what is granted once isn't granted again under another id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Amendments {
    /// Grows with every change; 0 is nothing changed.
    pub revision: u64,
    /// A later end of the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_time: Option<Timestamp>,
    /// More stock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The sale is called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// At which rate reservations become orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
}

/// More stock of one item, once for each id and item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The sale's generation that brought it, from 2 on.
    pub id: u32,
    /// The item's id.
    pub item: String,
    /// How many units more.
    pub units: u32,
}

/// What became of the difference between a sale as it is pinned and as it is asked for now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amended {
    /// What the sale's processes must know.
    pub amendments: Amendments,
    /// What comes too late, one sentence each.
    pub refused: Vec<String>,
}

/// The state of the sale as far as changes go.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// How much of the spec is fixed.
    pub level: LockLevel,
    /// The generation of the spec.
    pub generation: i64,
    /// The time.
    pub now: Millis,
}

impl Amendments {
    /// When the sale ends, by what was declared.
    #[must_use]
    pub fn close_ms(&self, declared: Millis) -> Millis {
        self.close_time.map_or(declared, Timestamp::millis)
    }

    fn granted(&self, item: &str) -> i64 {
        self.grants
            .iter()
            .filter(|grant| grant.item == item)
            .map(|grant| i64::from(grant.units))
            .sum()
    }
}

/// Adds to what was changed before: `base` as pinned, `wanted` as asked for now. `called_off` calls the sale off,
/// for good.
#[must_use]
pub fn amend(
    before: &Amendments,
    base: &Declared,
    wanted: &Declared,
    called_off: Option<&Cancellation>,
    standing: Standing,
) -> Amended {
    let mut next = before.clone();
    let mut refused = Vec::new();
    if next.cancellation.is_none() {
        next.cancellation = called_off.cloned();
    }
    let ended = standing.level >= LockLevel::Closed || before.cancellation.is_some();
    close(&mut next, base, wanted, ended, standing.now, &mut refused);
    stock(&mut next, base, wanted, ended, standing.generation, &mut refused);
    let rate = wanted.effective.orders.rate_per_minute;
    if rate
        != next
            .rate_per_minute
            .unwrap_or(base.effective.orders.rate_per_minute)
    {
        next.rate_per_minute = Some(rate);
    }
    if next != *before {
        let generation = u64::try_from(standing.generation).unwrap_or(0);
        next.revision = generation.max(before.revision + 1);
    }
    refused.extend(others(base, wanted));
    Amended {
        amendments: next,
        refused,
    }
}

fn close(
    next: &mut Amendments,
    base: &Declared,
    wanted: &Declared,
    ended: bool,
    now: Millis,
    refused: &mut Vec<String>,
) {
    let (current, asked) = (next.close_ms(base.effective.close_ms), wanted.effective.close_ms);
    if asked == current {
        return;
    }
    let asked_time = wanted.spec.close_time;
    if ended || now >= current {
        refused.push(format!(
            "spec.closeTime: {asked_time} comes after the sale has closed; set it back"
        ));
    } else if asked < current {
        let mend = "set entry.soldOut or cancellation to end the sale early";
        refused.push(format!(
            "spec.closeTime: {asked_time} is earlier than the pinned end; {mend}"
        ));
    } else {
        next.close_time = Some(asked_time);
    }
}

fn stock(
    next: &mut Amendments,
    base: &Declared,
    wanted: &Declared,
    ended: bool,
    generation: i64,
    refused: &mut Vec<String>,
) {
    for item in &wanted.effective.items {
        let Some(was) = base.effective.items.iter().find(|was| was.id == item.id) else {
            continue;
        };
        let more = i64::from(item.stock) - i64::from(was.stock) - next.granted(&item.id);
        let id = &item.id;
        if more < 0 {
            refused.push(format!(
                "spec.items[{id}].stock: {} is less than what is loaded; set it back",
                item.stock
            ));
        } else if more > 0 && ended {
            refused.push(format!(
                "spec.items[{id}].stock: {more} units more come after the sale has closed; set it back"
            ));
        } else if more > 0 {
            next.grants.push(Grant {
                id: u32::try_from(generation).unwrap_or(u32::MAX),
                item: id.clone(),
                units: u32::try_from(more).unwrap_or(u32::MAX),
            });
        }
    }
}

/// Fields that differ and that a running sale doesn't take over. What has a way of its own to the processes, or is the
/// operator's business alone, isn't in the compared specs.
fn others(base: &Declared, wanted: &Declared) -> Vec<String> {
    let (base, wanted) = (comparable(base), comparable(wanted));
    let keys = base
        .as_object()
        .into_iter()
        .chain(wanted.as_object())
        .flatten()
        .map(|(key, _)| key);
    let mut keys: Vec<&String> = keys.collect();
    keys.sort();
    keys.dedup();
    let differing = keys.into_iter().filter(|key| base.get(key) != wanted.get(key));
    differing
        .map(|key| format!("spec.{key}: a running sale keeps what it was armed with; set it back"))
        .collect()
}

fn comparable(declared: &Declared) -> Value {
    let mut spec = json!(declared.spec);
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("closeTime");
        let plane = fields.get_mut("dataPlane").and_then(Value::as_object_mut);
        plane.into_iter().for_each(|plane| {
            plane.remove("gateways");
            plane.remove("workers");
        });
        let orders = fields.get_mut("orders").and_then(Value::as_object_mut);
        orders.into_iter().for_each(|orders| {
            orders.remove("ratePerMinute");
        });
        let items = fields.get_mut("items").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            item.remove("stock");
        }
    }
    spec
}

/// The digest of what a change of makes new templates necessary, before anything is loaded; after that stock, end and
/// rate are amended instead.
#[must_use]
pub fn digest(declared: &Declared, level: LockLevel) -> String {
    if level >= LockLevel::Loading {
        return crate::canonical::digest(&comparable(declared));
    }
    let mut spec = json!(declared.spec);
    if let Some(plane) = spec.get_mut("dataPlane").and_then(Value::as_object_mut) {
        plane.remove("gateways");
        plane.remove("workers");
    }
    crate::canonical::digest(&spec)
}
