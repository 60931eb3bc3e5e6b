//! A step that couldn't be carried out, as the next plan is told of it.

use crate::time::Millis;

/// The step at which the last plan stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What was tried, as [`Step::name`](crate::Step::name) says it: `apply StatefulSet shop/phone-shards-a`.
    pub step: String,
    /// What was answered, in one line, without anything secret.
    pub error: String,
    /// When it failed for the first time in a row.
    pub since: Millis,
}

/// What kind of failure a step met; it decides the condition's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The API server refuses by lack of rights.
    Forbidden,
    /// A ResourceQuota or LimitRange refuses.
    Quota,
    /// Another manager takes the same fields back again and again.
    Contended {
        /// Which.
        manager: String,
    },
    /// The order log's admin API.
    OrderLog,
    /// A database of the class.
    Database {
        /// Which.
        name: String,
    },
    /// The shop's webhook.
    Shop,
    /// A Secret of the class or the sale is missing, or lacks a key.
    SecretMissing,
    /// Anything else; waiting and trying again is all there is.
    Other,
}
