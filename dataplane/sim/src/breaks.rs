//! Deliberately broken variants: each leaves one rule out, in the simulated adapters, and each must be
//! caught. A checker that no variant trips could as well check nothing.

use crate::check::Checker;
use crate::stats::named;

named! {
    /// A rule that is left out.
    Break {
        /// The worker applies what it reads, whatever the row's cursor says.
        WorkerIgnoresCursor = "worker-ignores-cursor",
        /// The worker takes every record as it comes, without the fold.
        WorkerWithoutFold = "worker-without-fold",
        /// Buyers are shown `reserved` once the log has given a receipt.
        PromiseOnReceipt = "promise-on-receipt",
        /// A release also puts the units back as stock.
        DoubleRelease = "double-release",
        /// A release message is deleted once the owner has taken it.
        ReleaseOnTaken = "release-on-taken",
        /// A transfer is handed over before it is promised.
        TransferUnpromised = "transfer-unpromised",
        /// A transfer is acknowledged before it is promised.
        AckUnpromised = "ack-unpromised",
        /// A new owner goes on in the old epoch, without a claim.
        TakeoverKeepsEpoch = "takeover-keeps-epoch",
        /// A new owner rebuilds from the database alone though the log is the medium.
        RebuildFromDatabase = "rebuild-from-database",
        /// A new owner loads the stock again.
        Reseed = "reseed",
        /// Stock counts as loaded once the shard took it.
        SeededOnTaken = "seeded-on-taken",
        /// The closer closes what is paid.
        CloserIgnoresPaid = "closer-ignores-paid",
        /// A repeated callback counts as another payment.
        PaymentTwice = "payment-twice",
        /// Attempts are decided by the gateway's clock.
        GatewayClock = "gateway-clock",
        /// A buyer's attempts go to any shard.
        NoHome = "no-home",
        /// A retry gets a new key.
        RetryWithNewKey = "retry-with-new-key",
        /// Attempts lose their key on the way.
        KeyDropped = "key-dropped",
        /// A gateway says sold out when the home shard is.
        SoldOutAtHome = "sold-out-at-home",
        /// A ticket is said to be lost once a higher epoch is claimed.
        LostAtClaim = "lost-at-claim",
        /// Places are counted by a gateway that starts from a thousand.
        PlaceFromGateway = "place-from-gateway",
        /// Owners don't ask whether a buyer is registered.
        RegistrationIgnored = "registration-ignored",
        /// A limit is enforced as one more than it is.
        LimitOffByOne = "limit-off-by-one",
        /// An order is made from what is published, before anybody has read it back.
        OrderFromPublish = "order-from-publish",
        /// A commit in bypass doesn't ask who has claimed the shard.
        CommitUnclaimed = "commit-unclaimed",
        /// Bypass is entered before what is promised is applied.
        BypassUnapplied = "bypass-unapplied",
        /// Bypass is left without copying anything.
        BypassUncopied = "bypass-uncopied",
        /// The database loses commits that it acknowledged.
        DatabaseForgets = "database-forgets",
        /// Nothing is published again.
        NoRepublish = "no-republish",
        /// Transfers aren't repeated.
        NoTransferRepeat = "no-transfer-repeat",
    }
}

/// Which checker must catch which variant. Every checker is in here.
pub const CAUGHT: &[(Break, Checker)] = &[
    (Break::WorkerIgnoresCursor, Checker::LogInDatabase),
    (Break::WorkerWithoutFold, Checker::OldEpoch),
    (Break::WorkerWithoutFold, Checker::PhantomOrder),
    (Break::PromiseOnReceipt, Checker::AcknowledgedLoss),
    (Break::DoubleRelease, Checker::NeverOversold),
    (Break::DoubleRelease, Checker::Conservation),
    (Break::ReleaseOnTaken, Checker::NoLeak),
    (Break::TransferUnpromised, Checker::NeverOversold),
    (Break::TransferUnpromised, Checker::Conservation),
    (Break::AckUnpromised, Checker::Conservation),
    (Break::TakeoverKeepsEpoch, Checker::Rebuild),
    (Break::RebuildFromDatabase, Checker::AcknowledgedLoss),
    (Break::Reseed, Checker::SeededOnce),
    (Break::Reseed, Checker::NeverOversold),
    (Break::SeededOnTaken, Checker::SeededOnce),
    (Break::CloserIgnoresPaid, Checker::Money),
    (Break::CloserIgnoresPaid, Checker::LegalStates),
    (Break::PaymentTwice, Checker::Money),
    (Break::GatewayClock, Checker::Window),
    (Break::NoHome, Checker::BuyerLimit),
    (Break::NoHome, Checker::SameAnswer),
    (Break::RetryWithNewKey, Checker::SameAnswer),
    (Break::KeyDropped, Checker::SameAnswer),
    (Break::SoldOutAtHome, Checker::SellThrough),
    (Break::LostAtClaim, Checker::LegalStates),
    (Break::PlaceFromGateway, Checker::Place),
    (Break::RegistrationIgnored, Checker::Entitled),
    (Break::LimitOffByOne, Checker::BuyerLimit),
    (Break::OrderFromPublish, Checker::PhantomOrder),
    (Break::CommitUnclaimed, Checker::OldEpoch),
    (Break::BypassUnapplied, Checker::AcknowledgedLoss),
    (Break::BypassUncopied, Checker::LogInDatabase),
    (Break::DatabaseForgets, Checker::LogInDatabase),
    (Break::NoRepublish, Checker::Quiescence),
    (Break::NoTransferRepeat, Checker::Quiescence),
];
