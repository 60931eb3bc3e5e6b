//! The outstanding answers of one connection, in the order of their requests.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use crate::Reply;

/// What must be known of a request when its answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// `HEAD`: no body.
    pub(crate) head_only: bool,
    /// The connection ends after this answer.
    pub(crate) close: bool,
    /// HTTP/1.0 knows no chunks.
    pub(crate) chunks: bool,
}

/// Answers that can't be written yet: promises, and whatever was asked after them.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    queue: VecDeque<(Reply, Asked)>,
}

impl Replies {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, reply: Reply, asked: Asked) {
        self.queue.push_back((reply, asked));
    }

    /// Lets every promise go on, so that they all progress at once; their number is bounded by the connection.
    pub(crate) fn poll_all(&mut self, cx: &mut Context<'_>) {
        for (reply, _) in &mut self.queue {
            while let Reply::Later(future) = reply {
                match future.as_mut().poll(cx) {
                    Poll::Ready(next) => *reply = next,
                    Poll::Pending => break,
                }
            }
        }
    }

    /// The next answer, if it isn't a promise any more.
    pub(crate) fn pop_ready(&mut self) -> Option<(Reply, Asked)> {
        match self.queue.front() {
            None | Some((Reply::Later(_), _)) => None,
            Some(_) => self.queue.pop_front(),
        }
    }

    /// Gives the memory of an empty queue back.
    pub(crate) fn release(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}
