//! HTTP/2: hyper speaks the protocol, within bounds; the service is the same.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::problem::Refusal;
use crate::rewind::Rewind;
use crate::worker::Seat;
use crate::{Headers, MAX_HEADERS, Method, Reply, Request, Response, Service, Version};

/// A stream may take in this many bytes before its request is looked at; a whole connection four times as many.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024;

/// Runs hyper's tasks on this thread.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for ThisThread
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// One HTTP/2 connection, shared with the tasks of its streams.
struct Link {
    seat: Seat,
    peer: SocketAddr,
    /// Whether no new streams are taken; then the deadline isn't moved any more.
    closing: Cell<bool>,
}

impl Link {
    /// Something happened on a stream: the connection isn't idle.
    fn touch(&self) {
        if !self.closing.get() {
            self.seat.deadline(self.seat.worker.limits.idle_timeout);
        }
    }
}

/// Serves a connection until it ends; `read` are the bytes that were read from it to find out what it speaks.
pub(crate) async fn serve<S: Service>(
    stream: TcpStream,
    read: Vec<u8>,
    peer: SocketAddr,
    service: Rc<S>,
    seat: Seat,
) {
    let worker = seat.worker.clone();
    worker.stats.connections_h2.add(1);
    let limits = &worker.limits;
    let link = Rc::new(Link {
        seat,
        peer,
        closing: Cell::new(false),
    });
    link.touch();
    let call = service_fn({
        let link = link.clone();
        move |request| answer(service.clone(), link.clone(), request)
    });
    let connection = http2::Builder::new(ThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_resets)
        .max_local_error_reset_streams(limits.h2_resets)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * 4)
        .max_send_buf_size(limits.output_bytes)
        .keep_alive_interval(limits.h2_ping_interval)
        .keep_alive_timeout(limits.h2_ping_timeout)
        .serve_connection(TokioIo::new(Rewind { read, stream }), call);
    let mut connection = pin!(connection);
    poll_fn(|cx| {
        let over = link.seat.is_over();
        if over && link.closing.get() {
            return Poll::Ready(());
        }
        if (over || worker.draining.get()) && !link.closing.replace(true) {
            worker.stats.idle_closed.add(u64::from(over));
            link.seat.deadline(if over {
                limits.linger_timeout
            } else {
                limits.reply_timeout
            });
            connection.as_mut().graceful_shutdown();
        }
        // What goes wrong on a connection is the client's doing, and its streams end with it.
        connection.as_mut().poll(cx).map(|_| ())
    })
    .await;
    link.closing.set(true);
}

async fn answer<S: Service>(
    service: Rc<S>,
    link: Rc<Link>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Answer>, Infallible> {
    link.touch();
    let (head, body) = request.into_parts();
    let mut reply = match whole_body(&link, &head, body).await {
        Ok(body) => {
            link.seat.worker.stats.requests_h2.add(1);
            service.call(&Request {
                method: Method::parse(head.method.as_str()),
                path: head.uri.path(),
                query: head.uri.query(),
                headers: Headers::from(&head.headers),
                body: &body,
                peer: link.peer,
                version: Version::Http2,
            })
        }
        Err(refusal) => {
            link.seat.worker.stats.count(refusal);
            refusal.response().into()
        }
    };
    while let Reply::Later(promise) = reply {
        reply = promise.await;
    }
    link.touch();
    let head_only = head.method == http::Method::HEAD;
    Ok(match reply {
        Reply::Static(prepared) => full(prepared.response(), head_only, link),
        Reply::Prepared(prepared) => full(prepared.response(), head_only, link),
        Reply::Full(response) => full(&response, head_only, link),
        Reply::Events(stream) => events(stream, head_only, link),
        Reply::Later(_) => unreachable!("the loop above ends with an answer"),
    })
}

/// Collects a body within its bounds of size and time.
async fn whole_body(link: &Link, head: &http::request::Parts, body: Incoming) -> Result<Bytes, Refusal> {
    let limits = &link.seat.worker.limits;
    if head.headers.len() > MAX_HEADERS {
        return Err(Refusal::HeadTooLarge("Send at most 32 header lines."));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let collected = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::Malformed("The body ended before it was whole.")),
        Err(_) => Err(Refusal::TooSlow("The body of the request did not come in time.")),
    }
}

fn full(response: &Response, head_only: bool, link: Rc<Link>) -> http::Response<Answer> {
    let body = if head_only || response.is_bodiless() {
        Bytes::new()
    } else {
        response.body.clone()
    };
    let mut answer = http::Response::new(Answer {
        content: Content::Full(body),
        link,
    });
    *answer.status_mut() = response.status;
    let headers = answer.headers_mut();
    headers.reserve(response.headers.len() + 2);
    for (name, value) in &response.headers {
        headers.append(name, value.clone());
    }
    if !response.is_bodiless() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    }
    answer
}

fn events(
    stream: Pin<Box<dyn Stream<Item = Bytes>>>,
    head_only: bool,
    link: Rc<Link>,
) -> http::Response<Answer> {
    let content = if head_only {
        Content::Full(Bytes::new())
    } else {
        Content::Events(stream)
    };
    let mut answer = http::Response::new(Answer { content, link });
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The body of an answer. Each time hyper takes some of it, the client has made room: the connection isn't idle.
struct Answer {
    content: Content,
    link: Rc<Link>,
}

enum Content {
    /// What is left of it.
    Full(Bytes),
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let draining = self.link.seat.worker.draining.get();
        let item = match &mut self.content {
            Content::Full(body) if body.is_empty() => None,
            Content::Full(body) => Some(std::mem::take(body)),
            Content::Events(_) if draining => None,
            Content::Events(stream) => std::task::ready!(stream.as_mut().poll_next(cx)),
        };
        self.link.touch();
        Poll::Ready(item.map(|item| Ok(Frame::data(item))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Full(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(body) => SizeHint::with_exact(body.len() as u64),
            Content::Events(_) => SizeHint::default(),
        }
    }
}
