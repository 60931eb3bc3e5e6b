//! One keep-alive connection with several requests under way.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::rc::Rc;

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::answer::{Front, front};
use crate::schedule::Step;

/// A slot for one connection; the connection in it may come and go.
pub(crate) struct Connection {
    to: Option<Rc<OwnedWriteHalf>>,
    output: Vec<u8>,
    /// An answer that has not come whole yet.
    input: Vec<u8>,
    in_flight: VecDeque<(Step, u64)>,
    /// Tells the writer that the socket did not take everything.
    pub(crate) stuck: Rc<Notify>,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self {
            to: None,
            output: Vec::with_capacity(8 * 1024),
            input: Vec::new(),
            in_flight: VecDeque::with_capacity(32),
            stuck: Rc::new(Notify::new()),
        }
    }

    pub(crate) fn open(&mut self, to: Rc<OwnedWriteHalf>) {
        self.to = Some(to);
    }

    /// Empties the slot; requests under way are lost.
    pub(crate) fn close(&mut self, agent: &mut Agent, now_ns: u64) {
        self.to = None;
        self.output.clear();
        self.input.clear();
        agent.lost_ns = Some(now_ns);
        for (step, _) in self.in_flight.drain(..) {
            agent.lost(step, now_ns);
        }
    }

    /// How many requests may be put on top, 0 unless at least half of `pipeline` is free: so they go out in batches
    /// when there is much to do, and at once when there is little.
    pub(crate) fn room(&self, pipeline: usize) -> usize {
        if self.to.is_none() || self.in_flight.len() > pipeline / 2 {
            0
        } else {
            pipeline - self.in_flight.len()
        }
    }

    pub(crate) fn put(&mut self, mut step: Step, agent: &mut Agent, now_ns: u64) {
        agent.render(&mut step, &mut self.output, now_ns);
        self.in_flight.push_back((step, now_ns));
    }

    /// Writes what the socket takes; wakes the writer if something is left.
    pub(crate) fn flush(&mut self) {
        if !self.write_some() {
            self.stuck.notify_one();
        }
    }

    /// Returns whether everything is written (or the connection is done for, which its reader will notice).
    pub(crate) fn write_some(&mut self) -> bool {
        let Some(to) = &self.to else { return true };
        let mut written = 0;
        while written < self.output.len() {
            match to.try_write(&self.output[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.break_off();
                    return true;
                }
            }
        }
        self.output.drain(..written);
        self.output.is_empty()
    }

    /// Shuts the socket; its reader wakes and empties the slot.
    pub(crate) fn break_off(&self) {
        if let Some(to) = &self.to {
            // A socket that is gone already is what we want.
            let _ = socket2::SockRef::from(AsRef::<tokio::net::TcpStream>::as_ref(&**to))
                .shutdown(Shutdown::Both);
        }
    }

    /// When the oldest request under way was sent.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        self.in_flight.front().map(|(_, sent_ns)| *sent_ns)
    }

    /// Takes in bytes and hands on whole answers. Returns the answers handed on and whether the connection is of
    /// further use.
    pub(crate) fn take_in(&mut self, bytes: &[u8], agent: &mut Agent, now_ns: u64) -> (usize, bool) {
        if self.input.is_empty() {
            let (used, answers, good) = hand_on(bytes, &mut self.in_flight, agent, now_ns);
            self.input.extend_from_slice(&bytes[used..]);
            return (answers, good);
        }
        self.input.extend_from_slice(bytes);
        let (used, answers, good) = hand_on(&self.input, &mut self.in_flight, agent, now_ns);
        self.input.drain(..used);
        (answers, good)
    }
}

fn hand_on(
    bytes: &[u8],
    in_flight: &mut VecDeque<(Step, u64)>,
    agent: &mut Agent,
    now_ns: u64,
) -> (usize, usize, bool) {
    let (mut used, mut answers) = (0, 0);
    while used < bytes.len() {
        match front(&bytes[used..]) {
            Front::Partial => break,
            Front::Broken(why) => {
                agent.broken_answer(why);
                return (bytes.len(), answers, false);
            }
            Front::Whole(answer, length) => {
                let Some((step, sent_ns)) = in_flight.pop_front() else {
                    agent.broken_answer("an answer nobody asked for");
                    return (bytes.len(), answers, false);
                };
                agent.answered(step, &answer, sent_ns, now_ns);
                used += length;
                answers += 1;
                if answer.close {
                    return (bytes.len(), answers, false);
                }
            }
        }
    }
    (used, answers, true)
}
