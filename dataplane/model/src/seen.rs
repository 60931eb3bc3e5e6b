//! What must be possible: a model in which one of these never happens proves nothing about it.

/// A set of things that happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen(pub u64);

macro_rules! things {
    ($($name:ident = $bit:literal: $words:literal,)*) => {
        impl Seen {
            $(#[doc = $words] pub const $name: Self = Self(1 << $bit);)*
            /// All things, in words.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $words),)*];
        }
    };
}

things! {
    TOOK = 0: "A purchase was taken.",
    EXISTING = 1: "A buyer's retry got the promised ticket again, from a later owner.",
    EMPTY = 2: "A buyer found no unit.",
    FENCED = 3: "An owner that held unpromised reservations was fenced.",
    LOST = 4: "A ticket was said to be lost.",
    SURVIVED = 5: "A promised reservation was in a later owner's list.",
    SOLD_OUT = 6: "Every unit was promised.",
    LATE_LANDING = 7: "A message landed after its publisher was taken over.",
    LOADED_AGAIN = 8: "A load was tried again by a later owner and refused.",
    WORKER_BEHIND = 9: "A worker applied an older epoch's event after a higher barrier had landed.",
    ENTERED = 10: "Bypass was entered.",
    CAUGHT_UP = 11: "An owner applied its own promised events on its way into bypass.",
    COMMITTED = 12: "A reservation was promised by commit.",
    TAKEN_OVER_IN_BYPASS = 13: "A shard was taken over in bypass.",
    COMMIT_REFUSED = 14: "An owner that was taken over was refused by the database.",
    VOID_LANDING = 15: "A message landed in bypass that contradicts what the database has.",
    CUT = 16: "The log's list was cut back on leaving bypass.",
    LEFT = 17: "Bypass was left.",
    PROMISED_AFTER = 18: "A reservation was promised by read-back after bypass was left.",
    LEFT_AFTER_TAKEOVER = 19: "An owner that took over in bypass has left it.",
    SENT = 20: "A transfer was sent.",
    ARRIVED = 21: "A transfer was taken.",
    REPEATED = 22: "A transfer arrived again and was not taken again.",
    DONOR_DIED = 23: "A transfer was taken after its donor had been taken over.",
    RECIPIENT_DIED = 24: "A transfer was taken by a later owner of its recipient.",
    PAID = 26: "An order was paid.",
    REFUND = 27: "Money came too late and is a refund due.",
    RELEASED = 28: "A release was applied.",
    RESOLD = 29: "A released unit was promised to somebody else.",
    RELEASED_LATER = 30: "A release was taken by a later owner than the one that sold.",
    BOUGHT_AGAIN = 31: "A buyer whose reservation was released bought again.",
    REFUSED = 32: "An attempt was refused by the limit or because its key came with another quantity.",
}

impl Seen {
    /// Adds things.
    pub fn put(&mut self, things: Self) {
        self.0 |= things.0;
    }

    /// Whether all of `things` are in the set.
    #[must_use]
    pub fn has(self, things: Self) -> bool {
        self.0 & things.0 == things.0
    }

    /// Those of `expected` that never happened, in words.
    #[must_use]
    pub fn missing(self, expected: &[Self]) -> Vec<&'static str> {
        let missing = Self::ALL
            .iter()
            .filter(|(thing, _)| expected.contains(thing) && !self.has(*thing));
        missing.map(|(_, words)| *words).collect()
    }
}
