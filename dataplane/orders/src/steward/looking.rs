//! What is read of sales, and the little that is written into their tables.

use super::SETTLED;
use flashsale_core::ids::SaleUid;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// The schema's versions that this program knows.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables with rows by sale, those that others refer to last.
const TABLES: [&str; 8] = [
    "messages",
    "dead_events",
    "payments",
    "releases",
    "live_units",
    "orders",
    "shards",
    "sales",
];

/// How a sale stands in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether its role is there and may log in; true where it shares a user.
    pub admitted: bool,
    /// Whether its tables are there, in the version that this program knows.
    pub migrated: bool,
    /// Whether it is entered, in all of its databases.
    pub entered: bool,
    /// Its phase, as last written; empty before it is entered.
    pub phase: String,
    /// The word for how far its stock is loaded; empty before it is entered.
    pub load_state: String,
    /// Reservations that wait for their order.
    pub reserved: u64,
    /// Orders that are neither paid nor closed.
    pub pending: u64,
    /// Units of closed orders that aren't free again yet.
    pub releases: u64,
}

fn hex(uid: SaleUid) -> String {
    format!("{:032x}", uid.0)
}

/// `"schema".table`, or the table in the user's own schema.
fn table(schema: Option<&str>, table: &str) -> String {
    schema.map_or_else(|| table.to_owned(), |schema| format!("\"{schema}\".{table}"))
}

async fn exists(on: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(on)
        .await
}

/// How a sale stands in a schema.
pub(super) async fn look(
    on: &mut PgConnection,
    schema: Option<&str>,
    uid: SaleUid,
) -> Result<Seen, sqlx::Error> {
    let mut seen = Seen {
        admitted: match schema {
            Some(name) => super::role(on, name).await? == Some(true),
            None => true,
        },
        ..Seen::default()
    };
    let versions = table(schema, "_sqlx_migrations");
    if !exists(on, &versions).await? {
        return Ok(seen);
    }
    let sql = format!("SELECT COALESCE(max(version), 0) FROM {versions} WHERE success");
    let version: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *on).await?;
    seen.migrated = MIGRATIONS.iter().map(|m| m.version).max() <= Some(version);
    let sales = table(schema, "sales");
    if !seen.migrated || !exists(on, &sales).await? {
        return Ok(seen);
    }
    let sql = format!("SELECT sale, phase, load_state, databases, complete FROM {sales} WHERE uid = $1");
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(hex(uid))
        .fetch_optional(&mut *on)
        .await?;
    let Some(row) = found else { return Ok(seen) };
    let (sale, databases, complete): (i64, i64, i64) = (
        row.try_get("sale")?,
        row.try_get("databases")?,
        row.try_get("complete")?,
    );
    seen.entered = databases == 1 || complete == 1;
    (seen.phase, seen.load_state) = (row.try_get("phase")?, row.try_get("load_state")?);
    [seen.reserved, seen.pending, seen.releases] = waiting(on, schema, sale).await?;
    Ok(seen)
}

/// What is still expected of a sale: reservations, orders, releases.
async fn waiting(on: &mut PgConnection, schema: Option<&str>, sale: i64) -> Result<[u64; 3], sqlx::Error> {
    let (orders, releases) = (table(schema, "orders"), table(schema, "releases"));
    let sql = format!(
        "SELECT (SELECT count(*) FROM {orders} WHERE sale = $1 AND state = 'reserved') AS reserved, \
         (SELECT count(*) FROM {orders} WHERE sale = $1 AND state = 'pending') AS pending, \
         (SELECT count(*) FROM {releases} WHERE sale = $1) AS releases"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(sale).fetch_one(on).await?;
    let number = |name: &str| row.try_get::<i64, _>(name).map(|n| u64::try_from(n).unwrap_or(0));
    Ok([number("reserved")?, number("pending")?, number("releases")?])
}

/// Notes of sales (this one, or all of a schema) that nothing is expected of them, where that is so.
pub(super) async fn note_settled(
    on: &mut PgConnection,
    schema: Option<&str>,
    uid: Option<SaleUid>,
) -> Result<(), sqlx::Error> {
    let (sales, orders) = (table(schema, "sales"), table(schema, "orders"));
    if !exists(on, &sales).await? {
        return Ok(());
    }
    let sql = format!(
        "UPDATE {sales} AS s SET phase = $1 WHERE ($2::text IS NULL OR s.uid = $2) AND NOT EXISTS \
         (SELECT 1 FROM {orders} AS o WHERE o.sale = s.sale AND o.state IN ('reserved', 'pending'))"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(SETTLED)
        .bind(uid.map(hex))
        .execute(on)
        .await
        .map(drop)
}

/// Removes the rows of a sale from the user's own schema.
pub(super) async fn forget_rows(on: &mut PgConnection, uid: SaleUid) -> Result<(), sqlx::Error> {
    if !exists(on, "sales").await? {
        return Ok(());
    }
    let sale: Option<i64> = sqlx::query_scalar("SELECT sale FROM sales WHERE uid = $1")
        .bind(hex(uid))
        .fetch_optional(&mut *on)
        .await?;
    let Some(sale) = sale else { return Ok(()) };
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE sale = $1");
        sqlx::query(AssertSqlSafe(sql))
            .bind(sale)
            .execute(&mut *on)
            .await?;
    }
    Ok(())
}

/// See [`super::Steward::unsettled`].
pub(super) async fn unsettled(
    on: &mut PgConnection,
    about: &str,
    (namespace, name): (&str, &str),
    except: SaleUid,
) -> Result<Option<String>, sqlx::Error> {
    let mut schemas: Vec<String> = sqlx::query_scalar(
        "SELECT nspname::text FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') = $1 \
         UNION SELECT current_schema()::text WHERE current_schema() IS NOT NULL ORDER BY 1",
    )
    .bind(about)
    .fetch_all(&mut *on)
    .await?;
    schemas.retain(|schema| !schema.contains('"'));
    for schema in schemas {
        let sales = table(Some(&schema), "sales");
        if !exists(on, &sales).await? {
            continue;
        }
        let sql = format!(
            "SELECT uid FROM {sales} WHERE namespace = $1 AND name = $2 AND uid <> $3 AND phase <> $4 \
             AND load_state <> 'unseeded' ORDER BY created_at DESC LIMIT 1"
        );
        let found: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(namespace)
            .bind(name)
            .bind(hex(except))
            .bind(SETTLED)
            .fetch_optional(&mut *on)
            .await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
