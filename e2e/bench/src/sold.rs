//! The proof of what was sold: every unit is in the order log once, each for another buyer.

use anyhow::{Context, ensure};
use flashsale_core::event::{self, Change, Record};
use flashsale_core::ids::{BuyerKey, SaleUid, Seq, ShardId};
use std::collections::HashSet;
use std::path::Path;

/// What an order log holds.
#[derive(Debug)]
pub(crate) struct Sold {
    uid: SaleUid,
    units: HashSet<u32>,
    buyers: HashSet<BuyerKey>,
    seen: HashSet<(ShardId, Seq)>,
}

impl Sold {
    /// Of the sale with its data in `data`, from a log that wasn't read yet.
    pub(crate) fn of(data: &Path) -> anyhow::Result<Self> {
        let decided: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("sale.json"))?)?;
        let uid = decided["uid"].as_str().context("sale.json names no uid")?;
        Ok(Self {
            uid: SaleUid(u128::from_str_radix(uid, 16)?),
            units: HashSet::new(),
            buyers: HashSet::new(),
            seen: HashSet::new(),
        })
    }

    /// The sale's uid.
    pub(crate) fn uid(&self) -> SaleUid {
        self.uid
    }

    /// Takes a record of the log in.
    ///
    /// # Errors
    /// It isn't this sale's, or sells a unit again.
    pub(crate) fn take(&mut self, partition: u16, record: &[u8]) -> anyhow::Result<()> {
        let shard = ShardId(partition);
        let Record::Batch { events, .. } = event::decode(self.uid, shard, record)? else {
            return Ok(());
        };
        for event in events {
            // What was sent twice counts once.
            if let Change::Reserved(r) = event.change
                && self.seen.insert((shard, event.n))
            {
                self.buyers.insert(r.buyer);
                let mut units = r.units.iter().flat_map(|range| range.iter());
                ensure!(units.all(|unit| self.units.insert(unit)), "a unit was sold twice");
            }
        }
        Ok(())
    }

    /// The log holds `stock` units of as many buyers.
    ///
    /// # Errors
    /// It doesn't.
    pub(crate) fn check(&self, stock: u32) -> anyhow::Result<()> {
        let (units, buyers, stock) = (self.units.len(), self.buyers.len(), stock as usize);
        ensure!(
            (units, buyers) == (stock, stock),
            "the log holds {units} units of {buyers} buyers, not {stock}"
        );
        Ok(())
    }
}
