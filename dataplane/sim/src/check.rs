//! The checkers' names, and what a violated one says.

use crate::stats::named;

named! {
    /// What is checked. `docs/simulation.md` says how each one works.
    Checker {
        NeverOversold = "never-oversold",
        AcknowledgedLoss = "no-acknowledged-loss",
        PhantomOrder = "no-phantom-order",
        Conservation = "conservation",
        NoLeak = "no-leak",
        BuyerLimit = "buyer-limit",
        SameAnswer = "same-request-same-answer",
        LegalStates = "legal-states",
        Place = "place",
        Money = "money-ledger",
        Window = "window",
        Entitled = "entitled",
        OldEpoch = "nothing-of-an-old-epoch",
        SeededOnce = "seeded-once",
        LogInDatabase = "log-in-database",
        Rebuild = "rebuild-equals-live",
        SellThrough = "sell-through",
        Quiescence = "quiescence",
        Panic = "panic",
    }
}

/// A checker that found something.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which one.
    pub checker: Checker,
    /// At which step of the run.
    pub step: u32,
    /// What it saw.
    pub what: String,
}
