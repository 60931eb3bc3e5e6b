//! The life of one HTTP/1 connection: reading, waiting, writing and closing.
//!
//! It is one hand-written poll function rather than an async one, because it waits for several things at once
//! (the client, the service, a deadline) and must stay small while it does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::events::Events;
use super::replies::Replies;
use crate::Service;
use crate::problem::Refusal;
use crate::worker::{Buffers, Seat};

/// How often a connection may go on without giving others a turn.
const TURNS: usize = 64;
/// The most bytes read out of a connection that is being closed.
const LINGER_BYTES: usize = 64 * 1024;
/// A client that takes this much in a [`write_timeout`](crate::Limits::write_timeout) is not stuck.
const WRITE_PROGRESS_BYTES: usize = 16 * 1024;
/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How serving a connection as HTTP/1 ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Drop it.
    Closed,
    /// It speaks HTTP/2; these bytes have been read.
    Http2(Vec<u8>),
}

/// What the deadline in the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Something was completed: whatever is waited for next gets a new deadline.
    Anew,
    Request,
    Head,
    Body,
    Reply,
    Write,
    Events,
    Linger,
}

/// One HTTP/1 connection.
pub(crate) struct Connection<S> {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) service: Rc<S>,
    pub(super) seat: Seat,
    /// Bytes read but not understood yet: the beginning of a request. Empty while idle.
    pub(super) pending: Vec<u8>,
    /// How many bytes must be there before it is worth another look.
    pub(super) need: usize,
    /// Bytes the client didn't take at once.
    unsent: Vec<u8>,
    /// How many of them it has taken since, and since the deadline was set.
    sent: usize,
    progress: usize,
    pub(super) replies: Replies,
    pub(super) events: Option<Events>,
    pub(super) wait: Wait,
    /// Whether more requests are taken.
    pub(super) taking: bool,
    /// Whether `100 Continue` was sent for the request being read.
    pub(super) continued: bool,
    /// Whether the body, rather than the head, of the request in `pending` is missing.
    pub(super) in_body: bool,
    registered: bool,
    /// Whether nothing has been understood on this connection yet.
    fresh: bool,
    /// Whether the client has ended its side.
    read_closed: bool,
    /// Bytes that may still be read out, once the last answer is sent.
    linger: Option<usize>,
}

