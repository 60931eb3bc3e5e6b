//! What is changed of a sale while it runs, as the operator writes it down.

use crate::sale::Sale;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::units::{self, UnitRange};
use flashsale_crds::{Cancellation, Timestamp, UnpaidOrders};
use serde::{Deserialize, Serialize};

/// All that was changed so far; the operator adds to it and takes nothing back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// From 2 on: 1 is the declared stock. The sale's generation that brought it.
    pub id: u32,
    /// The item's id.
    pub item: String,
    /// How many units more.
    pub units: u32,
}

/// Units that were added, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// The grant's id, which is the load's number in the shards.
    pub id: u32,
    /// The item's place in the sale.
    pub item: u16,
    /// The number of the first unit.
    pub first: u32,
    /// How many.
    pub units: u32,
}

/// What was taken of the amendments: written to the order database before anything acts by it.
///
/// # Guarantees
/// Taking the same amendments again changes nothing; units that were granted keep their numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Amended {
    /// The revision of the amendments that were taken.
    pub revision: u64,
    /// When the sale ends, if later than it was declared; else 0.
    pub closes: Millis,
    /// What was added to the stock, in order.
    pub grants: Vec<Granted>,
    /// Whether the sale was called off, and how.
    pub cancellation: Option<Cancellation>,
    /// At which rate reservations become orders, if another than was declared.
    pub rate_per_minute: Option<u32>,
    /// What wasn't taken of the last amendments, one sentence each.
    pub refused: Vec<String>,
}

impl Amended {
    /// Takes `amendments` at `now`, of which an older revision changes nothing; `over`: whether the sale has closed.
    #[must_use]
    pub fn take(&self, sale: &Sale, amendments: &Amendments, now: Millis, over: bool) -> Option<Self> {
        if amendments.revision <= self.revision {
            return None;
        }
        let mut next = Self {
            revision: amendments.revision,
            refused: Vec::new(),
            ..self.clone()
        };
        let over = over || now >= sale.closes.max(self.closes);
        next.close_time(sale, amendments, over);
        for grant in &amendments.grants {
            if let Err(why) = next.grant(sale, grant, over) {
                next.refused
                    .push(format!("grant {} of {}: {why}", grant.id, grant.item));
            }
        }
        next.rate_per_minute = amendments.rate_per_minute.or(next.rate_per_minute);
        if next.cancellation.is_none() {
            next.cancellation.clone_from(&amendments.cancellation);
        }
        Some(next)
    }

    fn close_time(&mut self, sale: &Sale, amendments: &Amendments, over: bool) {
        let Some(asked) = amendments.close_time else {
            return;
        };
        let closes = sale.closes.max(self.closes);
        if asked.millis() < closes {
            self.refused.push(format!(
                "closeTime {asked}: an open sale can only be extended; call it off with `cancellation`"
            ));
        } else if asked.millis() > closes && over {
            self.refused
                .push(format!("closeTime {asked}: too late, the sale is over"));
        } else if asked.millis() > closes {
            self.closes = asked.millis();
        }
    }

    fn grant(&mut self, sale: &Sale, grant: &Grant, over: bool) -> Result<(), &'static str> {
        let item = sale.item(&grant.item).ok_or("the sale has no such item")?;
        let known = |granted: &Granted| granted.id == grant.id && granted.item == item.0;
        if let Some(granted) = self.grants.iter().find(|granted| known(granted)) {
            let same = granted.units == grant.units;
            return if same {
                Ok(())
            } else {
                Err("it was granted with another number of units")
            };
        }
        if grant.id < 2 || grant.units == 0 {
            return Err("the id is to be 2 or more, and the units 1 or more");
        }
        if over {
            return Err("too late, the sale is over");
        }
        let first = sale.items[item.ix()].stock.checked_add(self.granted(item));
        let first = first.filter(|first| first.checked_add(grant.units).is_some());
        self.grants.push(Granted {
            id: grant.id,
            item: item.0,
            first: first.ok_or("that is more than an item can have")?,
            units: grant.units,
        });
        Ok(())
    }

    /// Units that were added to an item.
    #[must_use]
    pub fn granted(&self, item: ItemIx) -> u32 {
        let of = self.grants.iter().filter(|granted| granted.item == item.0);
        of.map(|granted| granted.units).sum()
    }

    /// What a shard is loaded with of the grants.
    pub fn loads(&self, shard: ShardId, shards: u16) -> impl Iterator<Item = (u32, ItemIx, UnitRange)> + '_ {
        let share = move |granted: &Granted| {
            let UnitRange { first, len } = units::share(granted.units, shard.0, shards);
            let first = granted.first + first;
            (granted.id, ItemIx(granted.item), UnitRange { first, len })
        };
        self.grants
            .iter()
            .map(share)
            .filter(|(_, _, units)| units.len > 0)
    }

    /// The sale as it is with this.
    #[must_use]
    pub fn of(&self, sale: &Sale) -> Sale {
        let mut sale = sale.clone();
        sale.closes = sale.closes.max(self.closes);
        for (ix, item) in (0..).map(ItemIx).zip(&mut sale.items) {
            item.stock += self.granted(ix);
        }
        sale
    }

    /// Whether orders that aren't paid are to be closed.
    #[must_use]
    pub fn closes_unpaid(&self) -> bool {
        let unpaid = self
            .cancellation
            .as_ref()
            .map(|cancelled| cancelled.unpaid_orders);
        unpaid == Some(UnpaidOrders::Close)
    }

    /// What the order database holds of it.
    ///
    /// # Errors
    /// It can't be read: another version has written it.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        match text {
            "" => Ok(Self::default()),
            text => serde_json::from_str(text),
        }
    }

    /// As the order database holds it.
    #[must_use]
    pub fn text(&self) -> String {
        // Only structs of plain values: they always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
