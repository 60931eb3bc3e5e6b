//! How long one HTTP/1 connection waits, and for what.

use super::connection::Connection;
use crate::Service;
use crate::problem::Refusal;

/// What the deadline in the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Something was completed: whatever is waited for next gets a new deadline.
    Anew,
    Request,
    Head,
    Body,
    Reply,
    Write,
    Events,
    Linger,
}

impl<S: Service> Connection<S> {
    /// Sets the deadline for what is waited for now, unless it is still the same.
    pub(super) fn set_deadline(&mut self) {
        let worker = &self.seat.worker;
        let limits = &worker.limits;
        let (wait, after) = if !self.unsent.is_empty() {
            (Wait::Write, limits.write_timeout)
        } else if self.linger.is_some() {
            (Wait::Linger, limits.linger_timeout)
        } else if self.events.is_some() {
            if self.wait != Wait::Events {
                self.wait = Wait::Events;
                worker.table.clear(self.seat.place);
            }
            return;
        } else if !self.replies.is_empty() {
            (Wait::Reply, limits.reply_timeout)
        } else if self.pending.is_empty() {
            (Wait::Request, limits.idle_timeout)
        } else if self.in_body {
            (Wait::Body, limits.body_timeout)
        } else {
            (Wait::Head, limits.head_timeout)
        };
        if wait != self.wait {
            self.wait = wait;
            self.seat.deadline(after);
        }
    }

    /// Deals with a deadline that is over. Says whether the connection is to be dropped.
    pub(super) fn deadline_over(&mut self) -> bool {
        let stats = &self.seat.worker.stats;
        match self.wait {
            Wait::Write => stats.write_timeouts.add(1),
            Wait::Reply => stats.reply_timeouts.add(1),
            Wait::Request => stats.idle_closed.add(1),
            Wait::Linger => {}
            Wait::Head => {
                self.refuse(Refusal::TooSlow("The head of the request did not come in time."));
                return false;
            }
            Wait::Body => {
                self.refuse(Refusal::TooSlow("The body of the request did not come in time."));
                return false;
            }
            Wait::Anew | Wait::Events => {
                self.seat.worker.table.clear(self.seat.place);
                return false;
            }
        }
        true
    }
}
