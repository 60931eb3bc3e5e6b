//! Entering bypass, committing in it, leaving it.

use super::{Kind, Turn};
use crate::broken::Broken;
use crate::config::Config;
use crate::seen::Seen;
use crate::world::{Reply, World};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::row::{Apply, RowRefusal};

pub(super) fn actions(
    config: &Config,
    world: &World,
    shard: usize,
    node: usize,
    put: &mut impl FnMut(Kind, usize),
) {
    let node = &world.shards[shard].nodes[node];
    if node.reply.is_some() {
        return put(Kind::Reply, 0);
    }
    match node.owner.phase() {
        Phase::Open if world.bypasses > 0 => put(Kind::BeginEnter, 0),
        Phase::EnteringBypass => {
            put(Kind::CatchUp, 0);
            put(Kind::Enter, 0);
        }
        Phase::Bypass => {
            put(Kind::Commit, 0);
            put(Kind::Leave, 0);
        }
        Phase::LeavingBypass if node.copied || config.lacks(Broken::LeaveWithoutCopies) => {
            put(Kind::Left, 0);
        }
        _ => {}
    }
}

impl Turn<'_> {
    pub(super) fn begin_enter(&mut self, node: usize) -> Option<()> {
        self.world.bypasses = self.world.bypasses.checked_sub(1)?;
        let todo = self.drive(node, |owner, _| owner.enter_bypass());
        self.node(node).todo = todo;
        Some(())
    }

    pub(super) fn catch_up(&mut self, node: usize) -> Option<()> {
        let applied = self.here().row.applied;
        let owner = &self.here().nodes[node];
        let event = owner.todo.iter().find(|e| e.n > applied)?.clone();
        let (epoch, me, base) = (owner.owner.epoch(), owner.me, owner.owner.base());
        match self.here().row.catch_up(epoch, me, base, event.n) {
            Ok(Apply::Now) => {
                self.world.seen.put(Seen::CAUGHT_UP);
                self.applied(event);
                Some(())
            }
            Ok(Apply::Done | Apply::Not) | Err(RowRefusal::Order | RowRefusal::Medium) => None,
            Err(RowRefusal::Claimed) => self.answered(node, Reply::Refused),
        }
    }

    pub(super) fn enter(&mut self, node: usize) -> Option<()> {
        let owner = &self.here().nodes[node];
        let (epoch, me, mut promised) = (owner.owner.epoch(), owner.me, owner.owner.progress().promised);
        if self.config.lacks(Broken::EnterWithoutApplied) {
            promised = 0;
        }
        let row = &mut self.here().row;
        let reply = match row.enter_bypass(epoch, me, promised) {
            Ok(next) => Reply::Entered(next, row.applied),
            Err(RowRefusal::Order) => return None,
            Err(RowRefusal::Claimed | RowRefusal::Medium) => Reply::Refused,
        };
        self.answered(node, reply)
    }

    pub(super) fn commit(&mut self, node: usize) -> Option<()> {
        let owner = &self.here().nodes[node];
        let (mut epoch, mut me) = (owner.owner.epoch(), owner.me);
        let event = owner.owner.uncommitted(1).first()?.clone();
        if self.config.lacks(Broken::CommitWithoutClaim) {
            (epoch, me) = (self.here().row.claimed, self.here().row.owner);
        }
        let reply = match self.here().row.commit(epoch, me, event.n, event.n) {
            Ok(()) => Reply::Committed(event.n),
            Err(RowRefusal::Order) => return None,
            Err(RowRefusal::Claimed | RowRefusal::Medium) => Reply::Refused,
        };
        if reply == Reply::Refused {
            self.world.seen.put(Seen::COMMIT_REFUSED);
        } else {
            self.applied(event);
        }
        self.answered(node, reply)
    }

    pub(super) fn leave(&mut self, node: usize) -> Option<()> {
        self.drive(node, Owner::leave_bypass).then_some(())
    }

    pub(super) fn left(&mut self, node: usize) -> Option<()> {
        let owner = &self.here().nodes[node];
        let (epoch, me, len) = (owner.owner.epoch(), owner.me, owner.owner.progress().applied);
        let head = self.here().log.fold.head();
        if !owner_copied(self.here().nodes[node].copied, (head.0, head.1) == (epoch, me)) {
            return None;
        }
        let reply = match self.here().row.leave_bypass(epoch, me, len) {
            Ok(()) => Reply::Left,
            Err(RowRefusal::Order) => return None,
            Err(RowRefusal::Claimed | RowRefusal::Medium) => Reply::Refused,
        };
        self.answered(node, reply)
    }

    /// The database has answered; the answer may be late, and an owner that dies before never gets it.
    fn answered(&mut self, node: usize, reply: Reply) -> Option<()> {
        self.node(node).reply = Some(reply);
        if self.config.late_replies {
            return Some(());
        }
        self.reply(node)
    }

    pub(super) fn reply(&mut self, node: usize) -> Option<()> {
        let reply = self.node(node).reply.take()?;
        match reply {
            Reply::Entered(epoch, applied) => {
                self.world.seen.put(Seen::ENTERED);
                let entered = self.node(node);
                (entered.bypassed, entered.floor) = (true, applied);
                entered.todo.clear();
                self.drive(node, |owner, out| owner.bypass_entered(epoch, applied, out));
            }
            Reply::Committed(upto) => {
                let reserved = self.here().nodes[node].list.get(upto as usize - 1);
                if reserved.is_some_and(|e| super::buyer_of(e).is_some()) {
                    self.world.seen.put(Seen::COMMITTED);
                }
                self.drive(node, |owner, out| owner.committed(upto, out));
            }
            Reply::Left => {
                let heir = self.here().nodes[node].heir;
                let seen = if heir {
                    Seen::LEFT_AFTER_TAKEOVER
                } else {
                    Seen::LEFT
                };
                self.world.seen.put(seen);
                self.node(node).copied = false;
                self.drive(node, |owner, _| owner.bypass_left());
            }
            Reply::Refused => self.drive(node, Owner::bypass_refused),
        }
        Some(())
    }
}

/// Whether the owner may ask to leave: it has seen all copies or, in the variant, its own barrier.
fn owner_copied(copied: bool, barrier_read: bool) -> bool {
    copied || barrier_read
}
