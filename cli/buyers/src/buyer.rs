//! What changes about one buyer.

use crate::schedule::NONE;

/// The last word a buyer without a ticket was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Failed,
    SoldOut,
    Limited,
}

/// How a buyer is counted at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    NotYet,
    Won,
    Duplicate,
}

/// A buyer's state; small, for there are many of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buyer {
    /// The latest ticket; the others hang on its `previous`.
    pub(crate) ticket: u32,
    /// Steps scheduled, ready or under way, and waits for stock. A buyer goes home at 0.
    pub(crate) pending: u16,
    /// The key a purchase carries at present.
    pub(crate) key: u8,
    /// Tries of a patient buyer so far.
    pub(crate) tries: u8,
    /// Purchases sent so far, up to 255.
    pub(crate) sends: u8,
    pub(crate) word: Word,
    pub(crate) counted: Counted,
    /// Had a definite answer.
    pub(crate) answered: bool,
    /// Has lost the answer it was going to lose.
    pub(crate) lost_one: bool,
    /// Has asked again as it was going to.
    pub(crate) repeated: bool,
    /// Waits for stock.
    pub(crate) parked: bool,
    pub(crate) gone_home: bool,
    /// The first ticket had been taken before this run.
    pub(crate) from_before: bool,
}

impl Buyer {
    pub(crate) fn new() -> Self {
        Self {
            ticket: NONE,
            pending: 0,
            key: 0,
            tries: 0,
            sends: 0,
            word: Word::Failed,
            counted: Counted::NotYet,
            answered: false,
            lost_one: false,
            repeated: false,
            parked: false,
            gone_home: false,
            from_before: false,
        }
    }
}
