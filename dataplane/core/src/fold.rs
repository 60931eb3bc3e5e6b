//! Which records of a partition count: the one function that every reader uses.

use crate::event::{Event, Record, TicketNo};
use crate::ids::{Epoch, OwnerId, Seq};
use serde::{Deserialize, Serialize};

/// Consecutive numbers made in one epoch: from `first` to the next segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// The first number.
    pub first: Seq,
    /// The epoch in which these events were made.
    pub made: Epoch,
}

/// The epoch in which number `n` was made, by `segments` in order.
#[must_use]
pub fn made_of(segments: &[Segment], n: Seq) -> Option<Epoch> {
    let at = segments.partition_point(|s| s.first <= n);
    at.checked_sub(1).map(|i| segments[i].made)
}

/// What a reader knows of a partition: who owns it, and how long the list of counted events is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Fold {
    epoch: Epoch,
    owner: OwnerId,
    open: bool,
    len: Seq,
    segments: Vec<Segment>,
}

/// What a record meant to the list.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A higher epoch began: everything older behind this point is void.
    Fenced,
    /// The owner opened; the list was cut back to `base` if it was longer.
    Opened {
        /// The list's length now.
        base: Seq,
    },
    /// These events extend the list, in order.
    Counted(&'a [Event]),
    /// Nothing counted.
    Skipped(Skip),
}

/// Why a record did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// An older epoch, or another owner's.
    Stale,
    /// Known already.
    Duplicate,
    /// An earlier number is missing: the owner sends again what it hasn't read back.
    Gap,
    /// The reader misses a part of the list that the record builds upon: read the log again.
    Behind,
}

impl Fold {
    /// The list's length: the number of the last counted event.
    #[must_use]
    pub fn len(&self) -> Seq {
        self.len
    }

    /// Whether nothing has counted yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The newest epoch seen, its owner, and whether it has opened.
    #[must_use]
    pub fn head(&self) -> (Epoch, OwnerId, bool) {
        (self.epoch, self.owner, self.open)
    }

    /// In which epochs the list's numbers were made.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether the list holds this very ticket.
    #[must_use]
    pub fn holds(&self, ticket: TicketNo) -> bool {
        ticket.n >= 1 && ticket.n <= self.len && made_of(&self.segments, ticket.n) == Some(ticket.made)
    }

    /// Reads the next record of the partition.
    pub fn read<'a>(&mut self, record: &'a Record) -> Step<'a> {
        match record {
            Record::Barrier { epoch, owner } => self.barrier(*epoch, *owner),
            Record::Opened { epoch, owner, base } => self.opened(*epoch, *owner, *base),
            Record::Batch { epoch, owner, events } => self.batch(*epoch, *owner, events),
        }
    }

    fn barrier<'a>(&mut self, epoch: Epoch, owner: OwnerId) -> Step<'a> {
        if epoch <= self.epoch {
            let again = (epoch, owner) == (self.epoch, self.owner);
            return Step::Skipped(if again { Skip::Duplicate } else { Skip::Stale });
        }
        (self.epoch, self.owner, self.open) = (epoch, owner, false);
        Step::Fenced
    }

    fn opened<'a>(&mut self, epoch: Epoch, owner: OwnerId, base: Seq) -> Step<'a> {
        if (epoch, owner) != (self.epoch, self.owner) {
            return Step::Skipped(Skip::Stale);
        }
        if self.open {
            return Step::Skipped(Skip::Duplicate);
        }
        if base > self.len {
            return Step::Skipped(Skip::Behind);
        }
        self.open = true;
        self.len = base;
        self.segments.retain(|s| s.first <= base);
        Step::Opened { base }
    }

    fn batch<'a>(&mut self, epoch: Epoch, owner: OwnerId, events: &'a [Event]) -> Step<'a> {
        if (epoch, owner) != (self.epoch, self.owner) || !self.open {
            return Step::Skipped(Skip::Stale);
        }
        let known = events.iter().take_while(|e| e.n <= self.len).count();
        let before = self.len;
        for event in &events[known..] {
            if event.n != self.len + 1 {
                break;
            }
            self.extend(event);
        }
        match (self.len - before) as usize {
            0 if known == events.len() => Step::Skipped(Skip::Duplicate),
            0 => Step::Skipped(Skip::Gap),
            counted => Step::Counted(&events[known..known + counted]),
        }
    }

    /// Takes over a list that is known from elsewhere (the database's, in bypass).
    #[must_use]
    pub fn of_list(events: &[Event]) -> Self {
        let mut fold = Self::default();
        for event in events {
            fold.extend(event);
        }
        fold
    }

    fn extend(&mut self, event: &Event) {
        self.len = event.n;
        if self.segments.last().is_none_or(|s| s.made != event.made) {
            self.segments.push(Segment {
                first: event.n,
                made: event.made,
            });
        }
    }
}
