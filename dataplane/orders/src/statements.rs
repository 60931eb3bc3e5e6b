//! The statements over many rows, for one sale. They name the sale by its small number, written into the
//! text: a parameter for each row would cost more than it says.

use crate::bulk::Bulk;

#[derive(Debug)]
pub(crate) struct Statements {
    /// shard, made, n, buyer, item, quantity, units, key, place, amount, state, reason, reserved_at, closed_at
    pub(crate) insert_orders: Bulk,
    /// shard, item, unit, made, n
    pub(crate) insert_live: Bulk,
    /// shard, item, unit, made, n
    pub(crate) delete_live: Bulk,
    /// shard, made, n, reason, decided_at
    pub(crate) insert_releases: Bulk,
    /// shard, made, n
    pub(crate) delete_releases: Bulk,
    /// shard, made, n
    pub(crate) select_orders: Bulk,
    /// shard, made, n, ordered_at, expires_at
    pub(crate) make: Bulk,
    /// id, kind, target, payload, created_at, next_at
    pub(crate) insert_messages: Bulk,
    /// id
    pub(crate) delivered: Bulk,
    /// id, next_at
    pub(crate) replay: Bulk,
}

/// The columns that [`crate::row::OrderRow`] reads.
pub(crate) const ORDER_COLUMNS: &str = "shard, made, n, buyer, item, quantity, units, request_key, place, amount, \
     state, reason, reserved_at, ordered_at, expires_at, paid_at, closed_at, order_id";

impl Statements {
    /// `id_prefix` begins all order ids of the sale: hexadecimal digits and a dash.
    pub(crate) fn new(sale: i64, id_prefix: &str) -> Self {
        Self {
            insert_orders: Bulk::new(
                "INSERT INTO orders (sale, shard, made, n, buyer, item, quantity, units, request_key, place, \
                 amount, state, reason, reserved_at, closed_at) VALUES",
                format!("({sale},?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
                " ON CONFLICT (sale, shard, made, n) DO NOTHING",
            ),
            insert_live: Bulk::new(
                "INSERT INTO live_units (sale, shard, item, unit, made, n) VALUES",
                format!("({sale},?,?,?,?,?)"),
                " ON CONFLICT (sale, shard, item, unit) DO NOTHING",
            ),
            delete_live: Bulk::new(
                "WITH v (sale, shard, item, unit, made, n) AS (VALUES",
                typed(sale, &["BIGINT"; 5]),
                ") DELETE FROM live_units WHERE (sale, shard, item, unit, made, n) \
                 IN (SELECT sale, shard, item, unit, made, n FROM v)",
            ),
            insert_releases: Bulk::new(
                "INSERT INTO releases (sale, shard, made, n, reason, decided_at) VALUES",
                format!("({sale},?,?,?,?,?)"),
                "",
            ),
            delete_releases: Bulk::new(
                "WITH v (sale, shard, made, n) AS (VALUES",
                typed(sale, &["BIGINT"; 3]),
                ") DELETE FROM releases WHERE (sale, shard, made, n) IN (SELECT sale, shard, made, n FROM v)",
            ),
            select_orders: Bulk::new(
                "WITH v (sale, shard, made, n) AS (VALUES",
                typed(sale, &["BIGINT"; 3]),
                format!(
                    ") SELECT {ORDER_COLUMNS} FROM orders \
                     WHERE (sale, shard, made, n) IN (SELECT sale, shard, made, n FROM v)"
                ),
            ),
            make: Bulk::new(
                "WITH v (sale, shard, made, n, at, until) AS (VALUES",
                typed(sale, &["BIGINT"; 5]),
                format!(
                    ") UPDATE orders SET state = 'pending', ordered_at = v.at, expires_at = v.until, order_id = \
                     '{id_prefix}' || orders.shard || '-' || orders.made || '-' || orders.n \
                     FROM v WHERE orders.sale = v.sale AND orders.shard = v.shard \
                     AND orders.made = v.made AND orders.n = v.n AND orders.state = 'reserved'"
                ),
            ),
            insert_messages: Bulk::new(
                "INSERT INTO messages (sale, id, kind, target, payload, created_at, next_at) VALUES",
                format!("({sale},?,?,?,?,?,?)"),
                "",
            ),
            delivered: Bulk::new(
                "WITH v (sale, id) AS (VALUES",
                typed(sale, &["BIGINT"]),
                ") UPDATE messages SET state = 'delivered', attempts = attempts + 1, last_error = NULL \
                 WHERE (sale, id) IN (SELECT sale, id FROM v) AND state <> 'delivered'",
            ),
            replay: Bulk::new(
                "WITH v (sale, id, at) AS (VALUES",
                typed(sale, &["BIGINT"; 2]),
                ") UPDATE messages SET state = 'due', next_at = v.at FROM v \
                 WHERE messages.sale = v.sale AND messages.id = v.id AND messages.state = 'dead'",
            ),
        }
    }
}

/// A row of a list that stands alone: its types can't be seen from a table's columns, so they are said.
fn typed(sale: i64, types: &[&str]) -> String {
    let columns: Vec<String> = types.iter().map(|t| format!("CAST(? AS {t})")).collect();
    format!("({sale},{})", columns.join(","))
}
