//! What may no longer change: rules over the old and the new object that go by `status.lockLevel` of the old one.
//!
//! They stand at the object, since `spec` alone doesn't see the status. `docs/decisions/0008` says why each lock is there.

use super::Rule;

/// The old object's lock level, 0 as long as there is none.
const LEVEL: &str = "(has(oldSelf.status) && has(oldSelf.status.lockLevel) ? oldSelf.status.lockLevel : 0)";

const PROVISIONED: i32 = 1;
const LOADING: i32 = 2;
const ARMED: i32 = 3;
const OPEN: i32 = 4;
const CLOSED: i32 = 5;

/// A rule that binds from a lock level on.
fn from(level: i32, name: &'static str, condition: &str, message: &str) -> Rule {
    Rule::new(name, format!("{LEVEL} < {level} || {condition}"), message).forbidden()
}

/// Whether a field, by its path within `spec`, has the value it had, or is missing as it was.
fn same(path: &str) -> String {
    let has = |object: &str| {
        let mut at = format!("{object}.spec");
        let steps = path.split('.').map(|step| {
            at = format!("{at}.{step}");
            format!("has({at})")
        });
        let steps: Vec<String> = steps.collect();
        steps.join(" && ")
    };
    let (new, old) = (has("self"), has("oldSelf"));
    let (new, old) = if path.contains('.') {
        (format!("({new})"), format!("({old})"))
    } else {
        (new, old)
    };
    format!("({new} == {old} && (!{new} || self.spec.{path} == oldSelf.spec.{path}))")
}

/// A field, by its path within `spec`, that is fixed from a lock level on.
fn fixed(level: i32, name: &'static str, path: &str, message: &str) -> Rule {
    from(level, name, &same(path), message).field(format!(".spec.{path}"))
}

/// A condition on each new item `i` and the old one `o` of the same id, from a lock level on.
fn each_item(level: i32, name: &'static str, condition: &str, message: &str) -> Rule {
    let rule = format!(
        "!has(self.spec.items) || !has(oldSelf.spec.items) || self.spec.items == oldSelf.spec.items || self.spec.items.all(i, oldSelf.spec.items.all(o, o.id != i.id || {condition}))"
    );
    from(level, name, &rule, message).field(".spec.items")
}

pub(super) fn rules() -> Vec<Rule> {
    [times(), items(), parts(), ending()].concat()
}

fn times() -> Vec<Rule> {
    vec![
        from(
            ARMED,
            "open-later-only",
            "self.spec.openTime >= oldSelf.spec.openTime",
            "openTime of an armed sale can't be brought forward; move it later, or cancel the sale and create a new one",
        )
        .field(".spec.openTime"),
        from(
            OPEN,
            "open-fixed",
            "self.spec.openTime == oldSelf.spec.openTime",
            "openTime is fixed once the sale is open; put the old value back",
        )
        .field(".spec.openTime"),
        from(
            OPEN,
            "close-later-only",
            "self.spec.closeTime >= oldSelf.spec.closeTime",
            "closeTime of an open sale can only be moved later; to end the sale early set switches.entry.soldOut or cancellation",
        )
        .field(".spec.closeTime"),
        from(
            CLOSED,
            "close-fixed",
            "self.spec.closeTime == oldSelf.spec.closeTime",
            "closeTime is fixed once the sale has closed; create a new FlashSale to sell on",
        )
        .field(".spec.closeTime"),
        fixed(
            ARMED,
            "registration-fixed",
            "registration",
            "registration is fixed once the sale is armed; put the old value back, or cancel the sale and create a new one",
        ),
    ]
}

fn items() -> Vec<Rule> {
    vec![
        from(
            LOADING,
            "currency-fixed",
            "self.spec.currency == oldSelf.spec.currency",
            "currency is fixed once stock is being loaded; cancel the sale and create a new one",
        )
        .field(".spec.currency"),
        fixed(
            LOADING,
            "items-from-fixed",
            "itemsFrom",
            "itemsFrom is fixed once stock is being loaded; create a second FlashSale for further items",
        ),
        from(
            LOADING,
            "items-fixed",
            "has(self.spec.items) == has(oldSelf.spec.items) && (!has(self.spec.items) || self.spec.items == oldSelf.spec.items || (self.spec.items.size() == oldSelf.spec.items.size() && self.spec.items.all(i, oldSelf.spec.items.exists(o, o.id == i.id))))",
            "items can't be added, removed or renamed once stock is being loaded; create a second FlashSale for further items",
        )
        .field(".spec.items"),
        each_item(
            LOADING,
            "stock-grows",
            "i.stock >= o.stock",
            "stock of an item can only grow once it is being loaded; to withdraw units set switches.entry.soldOut or cancellation",
        ),
        each_item(
            CLOSED,
            "stock-fixed",
            "i.stock == o.stock",
            "stock of an item is fixed once the sale has closed; create a new FlashSale to sell more",
        ),
        each_item(
            ARMED,
            "price-fixed",
            "i.price == o.price",
            "price of an item is fixed once the sale is armed; cancel the sale and create a new one",
        ),
        each_item(
            ARMED,
            "limit-fixed",
            "(has(i.limitPerBuyer) == has(o.limitPerBuyer) && (!has(i.limitPerBuyer) || i.limitPerBuyer == o.limitPerBuyer))",
            "limitPerBuyer of an item is fixed once the sale is armed; cancel the sale and create a new one",
        ),
        each_item(
            ARMED,
            "sku-fixed",
            "(has(i.sku) == has(o.sku) && (!has(i.sku) || i.sku == o.sku))",
            "sku of an item is fixed once the sale is armed; put the old value back",
        ),
    ]
}

fn parts() -> Vec<Rule> {
    vec![
        fixed(
            PROVISIONED,
            "class-fixed",
            "className",
            "className is fixed once the sale is provisioned; create a new FlashSale to use another class",
        ),
        fixed(
            PROVISIONED,
            "host-fixed",
            "entry.host",
            "entry.host is fixed once the sale is provisioned; create a new FlashSale for another host",
        ),
        fixed(
            LOADING,
            "admission-fixed",
            "admission",
            "admission is fixed once stock is being loaded; cancel the sale and create a new one",
        ),
        fixed(
            LOADING,
            "shards-fixed",
            "dataPlane.shards",
            "dataPlane.shards is fixed once stock is being loaded; raise dataPlane.gateways.replicas for more buyers",
        ),
        fixed(
            LOADING,
            "rooms-fixed",
            "dataPlane.rooms",
            "dataPlane.rooms is fixed once stock is being loaded; to leave a room set switches.rooms.drained",
        ),
        fixed(
            ARMED,
            "buyers-fixed",
            "buyers",
            "buyers is fixed once the sale is armed; the keys behind jwksURL may change, a challenge is switched by switches.entry.challenge",
        ),
    ]
}

fn ending() -> Vec<Rule> {
    let before_settling = "!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Settling', 'Settled'])";
    vec![
        from(
            CLOSED,
            "cancellation-in-time",
            "!has(self.spec.cancellation) || has(oldSelf.spec.cancellation)",
            "cancellation comes too late: the sale has closed; close what is unpaid in the shop",
        )
        .field(".spec.cancellation"),
        Rule::new(
            "teardown-fixed",
            format!("{before_settling} || {}", same("teardown")),
            "teardown is fixed once the sale settles; put the old value back",
        )
        .forbidden()
        .field(".spec.teardown"),
    ]
}
