//! What `kubectl get` shows, and by what it can select.

use serde_json::{Value, json};

fn column(name: &str, kind: &str, path: &str, wide: bool) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path, "priority": i32::from(wide) })
}

fn condition(kind: &str) -> Value {
    let path = format!(".status.conditions[?(@.type==\"{kind}\")].status");
    column(kind, "string", &path, false)
}

/// The columns of a kind.
pub(super) fn columns(kind: &str) -> Vec<Value> {
    let age = column("Age", "date", ".metadata.creationTimestamp", false);
    match kind {
        "FlashSaleClass" => vec![
            condition("Accepted"),
            condition("Ready"),
            column("Sales", "integer", ".status.sales", false),
            column("Domain", "string", ".spec.entry.domain", false),
            age,
        ],
        "FlashSaleSwitch" => vec![
            column("Sale", "string", ".spec.saleName", false),
            column("Set", "string", ".status.summary", false),
            column("Phase", "string", ".status.phase", false),
            column("Expires", "string", ".status.expireTime", false),
            column("Actor", "string", ".status.actor", false),
            age,
            column("Reason", "string", ".spec.reason", true),
        ],
        _ => vec![
            column("Phase", "string", ".status.phase", false),
            column("Opens", "string", ".spec.openTime", false),
            column("Sold", "string", ".status.summary.sold", false),
            column("Stock", "string", ".status.summary.stock", false),
            condition("Ready"),
            age,
            column("Gates", "string", ".status.summary.gates", true),
            column("Class", "string", ".status.class.name", true),
            column("URL", "string", ".status.entryURL", true),
        ],
    }
}

/// The fields of a kind by which `kubectl get --field-selector` can select.
pub(super) fn selectable(kind: &str) -> &'static [&'static str] {
    match kind {
        "FlashSaleClass" => &[".spec.controllerName"],
        "FlashSaleSwitch" => &[".spec.saleName", ".status.phase"],
        _ => &[".spec.className", ".status.phase"],
    }
}
