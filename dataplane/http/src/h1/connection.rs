//! The life of one HTTP/1 connection: what it does next, and reading.
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

use super::deadlines::Wait;
use super::events::Events;
use super::replies::Replies;
use super::sending;
use crate::Service;
use crate::worker::{Buffers, Seat};

/// How often a connection may go on without giving others a turn.
const TURNS: usize = 64;
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
    pub(super) unsent: Vec<u8>,
    /// How many of them it has taken since, and since the deadline was set.
    pub(super) sent: usize,
    pub(super) progress: usize,
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
    pub(super) linger: Option<usize>,
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
            worker.busy.write(&mut refused.unsent, framing);
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
            self.linger = Some(sending::LINGER_BYTES);
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
