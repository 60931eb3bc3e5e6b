//! The number of a record.

use std::fmt;

/// The number of a record in its journal: dense, from 0, over all partitions.
///
/// As an end (of [`crate::Journal::durable`], of [`crate::Recovered`]) it is exclusive: the first position *not* covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The position of a journal's first record.
    pub const START: Position = Position(0);

    /// The position `count` records later. A u64 outlives any disk: at 10 million records a second, 58,000 years.
    #[must_use]
    pub const fn plus(self, count: u64) -> Position {
        Position(self.0 + count)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
