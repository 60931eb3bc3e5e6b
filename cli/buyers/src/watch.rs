//! The one look at the sale that all patient buyers share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::answer::SaleView;
use crate::config::Item;

/// Between two looks; the page is cached for a second anyway.
pub(crate) const WATCH_NS: u64 = 1_000_000_000;

/// What the last look showed, shared by all threads.
pub(crate) struct Watch {
    /// Per item: how many looks found stock.
    sightings: Vec<AtomicU64>,
    over: AtomicBool,
}

impl Watch {
    pub(crate) fn new(items: usize) -> Self {
        Self {
            sightings: (0..items).map(|_| AtomicU64::new(0)).collect(),
            over: AtomicBool::new(false),
        }
    }

    /// Takes in a look.
    pub(crate) fn saw(&self, sale: &SaleView<'_>, items: &[Item]) {
        for (item, sightings) in items.iter().zip(&self.sightings) {
            let here = |seen: &&crate::answer::SaleItemView<'_>| seen.id == item.id;
            if sale
                .items
                .iter()
                .find(here)
                .is_some_and(|seen| seen.availability != "None")
            {
                sightings.fetch_add(1, Relaxed);
            }
        }
        if !matches!(&*sale.phase, "Armed" | "Open") {
            self.over.store(true, Relaxed);
        }
    }

    pub(crate) fn sightings(&self, item: usize) -> u64 {
        self.sightings[item].load(Relaxed)
    }

    /// Nothing will be sold any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }
}
