//! What all connections of one thread share.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use crate::Limits;
use crate::peers::PeerSlot;
use crate::response::{Framing, Prepared};
use crate::stats::ThreadStats;
use crate::table::{Place, Table};

/// The buffers of one thread. A connection borrows them for one poll and leaves nothing in them, so that idle
/// connections need none of their own.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// What is being read; of fixed length.
    pub(crate) input: Box<[u8]>,
    /// A chunked body put together.
    pub(crate) body: Vec<u8>,
    /// Answers on their way out; empty between polls.
    pub(crate) output: Vec<u8>,
}

/// One thread of the server.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<ThreadStats>,
    pub(crate) table: Table,
    buffers: RefCell<Buffers>,
    open: Cell<usize>,
    /// The answer to connections over a bound.
    pub(crate) busy: Prepared,
    /// Set once, when the server is to stop: finish what is in flight, take nothing new.
    pub(crate) draining: Cell<bool>,
    /// Told when the last connection has gone.
    pub(crate) emptied: Notify,
    started: Instant,
    date: RefCell<DateLine>,
}

/// The `Date` header line of the current second.
#[derive(Debug)]
struct DateLine {
    second: u64,
    line: [u8; DATE_LINE],
}

/// The length of `date: Sun, 06 Nov 1994 08:49:37 GMT` and its line end.
const DATE_LINE: usize = 37;

impl DateLine {
    fn render(now: SystemTime) -> Self {
        let mut line = [0; DATE_LINE];
        let text = format!("date: {}\r\n", httpdate::fmt_http_date(now));
        // The date format has a fixed length; were it another, an empty line would end the head early.
        assert_eq!(text.len(), DATE_LINE, "an HTTP date is always 29 bytes long");
        line.copy_from_slice(text.as_bytes());
        DateLine {
            second: unix_seconds(now),
            line,
        }
    }
}

fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Worker {
    pub(crate) fn new(limits: Limits, stats: Arc<ThreadStats>) -> Self {
        let buffers = Buffers {
            input: vec![0; limits.input_bytes()].into(),
            body: Vec::with_capacity(limits.body_bytes),
            output: Vec::with_capacity(limits.output_bytes),
        };
        Worker {
            limits,
            stats,
            table: Table::default(),
            buffers: RefCell::new(buffers),
            open: Cell::new(0),
            busy: Prepared::new(crate::problem::Refusal::TooManyConnections.response()),
            draining: Cell::new(false),
            emptied: Notify::new(),
            started: Instant::now(),
            date: RefCell::new(DateLine::render(SystemTime::now())),
        }
    }

    /// The buffers, for use until the end of a poll.
    pub(crate) fn buffers(&self) -> RefMut<'_, Buffers> {
        let mut buffers = self.buffers.borrow_mut();
        // A service that panicked may have left another client's answers here.
        buffers.output.clear();
        buffers
    }

    /// How many connections are open, but for those being refused.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// How many connections are being refused.
    pub(crate) fn refusing(&self) -> usize {
        self.table.taken() - self.open.get()
    }

    /// Called once a [`TICK`](crate::table::TICK).
    pub(crate) fn tick(&self) {
        let now = SystemTime::now();
        let mut date = self.date.borrow_mut();
        if date.second != unix_seconds(now) {
            *date = DateLine::render(now);
        }
        self.table.advance(self.started.elapsed());
    }

    /// Calls `write` with the framing of one answer.
    pub(crate) fn framed(&self, close: bool, head_only: bool, write: impl FnOnce(&Framing<'_>)) {
        write(&Framing {
            date: &self.date.borrow().line,
            close,
            head_only,
        });
    }

    /// From now on connections end as soon as nothing is in flight on them.
    pub(crate) fn begin_drain(&self) {
        self.draining.set(true);
        self.table.wake_all();
    }

    /// Waits until all connections are gone, for at most `grace`. Says how many are left.
    pub(crate) async fn drained(&self, grace: Duration) -> usize {
        let empty = async {
            while self.table.taken() > 0 {
                self.emptied.notified().await;
            }
        };
        let _ = tokio::time::timeout(grace, empty).await;
        self.table.taken()
    }
}

/// An open connection's entries in the shared counts and tables; given back on drop, also when its task panics.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) worker: Rc<Worker>,
    pub(crate) place: Place,
    /// Nothing for a connection that is only being refused.
    peer: Option<PeerSlot>,
}

impl Seat {
    pub(crate) fn take(worker: &Rc<Worker>, peer: Option<PeerSlot>) -> Self {
        if peer.is_some() {
            worker.open.set(worker.open.get() + 1);
            worker.stats.connections_open.add(1);
            worker.stats.connections_total.add(1);
        }
        Seat {
            place: worker.table.take(),
            worker: worker.clone(),
            peer,
        }
    }

    /// Sets this connection's deadline.
    pub(crate) fn deadline(&self, after: Duration) {
        self.worker.table.set(self.place, after);
    }

    /// Whether the deadline is over.
    pub(crate) fn is_over(&self) -> bool {
        self.worker.table.is_over(self.place)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.table.give_back(self.place);
        if self.peer.is_some() {
            self.worker.open.set(self.worker.open.get() - 1);
            self.worker.stats.connections_open.subtract(1);
        }
        if self.worker.table.taken() == 0 {
            self.worker.emptied.notify_waiters();
        }
    }
}
