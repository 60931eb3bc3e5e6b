//! Until when each field may change, in words, for the reference; the rules in [`super::locks`] hold it.

/// Fields of a sale's spec with what their locks say; the longest match counts, what isn't listed may always change.
const SALE: &[(&str, &str)] = &[
    ("openTime", "until armed; armed: later only; open: no"),
    ("closeTime", "until open; open: later only; closed: no"),
    ("registration", "until armed"),
    ("className", "until provisioned"),
    ("currency", "until loading"),
    ("items", "add and remove until loading"),
    ("items[].id", "until loading"),
    ("items[].title", "always"),
    ("items[].sku", "until armed"),
    ("items[].price", "until armed"),
    ("items[].stock", "until loading; then up only; closed: no"),
    ("items[].limitPerBuyer", "until armed"),
    ("itemsFrom", "until loading"),
    ("entry.host", "until provisioned"),
    ("buyers", "until armed"),
    ("admission", "until loading"),
    ("orders.paymentTimeout", "always, for new orders"),
    ("dataPlane.shards", "until loading"),
    ("dataPlane.rooms", "until loading"),
    ("teardown", "until settling"),
    ("cancellation", "set once, until closed"),
];

/// Until when a field of a kind's spec may change.
pub(crate) fn changeable(kind: &str, path: &str) -> &'static str {
    match (kind, path) {
        ("FlashSaleSwitch", "expiresAfter") => "until expired",
        ("FlashSaleSwitch", _) | ("FlashSaleClass", "controllerName") => "never",
        ("FlashSaleClass", _) => "for new sales",
        _ => {
            let covers = |lock: &str| {
                path.strip_prefix(lock)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let locks = SALE.iter().filter(|(lock, _)| covers(lock));
            locks
                .max_by_key(|(lock, _)| lock.len())
                .map_or("always", |(_, words)| words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rules::rules, sale::FlashSaleSpec};

    #[test]
    fn the_closest_lock_counts() {
        assert_eq!(changeable("FlashSale", "items[].title"), "always");
        assert_eq!(changeable("FlashSale", "buyers.jwt.issuer"), "until armed");
        assert_eq!(changeable("FlashSale", "dataPlane.gateways.replicas"), "always");
    }

    /// Whoever adds a lock must say it on the page, and whoever says one must hold it.
    #[test]
    fn the_words_and_the_locks_name_the_same_fields() {
        let locks: Vec<String> = rules::<FlashSaleSpec>()
            .into_iter()
            .filter(|rule| rule.at.is_empty() && rule.rule.contains("oldSelf.spec"))
            .filter_map(|rule| rule.field)
            .collect();
        for (field, _) in SALE.iter().filter(|(field, _)| !field.contains('[')) {
            assert!(
                locks.contains(&format!(".spec.{field}")) || *field == "orders.paymentTimeout",
                "no lock on {field}"
            );
        }
        for lock in locks {
            let field = lock.trim_start_matches(".spec.");
            assert!(
                SALE.iter().any(|(known, _)| *known == field),
                "{field} is locked but not in the words"
            );
        }
    }
}
