//! Where the run stands: one line that is written over on a terminal, and one line for each step elsewhere.

use std::cell::RefCell;
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    started: Instant,
    terminal: bool,
    now: RefCell<(usize, String)>,
}

impl Progress {
    /// Of `total` benchmarks.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            started: Instant::now(),
            terminal: stderr().is_terminal(),
            now: RefCell::default(),
        }
    }

    /// The next benchmark begins.
    pub(crate) fn begin(&self, name: &str) {
        let mut now = self.now.borrow_mut();
        *now = (now.0 + 1, name.to_owned());
    }

    /// Round `round` of `rounds`, counted from 0, of `what` begins.
    pub(crate) fn round(&self, round: usize, rounds: usize, what: &str) {
        self.show(&format!("{what}, round {} of {rounds}", round + 1));
    }

    /// Something else begins.
    pub(crate) fn show(&self, what: &str) {
        let (number, name) = &*self.now.borrow();
        let seconds = self.started.elapsed().as_secs();
        let text = format!("[{number}/{}] {name}: {what} ({seconds} s)", self.total);
        // A progress line that can't be written is no reason to stop.
        let _ = if self.terminal {
            write!(stderr(), "\r\x1b[2K{text}")
        } else {
            writeln!(stderr(), "{text}")
        };
    }

    /// Nothing is under way any more.
    pub(crate) fn clear(&self) {
        if self.terminal {
            // As above.
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}
