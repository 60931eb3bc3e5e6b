//! The statements over many rows, for one sale. They name the sale by its small number, written into the
//! text: a parameter for each row would cost more than it says.

use crate::bulk::{Bulk, Columns, Kind};
use crate::db::Dialect;

#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert_orders: Bulk,
    pub(crate) insert_live: Bulk,
    pub(crate) delete_live: Bulk,
    pub(crate) insert_releases: Bulk,
    pub(crate) delete_releases: Bulk,
    /// Reads orders and keeps others from changing them.
    pub(crate) lock_orders: Bulk,
    pub(crate) close: Bulk,
    pub(crate) make: Bulk,
    /// Orders that are pending become paid.
    pub(crate) pay: Bulk,
    /// Reads payments that are recorded.
    pub(crate) known_payments: Bulk,
    /// Leaves those out that somebody else has recorded.
    pub(crate) insert_payments: Bulk,
    /// Reads shards' rows and keeps others from changing them.
    pub(crate) lock_shards: Bulk,
    pub(crate) write_shards: Bulk,
    /// With the number first in SQLite; PostgreSQL gives one itself.
    pub(crate) insert_messages: Bulk,
    pub(crate) delivered: Bulk,
    pub(crate) replay: Bulk,
}

/// The columns that [`crate::row::OrderRow`] reads.
pub(crate) const ORDER_COLUMNS: &str = "shard, made, n, buyer, item, quantity, units, request_key, place, amount, \
     state, reason, reserved_at, ordered_at, expires_at, paid_at, closed_at, order_id";

use Kind::{Bytes, Int, Text};

const TICKET: [(&str, Kind); 3] = [("shard", Int), ("made", Int), ("n", Int)];
const UNIT: [(&str, Kind); 5] = [
    ("shard", Int),
    ("item", Int),
    ("unit", Int),
    ("made", Int),
    ("n", Int),
];
const ORDER: [(&str, Kind); 14] = [
    ("shard", Int),
    ("made", Int),
    ("n", Int),
    ("buyer", Text),
    ("item", Int),
    ("quantity", Int),
    ("units", Text),
    ("request_key", Bytes),
    ("place", Int),
    ("amount", Int),
    ("state", Text),
    ("reason", Text),
    ("reserved_at", Int),
    ("closed_at", Int),
];
const RELEASE: [(&str, Kind); 5] = [
    ("shard", Int),
    ("made", Int),
    ("n", Int),
    ("reason", Text),
    ("decided_at", Int),
];
const MESSAGE: [(&str, Kind); 6] = [
    ("id", Int),
    ("kind", Text),
    ("target", Text),
    ("payload", Text),
    ("created_at", Int),
    ("next_at", Int),
];
const PAYMENT: [(&str, Kind); 8] = [
    ("payment_id", Text),
    ("shard", Int),
    ("made", Int),
    ("n", Int),
    ("order_id", Text),
    ("amount", Int),
    ("result", Text),
    ("at", Int),
];
const SHARD: [(&str, Kind); 7] = [
    ("shard", Int),
    ("claimed", Int),
    ("owner", Int),
    ("medium", Text),
    ("applied_epoch", Int),
    ("applied", Int),
    ("list_floor", Int),
];

/// `TICKET` and more.
fn ticket_and(more: &[(&'static str, Kind)]) -> Vec<(&'static str, Kind)> {
    [&TICKET, more].concat()
}

/// Updates the orders of the list `v` that are in a state.
///
/// As long as PostgreSQL knows nothing of a table, it takes any index of a state, or none, for as good as the key, and
/// reads all orders of the sale for each one that it looks for. So there each row is looked up by its key first.
fn update_orders(dialect: Dialect, set: &str, state: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!(
            "UPDATE orders SET {set} FROM v WHERE orders.sale = v.sale AND orders.shard = v.shard \
             AND orders.made = v.made AND orders.n = v.n AND {state}"
        ),
        Dialect::Postgres => format!(
            "UPDATE orders SET {set} FROM v CROSS JOIN LATERAL (SELECT o.ctid AS place FROM orders o \
             WHERE o.sale = v.sale AND o.shard = v.shard AND o.made = v.made AND o.n = v.n OFFSET 0) found \
             WHERE orders.ctid = found.place AND {state}"
        ),
    }
}

/// Finds each payment by its key, for the reason that [`update_orders`] gives.
fn known_payments(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "SELECT payment_id, order_id, amount, result FROM payments \
             WHERE (sale, payment_id) IN (SELECT sale, payment_id FROM v)"
        }
        Dialect::Postgres => {
            "SELECT found.* FROM v CROSS JOIN LATERAL (SELECT p.payment_id, p.order_id, p.amount, p.result \
             FROM payments p WHERE p.sale = v.sale AND p.payment_id = v.payment_id OFFSET 0) found"
        }
    }
}

