//! The pages. Those that are built in are composed once: each one file without outside resources, with the policy that
//! allows exactly its own script and style. The shop's own stand in their place.

mod own;
mod publish;
mod served;

pub use own::{Own, version};
pub use publish::Published;
pub(crate) use publish::{keep, publish};
pub use served::{Listed, One, Served};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../pages/style.css");
const COMMON: &str = include_str!("../pages/common.js");

/// A page, ready to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The document.
    pub html: String,
    /// The `Content-Security-Policy` to serve it with.
    pub content_security_policy: String,
}

/// The sale page.
#[must_use]
pub fn sale(name: &str) -> Page {
    compose(include_str!("../pages/sale.html"), name)
}

/// The waiting page.
#[must_use]
pub fn ticket(name: &str) -> Page {
    compose(include_str!("../pages/ticket.html"), name)
}

/// The live page.
#[must_use]
pub fn live(name: &str) -> Page {
    compose(include_str!("../pages/live.html"), name)
}

fn compose(page: &str, sale: &str) -> Page {
    let html = page
        .replace("/*{{style.css}}*/", STYLE)
        .replace("/*{{common.js}}*/", COMMON);
    let html = named(&html, sale);
    let (script, style) = (hash(&html, "script"), hash(&html, "style"));
    let content_security_policy = format!(
        "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page {
        html,
        content_security_policy,
    }
}

/// A document with the sale's name, as a JSON string, for each `__SALE__`.
fn named(html: &str, sale: &str) -> String {
    // A sale's name is a DNS label: nothing in it needs escaping, neither as JSON nor in HTML.
    let name = sale.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "");
    html.replace("__SALE__", &format!("\"{name}\""))
}

/// The source expression that allows the page's one inline block of this tag.
fn hash(html: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let inside = html
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close))
        .map(|(block, _)| block);
    inside.map_or_else(
        || "'none'".to_owned(),
        |block| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(block.as_bytes()))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_whole_and_allows_its_own_blocks() {
        for page in [sale("phone-launch"), ticket("phone-launch"), live("phone-launch")] {
            assert!(!page.html.contains("{{") && !page.html.contains("__SALE__"));
            assert_eq!(page.content_security_policy.matches("'sha256-").count(), 2);
            assert_eq!(
                (
                    page.html.matches("<script").count(),
                    page.html.matches("<style").count()
                ),
                (1, 1)
            );
        }
    }
}
