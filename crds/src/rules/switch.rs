//! Rules of the FlashSaleSwitch.

use super::{Rule, class::selector, formats, within};

pub(super) fn rules() -> Vec<Rule> {
    [
        within("spec", spec()),
        within("spec.set", groups()),
        within("spec.saleSelector", selector()),
        vec![object()],
        formats::durations("spec", formats::SWITCH_DURATIONS),
    ]
    .concat()
}

fn object() -> Rule {
    Rule::new(
        "expired-is-final",
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase != 'Expired' || self.spec.expiresAfter == oldSelf.spec.expiresAfter",
        "expiresAfter can't revive a switch that has expired; create another FlashSaleSwitch",
    )
    .field(".spec.expiresAfter")
    .forbidden()
}

fn fixed(name: &'static str, field: &str, mend: &str) -> Rule {
    let same = format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    );
    Rule::new(name, same, format!("{field} can't be changed; {mend}"))
        .field(format!(".{field}"))
        .forbidden()
}

fn spec() -> Vec<Rule> {
    vec![
        Rule::new(
            "sale-given",
            "has(self.saleName) || has(self.saleSelector)",
            "saleName is missing; add saleName, or saleSelector ({} is every sale of the namespace)",
        )
        .field(".saleName")
        .required(),
        Rule::new(
            "sale-once",
            "!has(self.saleName) || !has(self.saleSelector)",
            "saleSelector stands beside saleName; keep one of the two",
        )
        .field(".saleSelector")
        .forbidden(),
        fixed(
            "set-fixed",
            "set",
            "delete this FlashSaleSwitch and create another",
        ),
        fixed(
            "sale-name-fixed",
            "saleName",
            "create another FlashSaleSwitch for the other sale",
        ),
        fixed(
            "sale-selector-fixed",
            "saleSelector",
            "create another FlashSaleSwitch for the other sales",
        ),
        fixed(
            "reason-fixed",
            "reason",
            "it is part of the record: create another FlashSaleSwitch",
        ),
        fixed(
            "actor-fixed",
            "actor",
            "it is part of the record: create another FlashSaleSwitch",
        ),
        Rule::new(
            "reason-written",
            "self.matches('[^ ].*[^ ]')",
            "reason is blank; say why, for the report and for whoever is on duty next",
        )
        .at("reason"),
    ]
}

/// Each group of switches that is named sets at least one of its own.
fn groups() -> Vec<Rule> {
    let group = |name: &'static str, group: &str, switches: &[&str], example: &str| {
        let any: Vec<String> = switches
            .iter()
            .map(|switch| format!("has(self.{switch})"))
            .collect();
        Rule::new(
            name,
            any.join(" || "),
            format!("set.{group} sets no switch; set one, such as {example}, or remove it"),
        )
        .required()
        .at(group)
    };
    let any = "has(self.sale) || has(self.entry) || has(self.stock) || has(self.orderLog) || has(self.orders) || has(self.pages) || has(self.followUps) || has(self.rooms)";
    vec![
        Rule::new(
            "switch-given",
            any,
            "set holds no switch; set one, such as sale: {paused: true}",
        )
        .required(),
        group("sale-switch", "sale", &["paused"], "paused: true"),
        group(
            "entry-switch",
            "entry",
            &["soldOut", "hideURL", "challenge", "rateLimit"],
            "soldOut: true",
        ),
        group("stock-switch", "stock", &["engine"], "engine: Embedded"),
        group("order-log-switch", "orderLog", &["bypass"], "bypass: true"),
        group(
            "orders-switch",
            "orders",
            &["ratePerMinute", "flow", "hold"],
            "hold: true",
        ),
        group("pages-switch", "pages", &["static"], "static: true"),
        group("follow-ups-switch", "followUps", &["paused"], "paused: true"),
        group("rooms-switch", "rooms", &["drained"], "drained: [a]"),
    ]
}
