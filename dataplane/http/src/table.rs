//! The connections of one thread with their deadlines.
//!
//! Setting a deadline is one store into an array; a tick ten times a second looks through the array and wakes the
//! tasks that are over theirs. That is far less work than a timer per request, and 100,000 idle connections cost
//! some microseconds a tick.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;

const TICK_MS: u32 = 100;
/// The length of one tick.
pub(crate) const TICK: Duration = Duration::from_millis(TICK_MS as u64);

/// No deadline.
const NEVER: u32 = u32::MAX;

/// A time in whole ticks, in arithmetic that is cheap enough for each request.
fn ticks(time: Duration) -> u32 {
    let seconds = u32::try_from(time.as_secs()).unwrap_or(NEVER);
    seconds
        .saturating_mul(1_000 / TICK_MS)
        .saturating_add(time.subsec_millis() / TICK_MS)
}

/// A connection's place in the table. Places are used again once given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// All connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In ticks since the start, apart from the wakers so that a tick reads little memory.
    deadlines: RefCell<Vec<u32>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<u32>>,
    now: Cell<u32>,
    taken: Cell<usize>,
}

impl Table {
    pub(crate) fn take(&self) -> Place {
        self.taken.set(self.taken.get() + 1);
        if let Some(free) = self.free.borrow_mut().pop() {
            return Place(free);
        }
        let mut deadlines = self.deadlines.borrow_mut();
        let place = u32::try_from(deadlines.len()).unwrap_or(NEVER);
        deadlines.push(NEVER);
        self.wakers.borrow_mut().push(None);
        Place(place)
    }

    pub(crate) fn give_back(&self, place: Place) {
        self.deadlines.borrow_mut()[place.index()] = NEVER;
        self.wakers.borrow_mut()[place.index()] = None;
        self.free.borrow_mut().push(place.0);
        self.taken.set(self.taken.get() - 1);
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Says whom to wake when the deadline is over. A task's waker stays good for its whole life, so once is enough.
    pub(crate) fn register(&self, place: Place, cx: &Context<'_>) {
        self.wakers.borrow_mut()[place.index()] = Some(cx.waker().clone());
    }

    /// Sets the deadline to `after` from now, at least one tick.
    pub(crate) fn set(&self, place: Place, after: Duration) {
        self.deadlines.borrow_mut()[place.index()] = self.now.get().saturating_add(ticks(after).max(1));
    }

    /// Takes the deadline away.
    pub(crate) fn clear(&self, place: Place) {
        self.deadlines.borrow_mut()[place.index()] = NEVER;
    }

    /// Whether the deadline is over.
    pub(crate) fn is_over(&self, place: Place) -> bool {
        self.deadlines.borrow()[place.index()] <= self.now.get()
    }

    /// Moves the clock on and wakes every task that is over its deadline.
    pub(crate) fn advance(&self, since_start: Duration) {
        let now = ticks(since_start).min(NEVER - 1);
        self.now.set(now);
        let wakers = self.wakers.borrow();
        for (deadline, waker) in self.deadlines.borrow().iter().zip(wakers.iter()) {
            if *deadline <= now
                && let Some(waker) = waker
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Wakes every task.
    pub(crate) fn wake_all(&self) {
        self.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_tick_wakes_exactly_those_over_their_deadline() {
        let table = Table::default();
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let places: Vec<Place> = counts
            .iter()
            .map(|count| {
                let place = table.take();
                table.register(place, &Context::from_waker(&Waker::from(count.clone())));
                place
            })
            .collect();
        table.set(places[0], Duration::from_secs(1));
        table.set(places[1], Duration::from_secs(2));
        table.advance(Duration::from_millis(1_050));
        let woken: Vec<usize> = counts.iter().map(|count| count.0.load(Relaxed)).collect();
        assert_eq!(woken, [1, 0, 0]);
        assert!(table.is_over(places[0]) && !table.is_over(places[1]) && !table.is_over(places[2]));
    }

    #[test]
    fn a_place_given_back_forgets_its_deadline() {
        let table = Table::default();
        let place = table.take();
        table.set(place, Duration::from_millis(100));
        table.give_back(place);
        assert_eq!(table.take(), place);
        table.advance(Duration::from_secs(5));
        assert!(!table.is_over(place));
    }
}
