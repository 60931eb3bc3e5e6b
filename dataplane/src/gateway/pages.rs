//! What is served as it is: the pages and the description of the API.

use crate::pages::{self, Page};
use flashsale_http::{HeaderName, HeaderValue, Prepared, Response, StatusCode, header};
use std::sync::Arc;

const OPENAPI: &str = include_str!("../../openapi/openapi.json");

/// Prepared once for each thread, so that threads don't share a count of references.
pub(super) struct Pages {
    pub(super) sale: Arc<Prepared>,
    pub(super) ticket: Arc<Prepared>,
    pub(super) openapi: Arc<Prepared>,
}

impl Pages {
    pub(super) fn of(sale: &str) -> Self {
        let openapi = Response::json(StatusCode::OK, OPENAPI.as_bytes())
            .header(
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=60"),
            )
            .header(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
        Self {
            sale: Arc::new(response(pages::sale(sale)).into()),
            ticket: Arc::new(response(pages::ticket(sale)).into()),
            openapi: Arc::new(openapi.into()),
        }
    }
}

/// The answer with a page, with the headers that keep it to itself.
#[must_use]
pub fn response(page: Page) -> Response {
    let mut response = Response::new(StatusCode::OK);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=60"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        response = response.header(name, HeaderValue::from_static(value));
    }
    // Only Base64 and constants, so it is always a valid header value.
    if let Ok(policy) = HeaderValue::from_str(&page.content_security_policy) {
        response = response.header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.body(page.html.into_bytes())
}
