//! The history as JSON lines, for an offline checker.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::schedule::Op;

/// Each thread gathers this much before it takes the file's lock.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether an operation began, succeeded, was refused, or ended unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Invoke,
    Ok,
    /// Certainly not done.
    Fail,
    /// Nobody knows: lost on the way, timed out, or 503 `outcome-unknown`.
    Info,
}

/// One line.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) op: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) buyer: &'a str,
    pub(crate) req: &'a str,
    pub(crate) ticket: &'a str,
    /// The ticket's state, or the problem's name.
    pub(crate) state: &'a str,
    pub(crate) mono_ns: u64,
}

/// One thread's side of the shared history file.
pub(crate) struct History {
    file: Arc<Mutex<File>>,
    chunk: Vec<u8>,
    /// The first error; after it nothing more is written.
    error: Option<io::Error>,
}

impl History {
    /// One writer per thread on one new file.
    pub(crate) fn create(path: &Path, threads: usize) -> io::Result<Vec<Self>> {
        let file = Arc::new(Mutex::new(File::create(path)?));
        let writer = |_| Self {
            file: Arc::clone(&file),
            chunk: Vec::with_capacity(CHUNK_BYTES),
            error: None,
        };
        Ok((0..threads).map(writer).collect())
    }

    pub(crate) fn write(&mut self, line: &Line<'_>) {
        // Strings and numbers into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.chunk, line);
        self.chunk.push(b'\n');
        if self.chunk.len() >= CHUNK_BYTES - 1024 {
            self.flush();
        }
    }

    /// Writes what is left and says whether everything got to the file.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush();
        self.error.map_or(Ok(()), Err)
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            let written = match self.file.lock() {
                Ok(mut file) => file.write_all(&self.chunk),
                Err(_) => Err(io::Error::other("another thread died while writing")),
            };
            self.error = written.err();
        }
        self.chunk.clear();
    }
}

/// What an answer means for the history: a 503 or a lost answer leaves the outcome open.
pub(crate) fn kind_of(op: Op, status: u16, problem: &str) -> Kind {
    match status {
        200..=299 => Kind::Ok,
        503 if op != Op::Poll && problem != "busy" => Kind::Info,
        500 | 502 | 504 => Kind::Info,
        _ => Kind::Fail,
    }
}
