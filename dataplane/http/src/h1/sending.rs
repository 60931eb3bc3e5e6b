//! Sending the answers of one HTTP/1 connection, at the client's pace.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Connection, End};
use super::deadlines::Wait;
use crate::Service;
use crate::worker::Buffers;

/// The most bytes read out of a connection that is being closed.
pub(super) const LINGER_BYTES: usize = 64 * 1024;
/// A client that takes this much in a [`write_timeout`](crate::Limits::write_timeout) is not stuck.
const WRITE_PROGRESS_BYTES: usize = 16 * 1024;

impl<S: Service> Connection<S> {
    /// Sends collected answers; keeps what the client doesn't take at once.
    pub(super) fn send(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let sent = match self.stream.try_write(output) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        };
        if let Ok(sent) = sent {
            self.seat.worker.stats.bytes_out.add(sent as u64);
            self.unsent.extend_from_slice(&output[sent..]);
        }
        output.clear();
        // One large answer must not keep its memory on the thread for ever.
        output.shrink_to(self.seat.worker.limits.output_bytes * 4);
        sent.map(|_| ())
    }

    pub(super) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent[self.sent..]))?;
            self.seat.worker.stats.bytes_out.add(sent as u64);
            self.sent += sent;
            self.progress += sent;
            if self.progress >= WRITE_PROGRESS_BYTES {
                self.progress = 0;
                self.wait = Wait::Anew;
            }
        }
        self.unsent = Vec::new();
        self.sent = 0;
        self.progress = 0;
        Poll::Ready(Ok(()))
    }

    /// Lets the service's promises go on and sends the answers whose turn it is. Says whether there were any.
    pub(super) fn poll_replies(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.replies.poll_all(cx);
        let worker = self.seat.worker.clone();
        let output = &mut worker.buffers().output;
        let mut any = false;
        while self.events.is_none()
            && output.len() < worker.limits.output_bytes
            && let Some((reply, asked)) = self.replies.pop_ready()
        {
            any = true;
            self.write(reply, asked, output);
        }
        if any {
            self.wait = Wait::Anew;
            self.replies.release();
            // A client that waits for `100 Continue` may be told to go on now.
            if self.in_body && self.replies.is_empty() {
                self.need = 0;
            }
            self.send(output)?;
        }
        Ok(any)
    }

    /// Sends events as they come, and watches for the client going away.
    pub(super) fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        let worker = self.seat.worker.clone();
        let mut buffers = worker.buffers();
        let Buffers { input, output, .. } = &mut *buffers;
        let Some(events) = &mut self.events else {
            return Poll::Ready(Ok(None));
        };
        let ended = if worker.draining.get() {
            events.end(output);
            true
        } else {
            events.poll_collect(cx, output).is_ready()
        };
        if ended {
            self.taking &= !events.ends_connection();
            self.events = None;
            self.wait = Wait::Anew;
        }
        if ended || !output.is_empty() {
            return Poll::Ready(self.send(output).map(|()| None));
        }
        let room = worker.limits.head_bytes.saturating_sub(self.pending.len());
        let mut buffer = ReadBuf::new(&mut input[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        // The end, or more requests than one can sensibly send while events are coming.
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(Some(End::Closed)));
        }
        worker.stats.bytes_in.add(buffer.filled().len() as u64);
        self.pending.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(None))
    }

    /// Reads out what the client still sends: closing with unread bytes would reset the connection, and the client
    /// could lose the last answer.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        let worker = self.seat.worker.clone();
        let mut buffers = worker.buffers();
        let mut buffer = ReadBuf::new(&mut buffers.input);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.linger = self.linger.and_then(|left| left.checked_sub(read.max(1)));
        let end = read == 0 || self.linger.is_none();
        Poll::Ready(Ok(end.then_some(End::Closed)))
    }
}
