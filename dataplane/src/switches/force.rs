//! What is in force, in the form in which it acts.

use super::document::{Entry, Source};
use flashsale_core::ids::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One switch in force, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The switch, and who set it to what.
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether it does anything in this version.
    pub effective: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is in force at some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    /// The document's revision.
    pub revision: u64,
    /// `sale.paused`
    pub paused: bool,
    /// `entry.soldOut`
    pub sold_out: bool,
    /// `entry.rateLimit`: purchases a second of each gateway.
    pub rate_limit: Option<u32>,
    /// `orders.ratePerMinute`
    pub orders_per_minute: Option<u32>,
    /// `orders.hold`
    pub hold: bool,
    /// `followUps.paused`
    pub follow_ups_paused: bool,
    /// `pages.static`
    pub only_static: bool,
    /// `rooms.drained`
    pub rooms_drained: Vec<String>,
    /// All of them.
    pub all: Vec<Shown>,
    /// When the first of them expires.
    pub until: Option<Millis>,
}

impl InForce {
    /// Reckons what `winners` mean.
    pub(super) fn of(revision: u64, winners: &BTreeMap<&str, &Entry>, until: Option<Millis>) -> Self {
        let mut this = Self {
            revision,
            until,
            ..Self::default()
        };
        for entry in winners.values() {
            let note = this.set(&entry.switch, &entry.value).err();
            this.all.push(Shown {
                entry: (*entry).clone(),
                effective: note.is_none(),
                note: note.map(str::to_owned),
            });
        }
        this
    }

    /// Sets one switch.
    ///
    /// # Errors
    /// Why it has no effect.
    fn set(&mut self, switch: &str, value: &Value) -> Result<(), &'static str> {
        match switch {
            "sale.paused" => self.paused = flag(value)?,
            "entry.soldOut" => self.sold_out = flag(value)?,
            "entry.rateLimit" => self.rate_limit = Some(number(value)?),
            "orders.ratePerMinute" => self.orders_per_minute = Some(number(value)?),
            "orders.hold" => self.hold = flag(value)?,
            "followUps.paused" => self.follow_ups_paused = flag(value)?,
            "pages.static" => self.only_static = flag(value)?,
            "rooms.drained" => self.rooms_drained = words(value)?,
            "entry.hideURL" if !flag(value)? => {}
            "entry.hideURL" => return Err("this version has no hidden purchase path"),
            "entry.challenge" => return Err("this version asks no challenge"),
            "stock.engine" if value == "Redis" => {}
            "stock.engine" => return Err("this version serves a sale on Redis from Redis only"),
            "orderLog.bypass" if !flag(value)? => {}
            "orderLog.bypass" => return Err("this version makes no promise past the order log"),
            "orders.flow" if value == "Queue" => {}
            "orders.flow" => return Err("this version makes orders from the queue only"),
            _ => return Err("this version doesn't know the switch"),
        }
        Ok(())
    }
}

fn flag(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("its value must be true or false")
}

fn number(value: &Value) -> Result<u32, &'static str> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or("its value must be a number from 0 on")
}

fn words(value: &Value) -> Result<Vec<String>, &'static str> {
    let words = value.as_array().and_then(|words| {
        let texts = words.iter().map(|word| word.as_str().map(str::to_owned));
        texts.collect()
    });
    words.ok_or("its value must be a list of names")
}

impl Shown {
    /// The number that stands for its value in metrics: the value itself, or whether it is on.
    #[must_use]
    pub fn gauge(&self) -> i64 {
        match &self.entry.value {
            Value::Bool(on) => i64::from(*on),
            Value::Number(number) => number.as_i64().unwrap_or(i64::MAX),
            Value::Array(list) => list.len() as i64,
            Value::Null => 0,
            Value::String(_) | Value::Object(_) => 1,
        }
    }

    /// Who set it.
    #[must_use]
    pub fn source(&self) -> Source {
        self.entry.source
    }
}
