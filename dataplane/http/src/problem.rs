//! The refusals this layer makes itself, before a service is asked.

use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::Response;

/// Why a request is refused by the server. On HTTP/1.1 the connection is closed after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400; the text says what is wrong.
    Malformed(&'static str),
    /// 431; the text says which bound was passed.
    HeadTooLarge(&'static str),
    /// 413.
    BodyTooLarge,
    /// 408; the text says what was waited for.
    TooSlow(&'static str),
    /// 503: this thread, or this client, has too many connections.
    TooManyConnections,
}

impl Refusal {
    pub(crate) fn response(self) -> Response {
        let (status, name, title, detail) = match self {
            Refusal::Malformed(detail) => (
                StatusCode::BAD_REQUEST,
                "invalid-request",
                "The request is not valid",
                detail,
            ),
            Refusal::HeadTooLarge(detail) => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "The request's headers are too large",
                detail,
            ),
            Refusal::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request's body is too large",
                "Send a smaller body; nothing was taken.",
            ),
            Refusal::TooSlow(detail) => (
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request came too slowly",
                detail,
            ),
            Refusal::TooManyConnections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too many connections",
                "Use fewer connections or try again shortly; nothing was taken.",
            ),
        };
        // All texts are constants without quotes or backslashes, so they need no escaping.
        let body = format!(
            r#"{{"type":"https://flashsale.dev/problems/{name}","title":"{title}","status":{},"detail":"{detail}"}}"#,
            status.as_u16()
        );
        let response =
            Response::problem(status, body).header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Refusal::TooManyConnections => response.header(RETRY_AFTER, HeaderValue::from_static("1")),
            _ => response,
        }
    }
}
