//! Reading the head of an HTTP/1 request, strictly.
//!
//! Whatever two servers could understand differently is refused here, so that this server never disagrees with a
//! proxy before it on where a request ends.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::limits::MAX_HEADERS;
use crate::problem::Refusal;
use crate::{Method, Version};

/// Room for the header lines of one request.
pub(crate) type Lines<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

/// A checked request head.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    pub(crate) method: Method,
    pub(crate) path: &'b str,
    pub(crate) query: Option<&'b str>,
    pub(crate) version: Version,
    pub(crate) headers: &'h [Header<'b>],
    /// The bytes of the head, its empty line included.
    pub(crate) len: usize,
    pub(crate) framing: BodyFraming,
    /// Whether the client wants another request on this connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    Length(usize),
    Chunked,
}

/// Reads a head from the beginning of `bytes`; nothing if it isn't whole yet.
///
/// # Errors
///
/// A refusal if it can't become a valid head within `head_bytes`.
pub(crate) fn parse<'h, 'b>(
    bytes: &'b [u8],
    lines: &'h mut Lines<'b>,
    head_bytes: usize,
) -> Result<Option<Head<'h, 'b>>, Refusal> {
    const TOO_LARGE: Refusal =
        Refusal::HeadTooLarge("Send a shorter request line and fewer or shorter headers.");
    let mut request = httparse::Request::new(&mut []);
    let bytes = &bytes[..bytes.len().min(head_bytes)];
    let len = match request.parse_with_uninit_headers(bytes, lines) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < head_bytes => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(TOO_LARGE),
        Err(error) => return Err(refusal(error)),
    };
    if has_bare_line_feed(&bytes[..len]) {
        return Err(Refusal::Malformed("A line of the head ends in LF without CR."));
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed("The request line is incomplete."));
    };
    let version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let (path, query) = split_target(target)?;
    let headers: &'h [Header<'b>] = request.headers;
    let marks = Marks::read(headers, version)?;
    Ok(Some(Head {
        method: Method::parse(method),
        path,
        query,
        version,
        headers,
        len,
        framing: marks.framing()?,
        keep_alive: version == Version::Http11 && !marks.close,
        expects_continue: version == Version::Http11 && marks.expects_continue,
    }))
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge("Send at most 32 header lines."),
        httparse::Error::Version => Refusal::Malformed("The version must be HTTP/1.0, HTTP/1.1 or HTTP/2."),
        httparse::Error::HeaderName => {
            Refusal::Malformed("A header line has no valid name before its colon.")
        }
        httparse::Error::HeaderValue => {
            Refusal::Malformed("A header value has a character that is not allowed.")
        }
        httparse::Error::NewLine => Refusal::Malformed("A line of the head does not end in CR LF."),
        _ => Refusal::Malformed("The request line must be: method, one space, target, one space, version."),
    }
}

/// The parser takes a lone LF for a line end, as some servers do and others don't.
fn has_bare_line_feed(head: &[u8]) -> bool {
    // No early exit and only bits to combine, so that the compiler makes it many bytes at a time.
    let pairs = head.iter().zip(&head[1..]);
    let bare = pairs.fold(false, |bare, (a, b)| bare | ((*b == b'\n') & (*a != b'\r')));
    bare | (head.first() == Some(&b'\n'))
}

/// Takes scheme and authority off an absolute target, and the query off the path.
fn split_target(target: &str) -> Result<(&str, Option<&str>), Refusal> {
    if !target.is_ascii() {
        return Err(Refusal::Malformed(
            "The request target has a character that is not allowed.",
        ));
    }
    let target = if target.starts_with('/') || target == "*" {
        target
    } else {
        without_authority(target)?
    };
    Ok(match target.split_once('?') {
        Some((path, query)) => (if path.is_empty() { "/" } else { path }, Some(query)),
        None => (if target.is_empty() { "/" } else { target }, None),
    })
}

fn without_authority(target: &str) -> Result<&str, Refusal> {
    const WRONG: Refusal = Refusal::Malformed("The request target must start with a slash.");
    let (scheme, rest) = target.split_once("://").ok_or(WRONG)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(WRONG);
    }
    Ok(&rest[rest.find(['/', '?']).unwrap_or(rest.len())..])
}

/// What the header lines say about the connection and the body.
#[derive(Default)]
struct Marks {
    hosts: u32,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    expects_continue: bool,
}

impl Marks {
    fn read(headers: &[Header<'_>], version: Version) -> Result<Self, Refusal> {
        let mut marks = Marks::default();
        for header in headers {
            marks.line(header, version)?;
        }
        if marks.hosts > 1 || (marks.hosts == 0 && version == Version::Http11) {
            return Err(Refusal::Malformed("Send exactly one Host header."));
        }
        Ok(marks)
    }

    fn line(&mut self, header: &Header<'_>, version: Version) -> Result<(), Refusal> {
        // The length of the name rules out nearly all lines before any character is compared.
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => self.hosts += 1,
            6 if is("expect") => self.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue"),
            10 if is("connection") => {
                let mut tokens = header.value.split(|byte| *byte == b',');
                self.close |= tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(Refusal::Malformed("Send Content-Length once."));
                }
                self.length = Some(decimal(header.value)?);
            }
            17 if is("transfer-encoding") => {
                if version == Version::Http10 {
                    return Err(Refusal::Malformed("HTTP/1.0 has no Transfer-Encoding."));
                }
                if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Malformed(
                        "The only Transfer-Encoding understood is: chunked.",
                    ));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self) -> Result<BodyFraming, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::Malformed(
                "Send Content-Length or Transfer-Encoding, not both.",
            )),
            (true, None) => Ok(BodyFraming::Chunked),
            (false, length) => Ok(BodyFraming::Length(length.unwrap_or(0))),
        }
    }
}

/// Digits only: no sign, no list, no white space. A number too large to hold is as good as the largest.
fn decimal(value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Malformed("Content-Length must be a decimal number."));
    }
    Ok(value.iter().fold(0_usize, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    }))
}
