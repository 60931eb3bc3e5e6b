//! A request kept while the shop's keys are fetched.

use flashsale_http::{HeaderMap, HeaderName, HeaderValue, Headers, Method, Request, Version};
use std::net::SocketAddr;

/// A copy of a request.
pub(super) struct Owned {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
    peer: SocketAddr,
    version: Version,
}

impl Owned {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers.iter() {
            // What was parsed is valid; were it not, the buyer would only be asked to sign in.
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                headers.append(name, value);
            }
        }
        Self {
            method: request.method,
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            headers,
            body: request.body.to_vec(),
            peer: request.peer,
            version: request.version,
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: Headers::from(&self.headers),
            body: &self.body,
            peer: self.peer,
            version: self.version,
        }
    }
}
