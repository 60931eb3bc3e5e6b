//! Event streams of tickets.
//!
//! Many buyers wait at once, so a stream has no timer and no task of its own: one round a few times a second looks
//! at all tickets being watched and wakes only the streams that have something to send. A stream at rest costs its
//! entry here (about 120 bytes) and its connection.

use super::thread::Thread;
use super::ticket::{self, Held, Standing};
use crate::shared::Shared;
use bytes::Bytes;
use futures_core::Stream;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often all watched tickets are looked at.
pub(super) const ROUND: Duration = Duration::from_millis(250);
/// Rounds between two events while the buyer waits for the order.
const ROUNDS_WAITING: u32 = 4;
/// Rounds between two signs of life otherwise.
const ROUNDS_QUIET: u32 = 80;

/// What a stream has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Event,
    SignOfLife,
    /// The final event was sent.
    End,
}

#[derive(Debug)]
struct Watcher {
    held: Held,
    last: Option<Standing>,
    /// The round of the last event or sign of life.
    sent: u32,
    due: Due,
    waker: Option<Waker>,
}

/// All event streams of one thread.
#[derive(Debug)]
pub(super) struct Watchers {
    inner: RefCell<Inner>,
    most: usize,
}

#[derive(Debug, Default)]
struct Inner {
    watchers: Vec<Option<Watcher>>,
    free: Vec<u32>,
    round: u32,
}

impl Watchers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            inner: RefCell::default(),
            most,
        }
    }

    /// A new stream's place; `None` if there are too many.
    fn insert(&self, held: Held) -> Option<u32> {
        let mut inner = self.inner.borrow_mut();
        let watcher = Watcher {
            held,
            last: None,
            sent: inner.round,
            due: Due::Event,
            waker: None,
        };
        if let Some(ix) = inner.free.pop() {
            inner.watchers[ix as usize] = Some(watcher);
            return Some(ix);
        }
        if inner.watchers.len() >= self.most {
            return None;
        }
        inner.watchers.push(Some(watcher));
        Some(inner.watchers.len() as u32 - 1)
    }

    fn remove(&self, ix: u32) {
        let mut inner = self.inner.borrow_mut();
        inner.watchers[ix as usize] = None;
        inner.free.push(ix);
    }

    /// Looks at every ticket and wakes those streams that have something to send.
    pub(super) fn tick(&self, shared: &Shared) {
        let mut inner = self.inner.borrow_mut();
        inner.round = inner.round.wrapping_add(1);
        let round = inner.round;
        for watcher in inner.watchers.iter_mut().flatten() {
            if watcher.due != Due::Nothing {
                continue;
            }
            let standing = Standing::of(&watcher.held.ticket, shared);
            let quiet = round.wrapping_sub(watcher.sent);
            watcher.due = if watcher.last != Some(standing) || (standing.waits() && quiet >= ROUNDS_WAITING) {
                Due::Event
            } else if quiet >= ROUNDS_QUIET {
                Due::SignOfLife
            } else {
                continue;
            };
            if let Some(waker) = &watcher.waker {
                waker.wake_by_ref();
            }
        }
    }

    fn poll(&self, ix: u32, shared: &Shared, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut inner = self.inner.borrow_mut();
        let round = inner.round;
        let Some(watcher) = inner.watchers[ix as usize].as_mut() else {
            return Poll::Ready(None);
        };
        match watcher.due {
            Due::End => return Poll::Ready(None),
            Due::Nothing => {
                match &mut watcher.waker {
                    Some(known) => known.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            Due::Event | Due::SignOfLife => {}
        }
        watcher.sent = round;
        if std::mem::replace(&mut watcher.due, Due::Nothing) == Due::SignOfLife {
            return Poll::Ready(Some(Bytes::from_static(b":\n\n")));
        }
        let standing = Standing::of(&watcher.held.ticket, shared);
        watcher.last = Some(standing);
        if standing.shown.is_final() {
            watcher.due = Due::End;
        }
        let mut event = Vec::with_capacity(768);
        event.extend_from_slice(b"event: ticket\ndata: ");
        ticket::write(&mut event, &watcher.held, standing, shared);
        event.extend_from_slice(b"\n\n");
        Poll::Ready(Some(event.into()))
    }
}

/// The events of one ticket.
pub(super) struct TicketEvents {
    thread: Rc<Thread>,
    ix: u32,
}

impl TicketEvents {
    /// Begins to watch a ticket; `None` if the thread watches too many.
    pub(super) fn of(thread: &Rc<Thread>, held: Held) -> Option<Self> {
        let ix = thread.watchers.insert(held)?;
        Some(Self {
            thread: thread.clone(),
            ix,
        })
    }
}

impl Stream for TicketEvents {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.thread.watchers.poll(self.ix, self.thread.shared(), cx)
    }
}

impl Drop for TicketEvents {
    fn drop(&mut self) {
        self.thread.watchers.remove(self.ix);
    }
}
