//! Responses: one HTTP/1.1 answer out of a buffer, and the JSON bodies the crowd understands.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Response headers at most; more is taken for a broken answer.
const HEADERS_MAX: usize = 48;
/// Bytes of one response at most.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// One answer, borrowed from the connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// `Retry-After` in seconds.
    pub(crate) retry_after: Option<u32>,
    /// The server closes the connection after this answer.
    pub(crate) close: bool,
    pub(crate) body: &'a [u8],
}

/// What lies at the front of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    /// Not a whole answer yet.
    Partial,
    /// An answer and the bytes it takes up.
    Whole(Answer<'a>, usize),
    /// Nothing that can be understood; the connection is of no more use.
    Broken(&'static str),
}

/// Reads one answer. Bodies need `Content-Length`: the API never streams what the crowd asks for.
pub(crate) fn front(input: &[u8]) -> Front<'_> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if input.len() > ANSWER_BYTES_MAX => {
            return Front::Broken("an endless head");
        }
        Ok(httparse::Status::Partial) => return Front::Partial,
        Err(_) => return Front::Broken("not HTTP/1.1"),
    };
    let status = response.code.unwrap_or(0);
    let (mut length, mut retry_after, mut close) = (None, None, false);
    for header in &*response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = number(header.value);
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            retry_after = number(header.value).and_then(|n| u32::try_from(n).ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let length = match length {
        Some(length) if length <= ANSWER_BYTES_MAX => length,
        Some(_) => return Front::Broken("a body too large"),
        None if status == 204 || status == 304 => 0,
        None => return Front::Broken("a body without Content-Length"),
    };
    match input.get(head..head + length) {
        Some(body) => Front::Whole(
            Answer {
                status,
                retry_after,
                close,
                body,
            },
            head + length,
        ),
        None => Front::Partial,
    }
}

fn number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The state of a ticket as the API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketState {
    /// In line; no promise.
    Queued,
    /// The reservation is durable.
    Reserved,
    /// There is an order with a payment deadline.
    Ordered,
    /// Final: paid.
    Paid,
    /// Final: cancelled or unpaid.
    Closed,
    /// Final: nothing was taken and nothing is owed.
    Failed,
}

impl TicketState {
    /// How far along; a ticket never goes back.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Reserved => 1,
            Self::Ordered => 2,
            Self::Paid | Self::Closed | Self::Failed => 3,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reserved => "reserved",
            Self::Ordered => "ordered",
            Self::Paid => "paid",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }

    /// Shown to a buyer, this state is a promise (or was one that has been kept).
    pub(crate) fn is_promise(self) -> bool {
        matches!(self, Self::Reserved | Self::Ordered | Self::Paid)
    }

    pub(crate) fn is_final(self) -> bool {
        self.rank() == 3
    }
}

/// A ticket in an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TicketView<'a> {
    #[serde(borrow)]
    pub(crate) ticket: Cow<'a, str>,
    pub(crate) state: TicketState,
    #[serde(borrow, default)]
    pub(crate) reason: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) position: Option<u64>,
    #[serde(default)]
    pub(crate) wait_seconds: Option<f64>,
    #[serde(borrow, default)]
    pub(crate) order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) amount: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) currency: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) pay_by_ms: Option<u64>,
}

/// A problem in an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) wait_ms: Option<u64>,
}

impl<'a> Problem<'a> {
    /// Whatever the body is, a problem comes out; without a type it is called `unknown`.
    pub(crate) fn of(body: &'a [u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The last part of the type, such as `sold-out`.
    pub(crate) fn name(&self) -> &str {
        let name = self.kind.rsplit('/').next().unwrap_or_default();
        if name.is_empty() { "unknown" } else { name }
    }
}

/// The answer to a payment callback.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentView<'a> {
    #[serde(borrow)]
    pub(crate) result: Cow<'a, str>,
}

/// The sale, as far as the crowd looks at it.
#[derive(Debug, Deserialize)]
pub(crate) struct SaleView<'a> {
    #[serde(borrow)]
    pub(crate) phase: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) items: Vec<SaleItemView<'a>>,
}

/// An item of the sale.
#[derive(Debug, Deserialize)]
pub(crate) struct SaleItemView<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) availability: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLD_OUT: &[u8] =
        b"HTTP/1.1 410 Gone\r\ncontent-type: application/problem+json\r\nRetry-After: 3\r\n\
        Content-Length: 54\r\n\r\n{\"type\":\"https://flashsale.dev/problems/sold-out\",\"x\":1}";

    #[test]
    fn an_answer_cut_anywhere_is_partial_and_whole_at_its_last_byte() {
        let input = String::from_utf8_lossy(SOLD_OUT).replace("54", "56").into_bytes();
        for cut in 0..input.len() {
            assert_eq!(front(&input[..cut]), Front::Partial, "cut at {cut}");
        }
        let two = [&input[..], b"HTTP/1.1 200"].concat();
        let Front::Whole(answer, used) = front(&two) else {
            panic!("whole")
        };
        assert_eq!(
            (answer.status, answer.retry_after, answer.close, used),
            (410, Some(3), false, input.len())
        );
        assert_eq!(Problem::of(answer.body).name(), "sold-out");
    }

    #[test]
    fn a_body_of_unknown_length_is_refused() {
        assert_eq!(
            front(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Front::Broken("a body without Content-Length")
        );
        assert_eq!(front(b"SSH-2.0\r\n\r\n"), Front::Broken("not HTTP/1.1"));
    }

    #[test]
    fn a_ticket_of_the_api_is_understood() {
        let body = br#"{"ticket":"t1","sale":"s","item":"i","quantity":1,"state":"ordered","reason":null,
            "position":null,"ahead":null,"waitSeconds":null,"orderId":"o-1","amount":"699.00","currency":"EUR",
            "payByMs":12,"links":{"self":"/v1/tickets/t1"}}"#;
        let view: TicketView<'_> = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (view.state, view.order_id.as_deref(), view.pay_by_ms),
            (TicketState::Ordered, Some("o-1"), Some(12))
        );
    }
}
