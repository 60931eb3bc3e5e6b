//! Every way to say no, in one place: its name, status, words and headers.

use flashsale_core::ids::Millis;
use flashsale_http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;

/// An answer of kind `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    InvalidRequest(String),
    Unauthenticated(&'static str),
    ForgedSignature(&'static str),
    NotEntitled,
    UnknownSale,
    UnknownItem,
    UnknownTicket,
    UnknownOrder,
    NotFound,
    MethodNotAllowed { allow: &'static str },
    KeyConflict,
    NotCancellable,
    NotPayable(&'static str),
    PaymentConflict,
    RegistrationFull,
    SoldOut,
    SwitchedSoldOut,
    SalePaused,
    SaleClosed,
    LimitExceeded { limit: u32 },
    WrongAmount { expected: String },
    NotOpen { opens: Millis, now: Millis },
    RegistrationNotOpen(&'static str),
    TooManyRequests { wait_seconds: u64 },
    Busy,
    OutcomeUnknown,
}

/// How long a buyer who is told "busy" should wait, in seconds.
const BUSY_RETRY_SECONDS: u64 = 1;
/// How long one who is told "paused" should wait: nobody knows how long, and everybody comes back at once then.
const PAUSED_RETRY_SECONDS: u64 = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_time_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switched: Option<&'static str>,
}

impl Problem {
    /// The name at the end of the type, the status and the title.
    fn kind(&self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest(_) => ("invalid-request", S::BAD_REQUEST, "The request is not valid"),
            Self::Unauthenticated(_) => ("unauthenticated", S::UNAUTHORIZED, "Sign in first"),
            Self::ForgedSignature(_) => ("forged-signature", S::UNAUTHORIZED, "The signature is not right"),
            Self::NotEntitled => ("not-entitled", S::FORBIDDEN, "For registered buyers only"),
            Self::UnknownSale => ("unknown-sale", S::NOT_FOUND, "No such sale"),
            Self::UnknownItem => ("unknown-item", S::NOT_FOUND, "No such item"),
            Self::UnknownTicket => ("unknown-ticket", S::NOT_FOUND, "No such ticket"),
            Self::UnknownOrder => ("unknown-order", S::NOT_FOUND, "No such order"),
            Self::NotFound => ("not-found", S::NOT_FOUND, "Nothing is here"),
            Self::MethodNotAllowed { .. } => ("method-not-allowed", S::METHOD_NOT_ALLOWED, "Not this method"),
            Self::KeyConflict => (
                "key-conflict",
                S::CONFLICT,
                "The key was used for another purchase",
            ),
            Self::NotCancellable => ("not-cancellable", S::CONFLICT, "The order is paid"),
            Self::NotPayable(_) => ("not-payable", S::CONFLICT, "The order can't be paid now"),
            Self::PaymentConflict => (
                "payment-conflict",
                S::CONFLICT,
                "The payment id was used for something else",
            ),
            Self::RegistrationFull => ("registration-full", S::CONFLICT, "No more registrations"),
            Self::SoldOut | Self::SwitchedSoldOut => ("sold-out", S::GONE, "Sold out"),
            Self::SalePaused => ("sale-paused", S::SERVICE_UNAVAILABLE, "The sale is paused"),
            Self::SaleClosed => ("sale-closed", S::GONE, "The sale is over"),
            Self::LimitExceeded { .. } => (
                "limit-exceeded",
                S::UNPROCESSABLE_ENTITY,
                "More than one buyer may have",
            ),
            Self::WrongAmount { .. } => (
                "wrong-amount",
                S::UNPROCESSABLE_ENTITY,
                "Not what the order costs",
            ),
            Self::NotOpen { .. } => ("not-open", too_early(), "The sale is not open yet"),
            Self::RegistrationNotOpen(_) => {
                ("registration-not-open", too_early(), "Registration is not open")
            }
            Self::TooManyRequests { .. } => ("too-many-requests", S::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Busy => ("busy", S::SERVICE_UNAVAILABLE, "Busy"),
            Self::OutcomeUnknown => (
                "outcome-unknown",
                S::SERVICE_UNAVAILABLE,
                "The outcome is not known yet",
            ),
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::InvalidRequest(detail) => detail,
            Self::Unauthenticated(detail)
            | Self::ForgedSignature(detail)
            | Self::NotPayable(detail)
            | Self::RegistrationNotOpen(detail) => detail,
            Self::NotEntitled => "The sale takes buyers who registered ahead; nothing was taken.",
            Self::UnknownSale => "There is no sale of this name here.",
            Self::UnknownItem => "The sale has no item with this id; nothing was taken.",
            Self::UnknownTicket => "There is no such ticket of yours.",
            Self::UnknownOrder => "There is no order with this id.",
            Self::NotFound => "Nothing is at this address; the calls are listed at /openapi.json.",
            Self::MethodNotAllowed { allow } => {
                return Cow::Owned(format!("Here one can only use {allow}."));
            }
            Self::KeyConflict => {
                "This Idempotency-Key was used with another item or quantity; that purchase stands. \
                 Use a new key for a new purchase."
            }
            Self::NotCancellable => "A paid order can't be cancelled here; ask the shop for a refund.",
            Self::PaymentConflict => "This payment id was reported for another order or amount before.",
            Self::RegistrationFull => "As many buyers as the sale allows have registered.",
            Self::SoldOut => "No unit is free now; nothing was taken and nothing is owed.",
            Self::SwitchedSoldOut => {
                "The shop has switched the sale to sold out: this request took nothing. A ticket that you have stands."
            }
            Self::SalePaused => {
                "The shop has paused the sale: this request took nothing. Try again after Retry-After, with the same \
                 Idempotency-Key: if an earlier try of yours was taken, you get its ticket then."
            }
            Self::SaleClosed => "The sale is over; nothing was taken.",
            Self::LimitExceeded { limit } => {
                return Cow::Owned(format!(
                    "One buyer may have at most {limit} of this item; nothing was taken."
                ));
            }
            Self::WrongAmount { expected } => return Cow::Owned(format!("The order costs {expected}.")),
            Self::NotOpen { .. } => "The sale opens at openTimeMs; nothing was taken.",
            Self::TooManyRequests { .. } => "Slow down and try again after Retry-After; nothing was taken.",
            Self::Busy => "Too much is going on; try again after Retry-After. Nothing was taken.",
            Self::OutcomeUnknown => {
                "The answer did not come in time. Ask again with the same Idempotency-Key to get the same ticket."
            }
        })
    }

    /// Its HTTP answer.
    pub(super) fn response(&self) -> Response {
        let (name, status, title) = self.kind();
        let mut body = Body {
            r#type: format!("https://flashsale.dev/problems/{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail(),
            open_time_ms: None,
            wait_ms: None,
            limit: None,
            switched: None,
        };
        match self {
            Self::NotOpen { opens, now } => {
                body.open_time_ms = Some(*opens);
                body.wait_ms = Some(opens.saturating_sub(*now));
            }
            Self::LimitExceeded { limit } => body.limit = Some(*limit),
            Self::SwitchedSoldOut => body.switched = Some("entry.soldOut"),
            Self::SalePaused => body.switched = Some("sale.paused"),
            _ => {}
        }
        // Only strings and numbers: there is nothing in it that could fail to be written.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let response = with_api_headers(Response::problem(status, json));
        match self.header() {
            Some((name, value)) => response.header(name, value),
            None => response,
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let retry = |seconds: u64| Some((header::RETRY_AFTER, HeaderValue::from(seconds)));
        match self {
            Self::NotOpen { opens, now } => retry(opens.saturating_sub(*now).div_ceil(1000).max(1)),
            Self::TooManyRequests { wait_seconds } => retry((*wait_seconds).max(1)),
            Self::Busy | Self::OutcomeUnknown => retry(BUSY_RETRY_SECONDS),
            Self::SalePaused => retry(PAUSED_RETRY_SECONDS),
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, HeaderValue::from_static(allow))),
            Self::Unauthenticated(_) => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        }
    }
}

/// What every answer of the API carries: it is this buyer's alone, and it is what it says it is.
pub(super) fn with_api_headers(response: Response) -> Response {
    response
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        )
}

fn too_early() -> StatusCode {
    StatusCode::from_u16(425).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_type_status_and_when_to_come_back() {
        let response = Problem::NotOpen {
            opens: 5_500,
            now: 1_000,
        }
        .response();
        let body: serde_json::Value = serde_json::from_slice(response.body_bytes()).unwrap();
        assert_eq!(response.status().as_u16(), 425);
        assert_eq!(body["type"], "https://flashsale.dev/problems/not-open");
        assert_eq!(
            (&body["openTimeMs"], &body["waitMs"]),
            (&5_500.into(), &4_500.into())
        );
        assert!(
            response
                .headers()
                .contains(&(header::RETRY_AFTER, HeaderValue::from(5)))
        );
    }
}
