//! What is to be sent when: arrivals in order, and everything drawn later in a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Marks "no buyer" and "no ticket".
pub(crate) const NONE: u32 = u32::MAX;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Buy,
    Poll,
    Cancel,
    Pay,
    /// The shared look at the sale; belongs to no buyer.
    Watch,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Buy => "purchase",
            Self::Poll => "poll",
            Self::Cancel => "cancel",
            Self::Pay => "pay",
            Self::Watch => "watch",
        }
    }
}

/// One request, from the decision to send it until its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// The buyer's number within this thread.
    pub(crate) buyer: u32,
    /// The ticket's number within this thread's ledger.
    pub(crate) ticket: u32,
    /// When the buyer meant to act.
    pub(crate) intended_ns: u64,
    pub(crate) op: Op,
    /// Which of the buyer's idempotency keys a purchase carries.
    pub(crate) key: u8,
    /// Earlier tries of this same request.
    pub(crate) attempt: u8,
    /// The second of two clicks: goes out on another connection than the first.
    pub(crate) copy: bool,
    /// Set at sending: the buyer had been shown a ticket for this key by then, in `reserved` or beyond.
    pub(crate) had_promise: bool,
}

impl Step {
    pub(crate) fn new(op: Op, buyer: u32, intended_ns: u64) -> Self {
        Self {
            buyer,
            ticket: NONE,
            intended_ns,
            op,
            key: 0,
            attempt: 0,
            copy: false,
            had_promise: false,
        }
    }
}

/// Steps that are not due yet, and steps that are due but not yet on a connection.
///
/// Bounded by the crowd itself: each buyer has a handful of steps at most.
#[derive(Default)]
pub(crate) struct Schedule {
    /// (when, buyer), the next one last.
    arrivals: Vec<(u64, u32)>,
    later: BinaryHeap<Reverse<(u64, u64, Step)>>,
    /// Breaks ties in `later` by order of arrival.
    counter: u64,
    ready: VecDeque<Step>,
    copies: VecDeque<Step>,
}

impl Schedule {
    pub(crate) fn with_arrivals(mut arrivals: Vec<(u64, u32)>) -> Self {
        arrivals.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            arrivals,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, at_ns: u64, step: Step) {
        self.counter += 1;
        self.later.push(Reverse((at_ns, self.counter, step)));
    }

    /// Due at once; copies are kept apart so that they can take another connection.
    pub(crate) fn push_ready(&mut self, step: Step) {
        if step.copy {
            self.copies.push_back(step);
        } else {
            self.ready.push_back(step);
        }
    }

    /// The next buyer who has arrived by now.
    pub(crate) fn pop_arrival(&mut self, now_ns: u64) -> Option<(u64, u32)> {
        self.arrivals.pop_if(|(at, _)| *at <= now_ns)
    }

    /// Moves what has become due behind what is ready.
    pub(crate) fn release(&mut self, now_ns: u64) {
        while let Some(Reverse((at, _, _))) = self.later.peek()
            && *at <= now_ns
            && let Some(Reverse((_, _, step))) = self.later.pop()
        {
            self.push_ready(step);
        }
    }

    pub(crate) fn pop_ready(&mut self) -> Option<Step> {
        self.ready.pop_front()
    }

    pub(crate) fn pop_copy(&mut self) -> Option<Step> {
        self.copies.pop_front()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.copies.is_empty()
    }

    /// When the next arrival or step becomes due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let arrival = self.arrivals.last().map(|(at, _)| *at);
        let step = self.later.peek().map(|Reverse((at, _, _))| *at);
        [arrival, step].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_out_when_due_and_in_order() {
        let mut schedule = Schedule::with_arrivals(vec![(30, 1), (10, 2), (20, 3)]);
        schedule.push(25, Step::new(Op::Poll, 9, 25));
        schedule.push(5, Step::new(Op::Poll, 8, 5));
        assert_eq!(schedule.next_due(), Some(5));
        assert_eq!(schedule.pop_arrival(20), Some((10, 2)));
        assert_eq!(schedule.pop_arrival(20), Some((20, 3)));
        assert_eq!(schedule.pop_arrival(20), None);
        schedule.release(20);
        assert_eq!(schedule.pop_ready().map(|s| s.buyer), Some(8));
        assert_eq!(schedule.pop_ready(), None);
        assert_eq!(schedule.next_due(), Some(25));
    }

    #[test]
    fn a_copy_waits_apart_from_its_original() {
        let mut schedule = Schedule::default();
        schedule.push_ready(Step::new(Op::Buy, 1, 0));
        schedule.push_ready(Step {
            copy: true,
            ..Step::new(Op::Buy, 1, 0)
        });
        assert!(schedule.pop_ready().is_some_and(|s| !s.copy));
        assert!(schedule.pop_ready().is_none() && schedule.has_ready());
        assert!(schedule.pop_copy().is_some_and(|s| s.copy));
    }
}
