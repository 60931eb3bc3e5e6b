//! Cancelling a ticket.

use super::identity::NotKnown;
use super::problem::Problem;
use super::thread::{Arrival, Thread};
use super::ticket::{Held, Standing};
use crate::desk::CancelOutcome;
use flashsale_core::event::ReleaseReason;
use flashsale_core::ticket::Shown;
use flashsale_http::{Reply, Request, StatusCode};
use std::rc::Rc;
use std::time::Duration;

/// How long a cancellation may take; the buyer can ask again.
pub(super) const DESK_ANSWER_MAX: Duration = Duration::from_secs(3);
/// How often it is tried while the database doesn't know the reservation yet: two seconds.
const TRIES_MAX: u32 = 40;
/// Between two tries while the database doesn't know the reservation yet.
const RETRY_AFTER: Duration = Duration::from_millis(50);

impl Thread {
    pub(super) fn cancel(
        self: &Rc<Self>,
        text: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        let held = self.held(text, &self.buyer(request, arrival)?)?;
        let thread = self.clone();
        Ok(Reply::later(async move {
            match tokio::time::timeout(DESK_ANSWER_MAX, thread.cancelled(&held)).await {
                Ok(Ok(standing)) => thread.ticket(StatusCode::OK, &held, standing),
                Ok(Err(problem)) => thread.answers.refuse(&problem),
                Err(_) => thread.answers.refuse(&Problem::OutcomeUnknown),
            }
        }))
    }

    async fn cancelled(&self, held: &Held) -> Result<Standing, Problem> {
        for _ in 0..TRIES_MAX {
            let standing = Standing::of(&held.ticket, self.shared());
            match standing.shown {
                Shown::Paid => return Err(Problem::NotCancellable),
                Shown::Closed(_) | Shown::Lost => return Ok(standing),
                Shown::Queued | Shown::Reserved | Shown::Ordered => {}
            }
            let cancelled = self.all.desk.cancel(held.ticket.shard, held.ticket.no).await;
            match cancelled.map_err(|_| Problem::Busy)? {
                CancelOutcome::Paid => return Err(Problem::NotCancellable),
                CancelOutcome::Closed => {
                    // Closed before by something else: the board has the reason.
                    let now = Standing::of(&held.ticket, self.shared());
                    let shown = match now.shown {
                        Shown::Closed(reason) => Shown::Closed(reason),
                        _ => Shown::Closed(ReleaseReason::Cancelled),
                    };
                    return Ok(Standing { shown, ..now });
                }
                CancelOutcome::NotYet => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
        Err(Problem::Busy)
    }
}
