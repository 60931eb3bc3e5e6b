//! The protocol's rules, each to be left out alone: every one of these variants must break a promise.

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// An event counts as promised once it is published, not once it is read back.
    PromiseOnReceipt,
    /// A fenced owner doesn't notice higher barriers.
    BarrierIgnored,
    /// A restart goes on in the epoch of the process that died.
    SameEpochAgain,
    /// A claim overwrites the row without comparing: with what was read a while ago.
    ClaimWithoutCompare,
    /// A claimant has read the medium before it claims, in another transaction.
    MediumReadBefore,
    /// The owner's unique id isn't compared at a commit, nor its epoch.
    CommitWithoutClaim,
    /// A worker applies what follows by number, whatever its epoch.
    ApplyWithoutEpoch,
    /// A worker applies while the row says bypass.
    ApplyInBypass,
    /// Bypass is entered before everything promised is applied.
    EnterWithoutApplied,
    /// The owner goes on promising by read-back while it enters bypass.
    PromiseWhileEntering,
    /// On leaving bypass the log keeps all it has up to what is applied, not up to the floor.
    BaseIsApplied,
    /// On leaving bypass the log keeps all it has.
    BaseIsFold,
    /// Bypass is left before the copies were read back.
    LeaveWithoutCopies,
    /// The release message is deleted once the owner has taken it.
    ReleaseForgotten,
    /// A release frees a unit, whoever holds it by now.
    ReleaseByUnit,
    /// An order is closed by somebody who has read it before, whatever it is by now.
    CloseWithoutCompare,
    /// A transfer that comes again is taken again.
    TransferTwice,
    /// A transfer is sent before its `TransferOut` is promised.
    TransferBeforePromise,
    /// A transfer is acknowledged before its `TransferIn` is promised.
    AckBeforePromise,
}
