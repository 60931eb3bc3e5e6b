//! Answers and their HTTP/1.1 bytes.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, StatusCode};

/// An answer made for one request.
///
/// `Content-Length`, `Connection`, `Date` and `Transfer-Encoding` are the server's: they are left out if given.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Response {
    /// An answer without headers or body.
    pub fn new(status: StatusCode) -> Self {
        Response {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An `application/json` answer.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Response::new(status)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body)
    }

    /// An `application/problem+json` answer; the body must be the problem's JSON.
    pub fn problem(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let kind = HeaderValue::from_static("application/problem+json");
        Response::new(status).header(CONTENT_TYPE, kind).body(body)
    }

    /// Adds a header; one of the same name stays beside it.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if ![CONTENT_LENGTH, CONNECTION, DATE, TRANSFER_ENCODING].contains(&name) {
            self.headers.push((name, value));
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers in the order they were added.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The body.
    pub fn body_bytes(&self) -> &Bytes {
        &self.body
    }

    /// Whether answers of this status have no body by definition, and no length either.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.status.is_informational() || matches!(self.status.as_u16(), 204 | 304)
    }

    /// The status line and the headers, without those that depend on the connection and without the last empty line.
    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.canonical_reason().unwrap_or("").as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !self.is_bodiless() {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, framing: &Framing<'_>) {
        self.write_head(out);
        framing.end_head(out);
        if !framing.head_only && !self.is_bodiless() {
            out.extend_from_slice(&self.body);
        }
    }
}

/// An answer whose bytes are rendered ahead, for those that are given again and again.
///
/// What depends on the connection (`Date`, `Connection`) is put in when it is sent.
#[derive(Clone, Debug)]
pub struct Prepared {
    response: Response,
    head: Box<[u8]>,
    /// The empty line after the head and the body.
    tail: Box<[u8]>,
}

impl Prepared {
    /// Renders an answer.
    pub fn new(response: Response) -> Self {
        let mut head = Vec::with_capacity(256);
        response.write_head(&mut head);
        let mut tail = b"\r\n".to_vec();
        if !response.is_bodiless() {
            tail.extend_from_slice(&response.body);
        }
        Prepared {
            response,
            head: head.into(),
            tail: tail.into(),
        }
    }

    /// The answer it was rendered from.
    pub fn response(&self) -> &Response {
        &self.response
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, framing: &Framing<'_>) {
        out.extend_from_slice(&self.head);
        if framing.close || framing.head_only {
            framing.end_head(out);
            if !framing.head_only {
                out.extend_from_slice(&self.tail[2..]);
            }
        } else {
            out.extend_from_slice(framing.date);
            out.extend_from_slice(&self.tail);
        }
    }
}

/// How an answer is put on an HTTP/1.1 connection.
pub(crate) struct Framing<'a> {
    /// The whole `Date` line.
    pub(crate) date: &'a [u8],
    /// Whether this is the connection's last answer.
    pub(crate) close: bool,
    /// Whether the request was a `HEAD`.
    pub(crate) head_only: bool,
}

impl Framing<'_> {
    /// Writes the headers that depend on the connection and the empty line.
    pub(crate) fn end_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date);
        if self.close {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl From<Response> for Prepared {
    fn from(response: Response) -> Self {
        Prepared::new(response)
    }
}