impl<S: Service> Connection<S> {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, service: Rc<S>, seat: Seat) -> Self {
        Connection {
            stream,
            peer,
            service,
            seat,
            pending: Vec::new(),
            need: 0,
            unsent: Vec::new(),
            sent: 0,
            progress: 0,
            replies: Replies::default(),
            events: None,
            wait: Wait::Anew,
            taking: true,
            continued: false,
            in_body: false,
            registered: false,
            fresh: true,
            read_closed: false,
            linger: None,
        }
    }

    /// A connection that only gets the "busy" answer.
    pub(crate) fn refused(stream: TcpStream, peer: SocketAddr, service: Rc<S>, seat: Seat) -> Self {
        let mut refused = Connection::new(stream, peer, service, seat);
        refused.taking = false;
        let worker = refused.seat.worker.clone();
        worker.framed(true, false, |framing| {
            worker.busy.write(&mut refused.unsent, framing)
        });
        refused
    }

    /// What is needed to go on with it as HTTP/2.
    pub(crate) fn into_parts(self) -> (TcpStream, SocketAddr, Rc<S>, Seat) {
        (self.stream, self.peer, self.service, self.seat)
    }

    /// Serves the connection until it ends. Always polled by the same task.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.registered {
            self.registered = true;
            self.seat.worker.table.register(self.seat.place, cx);
        }
        if self.seat.is_over() && self.deadline_over() {
            return Poll::Ready(End::Closed);
        }
        for _ in 0..TURNS {
            match self.turn(cx) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(end))) => return Poll::Ready(end),
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed),
                Poll::Pending => {
                    self.set_deadline();
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does the first thing that can be done. Ready with nothing if there may be more to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        if !self.unsent.is_empty() {
            ready!(self.poll_unsent(cx))?;
        }
        if self.linger.is_some() {
            return self.poll_linger(cx);
        }
        if self.events.is_some() {
            return self.poll_events(cx);
        }
        if !self.replies.is_empty() && self.poll_replies(cx)? {
            return Poll::Ready(Ok(None));
        }
        let idle = self.pending.is_empty() && self.replies.is_empty();
        if idle && self.seat.worker.draining.get() {
            self.taking = false;
        }
        if !self.taking && self.replies.is_empty() {
            if self.read_closed {
                return Poll::Ready(Ok(Some(End::Closed)));
            }
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.linger = Some(LINGER_BYTES);
            return Poll::Ready(Ok(None));
        }
        if !self.can_take() {
            return Poll::Pending;
        }
        if !self.pending.is_empty() && self.pending.len() >= self.need {
            return Poll::Ready(self.go_on_with_pending().map(|()| None));
        }
        self.poll_input(cx)
    }

    /// Whether another request may be taken now.
    pub(super) fn can_take(&self) -> bool {
        self.taking
            && self.unsent.is_empty()
            && self.events.is_none()
            && self.replies.len() < self.seat.worker.limits.pipelined_replies
    }

    /// Reads once and deals with all whole requests.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        let worker = self.seat.worker.clone();
        let mut buffers = worker.buffers();
        let Buffers { input, body, output } = &mut *buffers;
        let kept = self.pending.len();
        input[..kept].copy_from_slice(&self.pending);
        // Requests are bounded to less than the buffer, so there is always room for more of one.
        let mut buffer = ReadBuf::new(&mut input[kept..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            self.read_closed = true;
            self.taking = false;
            return Poll::Ready(Ok(None));
        }
        worker.stats.bytes_in.add(read as u64);
        let bytes = &input[..kept + read];
        if self.fresh {
            match preface(bytes) {
                Preface::Whole => return Poll::Ready(Ok(Some(End::Http2(bytes.to_vec())))),
                Preface::Part => {
                    self.need = bytes.len() + 1;
                    self.keep(bytes);
                    return Poll::Ready(Ok(None));
                }
                Preface::None => self.fresh = false,
            }
        }
        if bytes.len() < self.need {
            self.keep(bytes);
            return Poll::Ready(Ok(None));
        }
        let taken = self.take_requests(bytes, body, output);
        self.keep(&bytes[taken..]);
        Poll::Ready(self.send(output).map(|()| None))
    }

    /// Deals with whole requests among the bytes left over by an earlier turn.
    fn go_on_with_pending(&mut self) -> io::Result<()> {
        let worker = self.seat.worker.clone();
        let mut buffers = worker.buffers();
        let Buffers { body, output, .. } = &mut *buffers;
        let pending = std::mem::take(&mut self.pending);
        let taken = self.take_requests(&pending, body, output);
        self.keep(&pending[taken..]);
        self.send(output)
    }

    /// Keeps what couldn't be dealt with, in no more memory than it needs.
    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.pending.capacity() > 0 {
                self.pending = Vec::new();
            }
        } else {
            self.pending.clear();
            self.pending.extend_from_slice(rest);
        }
    }

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

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
    fn poll_replies(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
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
            self.send(output)?;
        }
        Ok(any)
    }

    /// Sends events as they come, and watches for the client going away.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
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
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End>>> {
        let worker = self.seat.worker.clone();
        let mut buffers = worker.buffers();
        let mut buffer = ReadBuf::new(&mut buffers.input);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.linger = self.linger.and_then(|left| left.checked_sub(read.max(1)));
        let end = read == 0 || self.linger.is_none();
        Poll::Ready(Ok(end.then_some(End::Closed)))
    }

    /// Sets the deadline for what is waited for now, unless it is still the same.
    fn set_deadline(&mut self) {
        let worker = &self.seat.worker;
        let limits = &worker.limits;
        let (wait, after) = if !self.unsent.is_empty() {
            (Wait::Write, limits.write_timeout)
        } else if self.linger.is_some() {
            (Wait::Linger, limits.linger_timeout)
        } else if self.events.is_some() {
            if self.wait != Wait::Events {
                self.wait = Wait::Events;
                worker.table.clear(self.seat.place);
            }
            return;
        } else if !self.replies.is_empty() {
            (Wait::Reply, limits.reply_timeout)
        } else if self.pending.is_empty() {
            (Wait::Request, limits.idle_timeout)
        } else if self.in_body {
            (Wait::Body, limits.body_timeout)
        } else {
            (Wait::Head, limits.head_timeout)
        };
        if wait != self.wait {
            self.wait = wait;
            self.seat.deadline(after);
        }
    }

    /// Deals with a deadline that is over. Says whether the connection is to be dropped.
    fn deadline_over(&mut self) -> bool {
        let stats = &self.seat.worker.stats;
        match self.wait {
            Wait::Write => stats.write_timeouts.add(1),
            Wait::Reply => stats.reply_timeouts.add(1),
            Wait::Request => stats.idle_closed.add(1),
            Wait::Linger => {}
            Wait::Head => {
                self.refuse(Refusal::TooSlow("The head of the request did not come in time."));
                return false;
            }
            Wait::Body => {
                self.refuse(Refusal::TooSlow("The body of the request did not come in time."));
                return false;
            }
            Wait::Anew | Wait::Events => {
                self.seat.worker.table.clear(self.seat.place);
                return false;
            }
        }
        true
    }
}

enum Preface {
    Whole,
    Part,
    None,
}

fn preface(bytes: &[u8]) -> Preface {
    if bytes.starts_with(PREFACE) {
        Preface::Whole
    } else if PREFACE.starts_with(bytes) {
        Preface::Part
    } else {
        Preface::None
    }
}
