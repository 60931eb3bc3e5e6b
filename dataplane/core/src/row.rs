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
    /// Pass over it: it is applied already, or void.
    Done,
    /// Not now: wait until the row has moved.
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
        // A later epoch began with all of this one's events that count, and they are applied: what is
        // left landed while the shard was in bypass, and the list was cut there.
        if n <= self.applied || epoch < self.applied_epoch {
            return Apply::Done;
        }
        if self.medium == Medium::Log && self.applied_epoch == epoch && n == self.applied + 1 {
            self.applied = n;
            return Apply::Now;
        }
        Apply::Not
    }

    /// A worker has read `Opened(epoch, base)`. More than `base` may be applied: a later owner that died
    /// on its way into bypass has then applied events of this epoch itself.
    pub fn apply_opened(&mut self, epoch: Epoch, base: Seq) -> Apply {
        if epoch <= self.applied_epoch {
            return Apply::Done;
        }
        if self.medium == Medium::Log && self.applied >= base {
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

    /// On its way into bypass the owner applies event `n` of its own list, as the worker would: whoever
    /// holds the claim and has opened knows the list, whatever epochs its events counted in. `base` is
    /// where the owner's epoch began.
    ///
    /// # Errors
    /// Another claim, bypass already, or a gap.
    pub fn catch_up(&mut self, epoch: Epoch, owner: OwnerId, base: Seq, n: Seq) -> Result<Apply, RowRefusal> {
        self.owned(epoch, owner)?;
        if self.medium != Medium::Log {
            return Err(RowRefusal::Medium);
        }
        if n <= self.applied {
            return Ok(Apply::Done);
        }
        if n != self.applied + 1 {
            return Err(RowRefusal::Order);
        }
        // Behind its base the events are the owner's own, and workers must take over here should the
        // owner die before it has entered.
        if self.applied == base {
            self.applied_epoch = epoch;
        }
        self.applied = n;
        Ok(Apply::Now)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_goes_on_where_an_owner_died_on_its_way_into_bypass() {
        let me = OwnerId(2);
        let mut row = Row {
            claimed: Epoch(2),
            owner: me,
            applied_epoch: Epoch(1),
            applied: 3,
            ..Row::default()
        };
        // Event 4 counted in epoch 1; the owner opened with base 4 and has made 5.
        assert_eq!(row.catch_up(Epoch(2), me, 4, 4), Ok(Apply::Now));
        assert_eq!(row.catch_up(Epoch(2), me, 4, 5), Ok(Apply::Now));
        assert_eq!(row.apply(Epoch(1), 4), Apply::Done);
        assert_eq!(row.apply_opened(Epoch(2), 4), Apply::Done);
        assert_eq!(row.apply(Epoch(2), 5), Apply::Done);
        assert_eq!(row.apply(Epoch(2), 6), Apply::Now);
    }

    #[test]
    fn a_worker_waits_in_bypass_and_then_passes_over_what_became_void() {
        let me = OwnerId(1);
        let mut row = Row::default();
        row.claim(Epoch(0), me).unwrap();
        assert_eq!(row.apply_opened(Epoch(1), 0), Apply::Now);
        let bypass = row.enter_bypass(Epoch(1), me, 0).unwrap();
        // Landed in the log, late: nobody was promised it.
        assert_eq!(row.apply(Epoch(1), 1), Apply::Not);
        row.leave_bypass(bypass, me, 0).unwrap();
        assert_eq!(row.apply(Epoch(1), 1), Apply::Done);
        assert_eq!(row.apply(bypass, 1), Apply::Now);
    }

    #[test]
    fn a_worker_goes_on_where_an_owner_died_in_the_middle_of_an_older_epoch() {
        let me = OwnerId(3);
        let mut row = Row {
            claimed: Epoch(3),
            owner: me,
            applied_epoch: Epoch(1),
            applied: 1,
            ..Row::default()
        };
        // Events 2 and 3 counted in epoch 2, which opened with base 1; epoch 3 opened with base 3.
        assert_eq!(row.catch_up(Epoch(3), me, 3, 2), Ok(Apply::Now));
        assert_eq!(row.apply_opened(Epoch(3), 3), Apply::Not);
        assert_eq!(row.apply_opened(Epoch(2), 1), Apply::Now);
        assert_eq!(row.apply(Epoch(2), 2), Apply::Done);
        assert_eq!(row.apply(Epoch(2), 3), Apply::Now);
        assert_eq!(row.apply_opened(Epoch(3), 3), Apply::Now);
    }

    #[test]
    fn only_the_claimant_catches_up_and_without_a_gap() {
        let (me, other) = (OwnerId(2), OwnerId(3));
        let mut row = Row::default();
        row.claim(Epoch(0), me).unwrap();
        assert_eq!(row.catch_up(Epoch(1), other, 0, 1), Err(RowRefusal::Claimed));
        assert_eq!(row.catch_up(Epoch(1), me, 0, 2), Err(RowRefusal::Order));
        assert_eq!(row.catch_up(Epoch(1), me, 0, 1), Ok(Apply::Now));
    }
}
