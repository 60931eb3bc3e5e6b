//! The patterns that texts in the resources must match, each with words for a person.

use std::sync::LazyLock;

use regex::Regex;

/// The name of another object, in form only: whether there is one, or can be, is seen when it is looked for.
pub(crate) const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// A host or domain: labels joined by dots.
pub(crate) const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A sale's name. What belongs to it is called `<sale>-…`, and a Service's name must begin with a letter.
pub(crate) const SALE_NAME: &str = r"^[a-z]([-a-z0-9]*[a-z0-9])?$";
/// A single label of such a name.
pub(crate) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A currency's code, in form only.
pub(crate) const CURRENCY: &str = r"^[A-Z]{3}$";
/// An item's id.
pub(crate) const ITEM_ID: &str = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$";
/// A decimal amount of money.
pub(crate) const PRICE: &str = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?$";
/// A duration in whole units.
pub(crate) const DURATION: &str = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// A key in a Secret or ConfigMap.
pub(crate) const DATA_KEY: &str = r"^[-._a-zA-Z0-9]+$";
/// An address that is called: TLS, without credentials or fragment.
pub(crate) const HTTPS_URL: &str = r"^https://[^\s@#]+$";
/// A SHA-256 digest in hex.
pub(crate) const SHA256: &str = r"^[0-9a-f]{64}$";
/// The name of an HTTP header.
pub(crate) const HEADER: &str = r"^[A-Za-z0-9-]+$";

/// The name of a controller, with the domain of whoever made it.
pub(crate) const CONTROLLER_NAME: &str = r"^[a-z0-9.-]+/[a-zA-Z0-9./_-]+$";
/// Where Pulsar serves clients.
pub(crate) const PULSAR_URL: &str = r"^pulsar(\+ssl)?://[^\s@]+$";
/// Where Pulsar serves administrators.
pub(crate) const ADMIN_URL: &str = r"^https?://[^\s@]+$";
/// A tenant of Pulsar.
pub(crate) const TENANT: &str = r"^[-_.:=a-zA-Z0-9]+$";
/// A size of storage or memory in whole binary units.
pub(crate) const SIZE: &str = r"^[0-9]+(Ki|Mi|Gi|Ti)$";
/// An amount of processor time in cores or thousandths of one.
pub(crate) const CPU: &str = r"^([0-9]{1,4}|[0-9]{1,6}m)$";
/// A host name, or all hosts below one.
pub(crate) const HOST_PATTERN: &str = r"^(\*\.)?[a-z0-9.-]+$";

/// A pattern, compiled, with what it asks for.
pub(crate) struct Pattern {
    source: &'static str,
    regex: Regex,
    /// What is wrong and the mend; continues the sentence `"…" …`.
    pub(crate) mend: &'static str,
}

impl Pattern {
    /// Whether the text matches.
    pub(crate) fn takes(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let pattern = |source, mend| {
        let regex = Regex::new(source).expect("constant patterns, all compiled in a test");
        Pattern { source, regex, mend }
    };
    vec![
        pattern(
            OBJECT_NAME,
            "is no object name; use lower-case letters, digits, `-` and `.`",
        ),
        pattern(
            DNS_SUBDOMAIN,
            "is no host or domain; use lower-case letters, digits and `-` in parts joined by `.`",
        ),
        pattern(
            SALE_NAME,
            "is no name of a sale; begin with a letter, go on with lower-case letters, digits and `-`, end with no `-`",
        ),
        pattern(
            DNS_LABEL,
            "is no label; use lower-case letters, digits and `-`, with a letter or digit at both ends",
        ),
        pattern(
            CURRENCY,
            "is no currency code; write three capital letters such as EUR",
        ),
        pattern(
            ITEM_ID,
            "is no item id; use lower-case letters, digits, `.`, `_` and `-`, with a letter or digit at both ends",
        ),
        pattern(
            PRICE,
            "is no price; write up to 12 digits with a decimal point, such as \"699.00\": no sign, separators or leading zeros",
        ),
        pattern(
            DURATION,
            "is no duration; write whole numbers with h, m, s or ms, such as \"1h30m\" or \"90s\"",
        ),
        pattern(
            DATA_KEY,
            "is no key of a Secret or ConfigMap; use letters, digits, `-`, `_` and `.`",
        ),
        pattern(
            HTTPS_URL,
            "is no address this can call; write https://… without blanks, user name, password or fragment",
        ),
        pattern(
            SHA256,
            "is no SHA-256 digest; write its 64 hex digits in lower case",
        ),
        pattern(HEADER, "is no header name; use letters, digits and `-`"),
        pattern(
            CONTROLLER_NAME,
            "is no controller name; write a domain, `/` and a name, such as \"flashsale.dev/operator\"",
        ),
        pattern(
            PULSAR_URL,
            "is no address of Pulsar; write pulsar://… or pulsar+ssl://… without blanks, user name or password",
        ),
        pattern(
            ADMIN_URL,
            "is no address of Pulsar's admin API; write https://… or http://… without blanks, user name or password",
        ),
        pattern(
            TENANT,
            "is no tenant of Pulsar; use letters, digits, `-`, `_`, `.`, `:` and `=`",
        ),
        pattern(
            SIZE,
            "is no size; write a whole number with Ki, Mi, Gi or Ti, such as \"2Gi\"",
        ),
        pattern(
            CPU,
            "is no amount of processor time; write whole cores such as \"2\", or thousandths such as \"500m\"",
        ),
        pattern(
            HOST_PATTERN,
            "is no host name; write \"sale.example\", or \"*.sale.example\" for all below it",
        ),
    ]
});

/// The pattern with this source, if it is one of ours.
pub(crate) fn pattern(source: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.source == source)
}

/// Whether this is a plain-text address of this very machine, which only a sale served by one process may call.
///
/// In a cluster such an address would be the pod's own, where the admin ports listen.
pub(crate) fn is_loopback_http(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    if rest.contains(|character: char| character.is_whitespace() || character == '@' || character == '#') {
        return false;
    }
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_is_found_by_its_source() {
        assert!(PATTERNS.iter().all(|each| pattern(each.source).is_some()));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://localhost",
            "http://127.0.0.1:8080/hook",
            "http://[::1]:9/x?y",
            "http://[::1]",
        ] {
            assert!(is_loopback_http(url), "{url}");
        }
        for url in [
            "https://localhost",
            "http://shop.example",
            "http://127.0.0.1.evil.example/",
            "http://localhost@evil.example/",
            "http://evil.example/@localhost",
            "http://localhost:8080:80/",
            "http://127.0.0.1\\@evil.example/",
        ] {
            assert!(!is_loopback_http(url), "{url}");
        }
    }
}
