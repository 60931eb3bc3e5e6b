//! One partition of the order log, and the messages on their way to it.

use flashsale_core::event::{Event, Record};
use flashsale_core::fold::{Fold, Skip, Step};
use flashsale_core::ids::{Epoch, OwnerId, Seq};
use std::rc::Rc;

/// What a record in the partition meant to every reader: the fold is the same function for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// A higher epoch began.
    Fenced,
    /// The owner opened.
    Opened {
        /// In this epoch.
        epoch: Epoch,
        /// With a list of this length.
        base: Seq,
    },
    /// Its event extended the list.
    Counted {
        /// The publisher's epoch.
        epoch: Epoch,
    },
    /// It came from a fenced owner. Kept by variants only: nobody who follows the rules reads anything from it.
    Stale,
}

/// A record that has landed.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Landed {
    /// The record; a batch has one event.
    pub record: Record,
    /// What it meant.
    pub meaning: Meaning,
}

/// A partition: the records that changed something, and what they amount to.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// In order of landing.
    pub records: Vec<Rc<Landed>>,
    /// What a reader of all of it knows.
    pub fold: Fold,
    /// The counted events.
    pub list: Vec<Event>,
}

impl Log {
    /// A record lands. `false` if it means nothing to any reader: the partition is then as good as unchanged.
    pub fn land(&mut self, record: Record, keep_stale: bool) -> bool {
        let meaning = match self.fold.read(&record) {
            Step::Fenced => Meaning::Fenced,
            Step::Opened { base } => {
                self.list.truncate(base as usize);
                let epoch = self.fold.head().0;
                Meaning::Opened { epoch, base }
            }
            Step::Counted(events) => {
                self.list.extend_from_slice(events);
                let epoch = self.fold.head().0;
                Meaning::Counted { epoch }
            }
            Step::Skipped(Skip::Stale) if keep_stale && matches!(record, Record::Batch { .. }) => {
                Meaning::Stale
            }
            Step::Skipped(_) => return false,
        };
        self.records.push(Rc::new(Landed { record, meaning }));
        true
    }

    /// The counted events of the first `records` records.
    #[must_use]
    pub fn list_at(&self, records: usize) -> Vec<Event> {
        let mut log = Self::default();
        for landed in &self.records[..records] {
            log.land(landed.record.clone(), false);
        }
        log.list
    }
}

/// What one owner has published in one epoch and what may still land: at any time, in any order, any
/// number of times, or never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    /// The publisher's epoch.
    pub epoch: Epoch,
    /// The publisher.
    pub owner: OwnerId,
    /// Whether its barrier was published.
    pub barrier: bool,
    /// The bases of its `Opened`.
    pub opened: Vec<Seq>,
    /// Its events, one message each.
    pub events: Vec<Event>,
}

impl Sent {
    /// Adds a record that was published.
    pub fn put(all: &mut Vec<Self>, record: Record) {
        let (Record::Barrier { epoch, owner }
        | Record::Opened { epoch, owner, .. }
        | Record::Batch { epoch, owner, .. }) = record;
        let at = match all.iter().position(|s| (s.epoch, s.owner) == (epoch, owner)) {
            Some(at) => at,
            None => {
                let (barrier, opened, events) = (false, Vec::new(), Vec::new());
                all.push(Self {
                    epoch,
                    owner,
                    barrier,
                    opened,
                    events,
                });
                all.len() - 1
            }
        };
        let sent = &mut all[at];
        match record {
            Record::Barrier { .. } => sent.barrier = true,
            Record::Opened { base, .. } if !sent.opened.contains(&base) => sent.opened.push(base),
            Record::Opened { .. } => {}
            Record::Batch { events, .. } => {
                for event in events {
                    if !sent.events.contains(&event) {
                        sent.events.push(event);
                    }
                }
            }
        }
    }

    /// Every message that may land.
    #[must_use]
    pub fn messages(&self) -> Vec<Record> {
        let (epoch, owner) = (self.epoch, self.owner);
        let mut messages = Vec::new();
        if self.barrier {
            messages.push(Record::Barrier { epoch, owner });
        }
        messages.extend(
            self.opened
                .iter()
                .map(|&base| Record::Opened { epoch, owner, base }),
        );
        messages.extend(self.events.iter().map(|event| Record::Batch {
            epoch,
            owner,
            events: vec![event.clone()],
        }));
        messages
    }

    /// Forgets what can mean nothing to any reader from here on.
    pub fn prune(all: &mut Vec<Self>, fold: &Fold) {
        let (epoch, owner, open) = fold.head();
        for sent in all.iter_mut() {
            if sent.epoch == epoch && sent.owner == owner {
                sent.barrier = false;
                if open {
                    sent.opened.clear();
                    sent.events.retain(|e| e.n > fold.len());
                }
            }
        }
        all.retain(|s| {
            let newer = s.epoch > epoch;
            let current = (s.epoch, s.owner) == (epoch, owner);
            newer || (current && (!s.opened.is_empty() || !s.events.is_empty()))
        });
    }
}
