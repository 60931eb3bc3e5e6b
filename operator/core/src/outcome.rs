//! What is to be done and what is to be said.

use crate::api::{FlashSaleStatus, LockLevel};
use crate::minted::SecretWanted;
use crate::observed::Kind;
use std::fmt;
use std::time::Duration;

/// What is to be done with a sale now, what to say of it, and when to look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// To be carried out in this order, up to the first that fails.
    pub steps: Vec<Step>,
    /// The status if all steps succeed; written when it differs from the one observed. After a failure it must
    /// not be written: plan again with [`Observed::failure`](crate::Observed::failure) set, and write that status,
    /// which says what is wrong and keeps the phase. It may hold a lower lockLevel than a step has written: only
    /// what differs from the observed status is to be patched.
    pub status: FlashSaleStatus,
    /// To be reported once the status is written.
    pub events: Vec<EventNote>,
    /// Look again after this, if nothing that is watched changes before. At most an hour.
    pub look_again: Duration,
}

/// One thing to do. Each can be repeated: a second time it finds its work done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Put the finalizer onto the sale.
    AddFinalizer,
    /// Take the finalizer off the sale, which lets it go if it is being deleted.
    RemoveFinalizer,
    /// Raise `status.lockLevel`, by a write with the observed resourceVersion, before what it locks is acted upon.
    /// A conflict ends the plan. Writes and steps after it go by the version that it answers.
    Lock(LockLevel),
    /// Create the ControllerRevision. If one of this name is there already, that one stays as it is.
    PinRevision(Rendered),
    /// Create the Secret if it is missing; one that is there keeps the keys that it has, except that entries
    /// made from the class' credentials ([`SecretEntry::SharedDatabaseUrl`](crate::minted::SecretEntry) and so on)
    /// follow these.
    WriteSecret(SecretWanted),
    /// Apply an object, server-side, forced, by the field manager [`FIELD_MANAGER`](crate::api::FIELD_MANAGER).
    Apply(Rendered),
    /// Set the replicas of a Deployment through `/scale`.
    Scale {
        /// The Deployment's name.
        name: String,
        /// How many pods.
        replicas: i32,
    },
    /// Delete an object, if it still has this uid.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its uid, for the precondition.
        uid: String,
    },
    /// Make the sale's namespace and topics in the order log, or mend what differs.
    EnsureLog {
        /// Partitions of the order log.
        shards: u16,
    },
    /// Make the sale's role and schema in a database, bring the schema up to date, and enter the sale.
    EnsureDatabase {
        /// The database's name in the class.
        database: String,
    },
    /// Fold the log into the databases in the data plane's place, which is gone: close what is open. Its result
    /// comes back in [`World::closing`](crate::observed::World::closing).
    CloseFromLog,
    /// Compare log, databases and each Redis. The result comes back in [`World::audit`](crate::observed::World::audit).
    Audit,
    /// Apply the report, which stays when the sale goes.
    WriteReport(Rendered),
    /// Copy the shop's pages to where gateways mount them: apply the object with the data of the ConfigMap `from`, which
    /// has the digest that is the object's hash, or another one by now. That it can't be done isn't a failure of the step:
    /// it comes back in [`World::publishing`](crate::observed::World::publishing).
    PublishPages {
        /// The ConfigMap's name.
        from: String,
        /// The object, without data.
        into: Rendered,
    },
    /// Tell the CDN of pages that have changed, one call after the other, up to the first that isn't taken: that isn't a
    /// failure of the step. How far it came comes back in [`World::purge`](crate::observed::World::purge).
    PurgeCdn {
        /// The digest of the pages.
        version: String,
        /// A call for each path that wasn't dropped yet, in order.
        calls: Vec<(String, ShopCall)>,
    },
    /// Tell the shop how the sale ended. That it has taken it comes back in [`World::told`](crate::observed::World::told).
    TellShop(ShopCall),
    /// Revoke the sale's token and remove its topics and its namespace of the order log.
    TearDownLog,
    /// Revoke the sale's role in a database, and forget its orders if nobody wants them any more.
    LeaveDatabase {
        /// The database's name in the class.
        database: String,
        /// Whether the schema with the orders goes, too.
        forget_orders: bool,
    },
}

impl Step {
    /// What it does, for a log line or an error: without anything secret.
    #[must_use]
    pub fn name(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddFinalizer => write!(f, "add the finalizer"),
            Self::RemoveFinalizer => write!(f, "remove the finalizer"),
            Self::Lock(level) => write!(f, "raise lockLevel to {}", i32::from(*level)),
            Self::PinRevision(object) => write!(f, "pin {object}"),
            Self::WriteSecret(secret) => write!(f, "write Secret {}", secret.name),
            Self::Apply(object) => write!(f, "apply {object}"),
            Self::Scale { name, replicas } => write!(f, "scale Deployment {name} to {replicas}"),
            Self::Delete { kind, name, .. } => write!(f, "delete {kind} {name}"),
            Self::EnsureLog { shards } => write!(f, "ensure the order log with {shards} partitions"),
            Self::EnsureDatabase { database } => write!(f, "ensure the schema in database {database}"),
            Self::CloseFromLog => write!(f, "close the sale from its log"),
            Self::Audit => write!(f, "audit"),
            Self::WriteReport(object) => write!(f, "write the report {object}"),
            Self::PublishPages { from, .. } => write!(f, "publish the pages of ConfigMap {from}"),
            Self::PurgeCdn { version, .. } => write!(f, "tell the CDN of pages {version}"),
            Self::TellShop(_) => write!(f, "tell the shop"),
            Self::TearDownLog => write!(f, "tear down the order log"),
            Self::LeaveDatabase {
                database,
                forget_orders: false,
            } => {
                write!(f, "revoke the sale's role in database {database}, orders stay")
            }
            Self::LeaveDatabase {
                database,
                forget_orders: true,
            } => {
                write!(f, "forget the sale in database {database}, orders and all")
            }
        }
    }
}

/// A signed call to the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopCall {
    /// Where to POST.
    pub url: String,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// The name and key of the Secret, in the sale's namespace, that signs it.
    pub secret: (String, String),
    /// The same each time that the call is repeated.
    pub id: String,
    /// What it is about, in one word.
    pub event: &'static str,
    /// JSON.
    pub body: String,
}

/// An object to apply, complete with labels, owner and hash annotation.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Its kind.
    pub kind: Kind,
    /// Its name; its namespace is the sale's.
    pub name: String,
    /// The digest of the object without this digest; also in the annotation
    /// [`HASH_ANNOTATION`](crate::api::HASH_ANNOTATION).
    pub hash: String,
    /// The object as JSON, keys in a stable order.
    pub object: serde_json::Value,
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// An event to report on the sale (`events.k8s.io/v1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Whether it is a warning.
    pub warning: bool,
    /// Why, as one word for machines, such as `Armed`.
    pub reason: String,
    /// What the operator was doing, as one word, such as `Arming`.
    pub action: String,
    /// What happened, as a sentence: what is wrong, with which object, and the next command. Nothing secret.
    pub note: String,
}
