//! The shard's row in the order database: the compare-and-set rules, as functions. The SQL of the
//! adapters runs these on the row that it has locked, and writes back what they leave.

use crate::ids::{Epoch, OwnerId, Seq};

/// Which medium makes promises.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// The order log.
    #[default]
    Log,
    /// The database, while the log is down.
    Bypass,
}

/// One shard's row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The highest epoch claimed.
    pub claimed: Epoch,
    /// Its claimant.
    pub owner: OwnerId,
    /// Which medium makes promises.
    pub medium: Medium,
    /// Events of this epoch are applied.
    pub applied_epoch: Epoch,
    /// The number of the last applied event.
    pub applied: Seq,
    /// Behind this number the database's list may differ from the log's.
    pub floor: Seq,
}

/// The row isn't as the caller believes: somebody else has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RowRefusal {
    /// Another claim came first.
    #[error("the shard is claimed by another owner")]
    Claimed,
    /// The medium is another.
    #[error("the shard's medium is another")]
    Medium,
    /// An earlier event is missing, or the epoch is another.
    #[error("the event doesn't follow what is applied")]
    Order,
}

/// What to do with an event that a worker has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// Apply it, in the transaction that writes the row.
    Now,
    /// It is applied already.
    Done,
    /// Not this one, not now.
    Not,
}

impl Row {
    /// Claims the shard: `expect` is the epoch that the claimant has read.
    ///
    /// # Errors
    /// Somebody else has claimed it since.
    pub fn claim(&mut self, expect: Epoch, owner: OwnerId) -> Result<Medium, RowRefusal> {
        if self.claimed != expect {
            return Err(RowRefusal::Claimed);
        }
        (self.claimed, self.owner) = (expect.next(), owner);
        if self.medium == Medium::Bypass {
            self.floor = self.floor.min(self.applied);
        }
        Ok(self.medium)
    }

    /// A worker has read event `n`, counted under the publisher's `epoch`.
    pub fn apply(&mut self, epoch: Epoch, n: Seq) -> Apply {
        if n <= self.applied {
            return Apply::Done;
        }
        if self.medium == Medium::Log && self.applied_epoch == epoch && n == self.applied + 1 {
            self.applied = n;
            return Apply::Now;
        }
        Apply::Not
    }

    /// A worker has read `Opened(epoch, base)`.
    pub fn apply_opened(&mut self, epoch: Epoch, base: Seq) -> Apply {
        if epoch <= self.applied_epoch {
            return Apply::Done;
        }
        if self.medium == Medium::Log && self.applied == base {
            self.applied_epoch = epoch;
            return Apply::Now;
        }
        Apply::Not
    }

    /// The owner commits events `first..=last` past the log.
    ///
    /// # Errors
    /// Another claim, the log as medium, or a gap.
    pub fn commit(&mut self, epoch: Epoch, owner: OwnerId, first: Seq, last: Seq) -> Result<(), RowRefusal> {
        self.owned(epoch, owner)?;
        if self.medium != Medium::Bypass {
            return Err(RowRefusal::Medium);
        }
        if self.applied + 1 != first || last < first {
            return Err(RowRefusal::Order);
        }
        self.applied = last;
        Ok(())
    }

    /// The owner enters bypass once everything that it has promised is applied. Returns its next epoch.
    ///
    /// # Errors
    /// Another claim, bypass already, or something promised that isn't applied.
    pub fn enter_bypass(&mut self, epoch: Epoch, owner: OwnerId, promised: Seq) -> Result<Epoch, RowRefusal> {
        self.owned(epoch, owner)?;
        if self.medium != Medium::Log {
            return Err(RowRefusal::Medium);
        }
        if self.applied < promised {
            return Err(RowRefusal::Order);
        }
        self.claimed = epoch.next();
        self.medium = Medium::Bypass;
        self.floor = self.applied;
        Ok(self.claimed)
    }

    /// The owner leaves bypass once the log's list has `len` events, all that is applied.
    ///
    /// # Errors
    /// Another claim, the log already, or a list that differs from what is applied.
    pub fn leave_bypass(&mut self, epoch: Epoch, owner: OwnerId, len: Seq) -> Result<(), RowRefusal> {
        self.owned(epoch, owner)?;
        if self.medium != Medium::Bypass {
            return Err(RowRefusal::Medium);
        }
        if self.applied != len {
            return Err(RowRefusal::Order);
        }
        self.medium = Medium::Log;
        self.applied_epoch = epoch;
        Ok(())
    }

    fn owned(&self, epoch: Epoch, owner: OwnerId) -> Result<(), RowRefusal> {
        if (self.claimed, self.owner) == (epoch, owner) {
            Ok(())
        } else {
            Err(RowRefusal::Claimed)
        }
    }
}