impl Statements {
    /// `id_prefix` begins all order ids of the sale: hexadecimal digits and a dash.
    pub(crate) fn new(dialect: Dialect, sale: i64, id_prefix: &str) -> Self {
        let insert = |table, columns: &Columns, tail| Bulk::insert(dialect, sale, table, columns, tail);
        let list = |columns: &Columns, statement: &str| Bulk::list(dialect, sale, columns, statement);
        // All lock in the order of their tickets, so that none of two waits for the other.
        let lock = dialect.for_update();
        let messages = match dialect {
            Dialect::Sqlite => &MESSAGE[..],
            Dialect::Postgres => &MESSAGE[1..],
        };
        Self {
            insert_orders: insert("orders", &ORDER, " ON CONFLICT (sale, shard, made, n) DO NOTHING"),
            insert_live: insert(
                "live_units",
                &UNIT,
                " ON CONFLICT (sale, shard, item, unit) DO NOTHING",
            ),
            delete_live: list(
                &UNIT,
                "DELETE FROM live_units WHERE (sale, shard, item, unit, made, n) \
                 IN (SELECT sale, shard, item, unit, made, n FROM v)",
            ),
            insert_releases: insert("releases", &RELEASE, ""),
            delete_releases: list(
                &TICKET,
                "DELETE FROM releases WHERE (sale, shard, made, n) IN (SELECT sale, shard, made, n FROM v)",
            ),
            lock_orders: list(
                &TICKET,
                &format!(
                    "SELECT {ORDER_COLUMNS} FROM orders WHERE (sale, shard, made, n) \
                     IN (SELECT sale, shard, made, n FROM v) ORDER BY sale, shard, made, n{lock}"
                ),
            ),
            close: list(
                &ticket_and(&[("reason", Text), ("at", Int)]),
                &update_orders(
                    dialect,
                    "state = 'closed', reason = v.reason, closed_at = v.at",
                    "orders.state IN ('reserved', 'pending')",
                ),
            ),
            make: list(
                &ticket_and(&[("at", Int), ("until", Int)]),
                &update_orders(
                    dialect,
                    &format!(
                        "state = 'pending', ordered_at = v.at, expires_at = v.until, order_id = \
                         '{id_prefix}' || orders.shard || '-' || orders.made || '-' || orders.n"
                    ),
                    "orders.state = 'reserved'",
                ),
            ),
            pay: list(
                &ticket_and(&[("at", Int)]),
                &update_orders(
                    dialect,
                    "state = 'paid', paid_at = v.at",
                    "orders.state = 'pending'",
                ),
            ),
            known_payments: list(&[("payment_id", Text)], known_payments(dialect)),
            insert_payments: insert("payments", &PAYMENT, " ON CONFLICT (sale, payment_id) DO NOTHING"),
            lock_shards: list(
                &[("shard", Int)],
                &format!(
                    "SELECT * FROM shards WHERE (sale, shard) IN (SELECT sale, shard FROM v) \
                     ORDER BY sale, shard{lock}"
                ),
            ),
            write_shards: list(
                &SHARD,
                "UPDATE shards SET claimed = v.claimed, owner = v.owner, medium = v.medium, \
                 applied_epoch = v.applied_epoch, applied = v.applied, list_floor = v.list_floor \
                 FROM v WHERE shards.sale = v.sale AND shards.shard = v.shard",
            ),
            insert_messages: insert("messages", messages, ""),
            delivered: list(
                &[("id", Int)],
                "UPDATE messages SET state = 'delivered', attempts = attempts + 1, last_error = NULL \
                 WHERE (sale, id) IN (SELECT sale, id FROM v) AND state <> 'delivered'",
            ),
            replay: list(
                &[("id", Int), ("at", Int)],
                "UPDATE messages SET state = 'due', next_at = v.at FROM v \
                 WHERE messages.sale = v.sale AND messages.id = v.id AND messages.state = 'dead'",
            ),
        }
    }
}
