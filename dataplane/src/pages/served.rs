//! What is served as pages, by path.

use super::{Own, Page, sale, ticket};
use crate::signature::hex;
use flashsale_http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where pages stand of which the shop may bring its own.
const PLACES: [(&str, &str); 2] = [("sale.html", "/"), ("ticket.html", "/ticket")];
/// Where its other files stand.
const FILES: &str = "/pages/";
/// Copies are kept for a minute; an old one is shown while a new one is fetched, and for ten minutes if that fails.
const CACHE_CONTROL: &str = "public, max-age=60, stale-while-revalidate=60, stale-if-error=600";
/// What the shop's own pages may do is the shop's to say, in a `meta` element, but for this.
const OWN_POLICY: &str = "base-uri 'none'; frame-ancestors 'none'; object-src 'none'";

/// All pages as they are now.
#[derive(Debug, Default)]
pub struct Served {
    pages: BTreeMap<String, One>,
    /// The digest of all of it.
    version: String,
    /// The digest of the shop's own files among it; empty if there are none.
    own: String,
}

/// One page.
#[derive(Debug)]
pub struct One {
    /// The answer with it.
    pub response: Response,
    /// The answer to whoever has it.
    pub not_modified: Response,
    /// Its entity tag, with the quotes.
    pub etag: String,
    hits: AtomicU64,
}

/// What is served, for whoever tells a CDN (`/pages.json`).
#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    version: &'a str,
    own: &'a str,
    pages: Vec<ListedPage<'a>>,
}

#[derive(Debug, Serialize)]
struct ListedPage<'a> {
    path: &'a str,
    hits: u64,
}

impl Served {
    /// The built-in pages of a sale, and the shop's own in their place. Hits go on from those of `before`.
    #[must_use]
    pub fn new(name: &str, own: &Own, before: &Self) -> Self {
        let mut pages = BTreeMap::new();
        for (path, page) in [("/", sale(name)), ("/ticket", ticket(name))] {
            pages.insert(path.to_owned(), One::built_in(page));
        }
        for (file, bytes) in &own.files {
            let place = PLACES.iter().find(|(name, _)| name == file);
            let path = place.map_or_else(|| format!("{FILES}{file}"), |(_, path)| (*path).to_owned());
            pages.insert(path, One::own(name, file, bytes));
        }
        for (path, page) in &mut pages {
            if let Some(before) = before.pages.get(path) {
                page.hits = AtomicU64::new(before.hits.load(Ordering::Relaxed));
            }
        }
        let mut digest = Sha256::new();
        for (path, page) in &pages {
            digest.update(format!("{path} {}\n", page.etag));
        }
        Self {
            version: hex(&digest.finalize()[..8]),
            own: own.version(),
            pages,
        }
    }

    /// The digest of all of it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All pages by path.
    pub fn pages(&self) -> impl Iterator<Item = (&str, &One)> {
        self.pages.iter().map(|(path, page)| (path.as_str(), page))
    }

    /// The page of this path.
    #[must_use]
    pub fn page(&self, path: &str) -> Option<&One> {
        self.pages.get(path)
    }

    /// As it is shown.
    #[must_use]
    pub fn listed(&self) -> Listed<'_> {
        let pages = self.pages.iter().map(|(path, page)| ListedPage {
            path,
            hits: page.hits.load(Ordering::Relaxed),
        });
        Listed {
            version: &self.version,
            own: &self.own,
            pages: pages.collect(),
        }
    }
}

impl One {
    fn built_in(page: Page) -> Self {
        Self::new(
            "text/html; charset=utf-8",
            &page.content_security_policy,
            page.html.into_bytes(),
        )
    }

    /// In documents, `__SALE__` stands for the sale's name, as it does in the built-in ones.
    fn own(sale: &str, file: &str, bytes: &[u8]) -> Self {
        let kind = content_type(file);
        let body = match std::str::from_utf8(bytes) {
            Ok(text) if kind.starts_with("text/html") => super::named(text, sale).into_bytes(),
            _ => bytes.to_vec(),
        };
        Self::new(kind, OWN_POLICY, body)
    }

    fn new(kind: &'static str, policy: &str, body: Vec<u8>) -> Self {
        let etag = format!("\"{}\"", hex(&Sha256::digest(&body)[..8]));
        let mut not_modified = Response::new(StatusCode::NOT_MODIFIED)
            .header(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        let mut response = Response::new(StatusCode::OK);
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, CACHE_CONTROL),
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
        // Only Base64, hexadecimal digits and constants, so they are always valid header values.
        if let Ok(policy) = HeaderValue::from_str(policy) {
            response = response.header(header::CONTENT_SECURITY_POLICY, policy);
        }
        if let Ok(value) = HeaderValue::from_str(&etag) {
            response = response.header(header::ETAG, value.clone());
            not_modified = not_modified.header(header::ETAG, value);
        }
        Self {
            response: response.body(body),
            not_modified,
            etag,
            hits: AtomicU64::new(0),
        }
    }

    /// One more has asked for it.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is what the sender of `If-None-Match` has. A proxy that has packed it makes its tag a weak one.
    #[must_use]
    pub fn is_known(&self, if_none_match: &[u8]) -> bool {
        let mut tags = if_none_match.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes())
    }
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(files: &[(&str, &str)]) -> Own {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Own {
            files: files.collect(),
        }
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        let found = response.headers().iter().find(|(header, _)| header == name);
        found.unwrap().1.to_str().unwrap()
    }

    #[test]
    fn own_pages_stand_in_the_place_of_the_built_in_ones() {
        let built_in = Served::new("phone", &Own::default(), &Served::default());
        let paths: Vec<&str> = built_in.pages().map(|(path, _)| path).collect();
        assert_eq!(
            (paths.as_slice(), built_in.own.as_str()),
            (["/", "/ticket"].as_slice(), "")
        );

        built_in.pages["/"].hit();
        let files = own(&[
            ("sale.html", "<h1>__SALE__</h1>"),
            ("logo.svg", "<svg>__SALE__</svg>"),
        ]);
        let served = Served::new("phone", &files, &built_in);
        let paths: Vec<&str> = served.pages().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/", "/pages/logo.svg", "/ticket"]);
        assert_eq!(served.own, files.version());
        assert_ne!(served.version, built_in.version);
        assert_eq!(served.pages["/"].response.body_bytes(), "<h1>\"phone\"</h1>");
        assert_eq!(
            header(&served.pages["/"].response, "content-security-policy"),
            OWN_POLICY
        );
        let logo = &served.pages["/pages/logo.svg"];
        assert_eq!(logo.response.body_bytes(), "<svg>__SALE__</svg>");
        assert_eq!(header(&logo.response, "content-type"), "image/svg+xml");
        assert_eq!(header(&logo.response, "etag"), header(&logo.not_modified, "etag"));
        let listed = serde_json::to_value(served.listed()).unwrap();
        assert_eq!(listed["pages"][0], serde_json::json!({"path": "/", "hits": 1}));
    }

    #[test]
    fn whoever_has_a_page_is_told_so() {
        let served = Served::new("phone", &Own::default(), &Served::default());
        let page = &served.pages["/"];
        let (tag, weak) = (page.etag.as_bytes(), format!("\"other\", W/{}", page.etag));
        assert!(page.is_known(tag) && page.is_known(weak.as_bytes()) && page.is_known(b"*"));
        assert!(!page.is_known(b"\"other\"") && !page.is_known(b""));
    }
}
