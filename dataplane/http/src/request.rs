//! A request as a service sees it: borrowed from the bytes that were read.

use std::net::SocketAddr;

use http::HeaderMap;

/// A whole request: its head is checked and its body complete.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path as sent, still percent-encoded: visible ASCII that starts with `/`, or the one character `*`.
    pub path: &'a str,
    /// What follows the first `?`, still encoded.
    pub query: Option<&'a str>,
    /// The header lines.
    pub headers: Headers<'a>,
    /// The body, at most [`Limits::body_bytes`](crate::Limits::body_bytes) long; chunks are already joined.
    pub body: &'a [u8],
    /// The address at the other end of the connection.
    pub peer: SocketAddr,
    /// The protocol it came by.
    pub version: Version,
}

/// A request method. They are case-sensitive: `post` is [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answer as for `GET`; the server leaves out the body.
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other.
    Other,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: the connection is closed after the answer.
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// The header lines of a request. Names are compared without regard to case.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Lines(&'a [httparse::Header<'a>]),
    Map(&'a HeaderMap),
}

/// A header that may come once came more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header which may be sent once was sent more than once")]
pub struct Repeated;

impl<'a> Headers<'a> {
    pub(crate) fn lines(lines: &'a [httparse::Header<'a>]) -> Self {
        Headers(Source::Lines(lines))
    }

    /// The value of the first header of that name, without the white space around it.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        match self.0 {
            Source::Lines(lines) => lines
                .iter()
                .find(|line| line.name.eq_ignore_ascii_case(name))
                .map(|line| line.value),
            Source::Map(map) => map.get(name).map(http::HeaderValue::as_bytes),
        }
    }

    /// The value of a header which must not be repeated, such as one that names the buyer.
    ///
    /// # Errors
    ///
    /// [`Repeated`] when there are two lines of that name, even equal ones.
    pub fn get_once(&self, name: &str) -> Result<Option<&'a [u8]>, Repeated> {
        let (first, more) = match self.0 {
            Source::Lines(lines) => {
                let mut found = lines.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
                (found.next().map(|line| line.value), found.next().is_some())
            }
            Source::Map(map) => {
                let mut found = map.get_all(name).iter();
                (
                    found.next().map(http::HeaderValue::as_bytes),
                    found.next().is_some(),
                )
            }
        };
        if more { Err(Repeated) } else { Ok(first) }
    }

    /// All header lines, as sent over HTTP/1.1, in lower case over HTTP/2.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let (lines, map) = match self.0 {
            Source::Lines(lines) => (lines, None),
            Source::Map(map) => (&[][..], Some(map)),
        };
        let lines = lines.iter().map(|line| (line.name, line.value));
        let map = map.into_iter().flat_map(HeaderMap::iter);
        lines.chain(map.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
}

impl<'a> From<&'a HeaderMap> for Headers<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Headers(Source::Map(map))
    }
}
