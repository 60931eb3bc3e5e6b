//! What is served as it is: the pages and the description of the API.

use crate::pages::{One, Published, Served};
use flashsale_http::{HeaderValue, Prepared, Reply, Request, Response, StatusCode, header};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

const OPENAPI: &str = include_str!("../../openapi/openapi.json");

/// Prepared once for each thread, so that threads don't share a count of references.
pub(super) struct Pages {
    pub(super) openapi: Arc<Prepared>,
    prepared: RefCell<PreparedPages>,
}

#[derive(Default)]
struct PreparedPages {
    /// What they were prepared from.
    of: Arc<Served>,
    by_path: BTreeMap<String, PreparedPage>,
}

struct PreparedPage {
    whole: Arc<Prepared>,
    not_modified: Arc<Prepared>,
}

impl Pages {
    pub(super) fn new() -> Self {
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
            openapi: Arc::new(openapi.into()),
            prepared: RefCell::default(),
        }
    }

    /// The page of this path, if there is one; for whoever has it already, only that it is still the same.
    pub(super) fn answer(&self, published: &Published, path: &str, request: &Request<'_>) -> Option<Reply> {
        let mut prepared = self.prepared.borrow_mut();
        if !published.is(&prepared.of) {
            *prepared = PreparedPages::of(published.load());
        }
        let (page, one) = (prepared.by_path.get(path)?, prepared.of.page(path)?);
        one.hit();
        let known = request
            .headers
            .get("if-none-match")
            .is_some_and(|tags| one.is_known(tags));
        let answer = if known { &page.not_modified } else { &page.whole };
        Some(answer.clone().into())
    }
}

impl PreparedPages {
    fn of(served: Arc<Served>) -> Self {
        let prepared = |page: &One| PreparedPage {
            whole: Arc::new(page.response.clone().into()),
            not_modified: Arc::new(page.not_modified.clone().into()),
        };
        let by_path = served
            .pages()
            .map(|(path, page)| (path.to_owned(), prepared(page)));
        Self {
            by_path: by_path.collect(),
            of: served,
        }
    }
}
