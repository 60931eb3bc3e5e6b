//! A PostgreSQL that can't be used says so in one line, without the password; and what it is safe against.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::ids::SaleUid;
use flashsale_orders::{Error, ErrorKind, Orders};

async fn refusal(target: &str) -> Error {
    let error = Orders::open(target, sale()).await.expect_err(target);
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains("horse"), "{text}");
    error
}

fn assert_says(error: &Error, kind: ErrorKind, exit_status: u8, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!((error.kind(), kind.exit_status()), (kind, exit_status), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} isn't in {text}");
    }
}

#[tokio::test]
async fn addresses_that_name_no_database_are_refused_without_their_password() {
    for target in [
        "postgres://shop:horse@localhost:port/orders",
        "postgres://shop:horse@localhost",
        "postgres://shop:horse@localhost/?password=horse",
        "postgres://shop:horse@localhost/orders?sslmode=perhaps",
        "postgresql:shop:horse",
    ] {
        let error = refusal(target).await;
        assert_says(
            &error,
            ErrorKind::Address,
            64,
            &["postgres", "give a file's path"],
        );
    }
}

#[tokio::test]
async fn what_keeps_a_server_from_being_used_is_said() {
    let home = Home::new(Backend::Postgres).await;
    let (server, url) = (home.server(), home.target());
    let at = url.rsplit_once('@').unwrap().1;
    let place = format!("postgres://shop@{at}");

    let wrong = url.replace("horse", "horses");
    assert_says(
        &refusal(&wrong).await,
        ErrorKind::Denied,
        77,
        &[&place, "password"],
    );
    let nobody = url.replace("shop:", "nobody:");
    assert_says(&refusal(&nobody).await, ErrorKind::Denied, 77, &["nobody"]);
    let missing = format!("{url}x");
    assert_says(
        &refusal(&missing).await,
        ErrorKind::Missing,
        78,
        &["create the database"],
    );
    let port = flashsale_servers::free_port().unwrap();
    let down = url.replace(&server.port().to_string(), &port.to_string());
    assert_says(
        &refusal(&down).await,
        ErrorKind::Unavailable,
        75,
        &["can't be reached", "try again"],
    );
    let insecure = format!("{url}?sslmode=verify-full");
    assert_says(&refusal(&insecure).await, ErrorKind::Tls, 78, &["sslmode"]);

    let name = url.rsplit_once('/').unwrap().1;
    let set = |value: &str| {
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        server.sql("postgres", &sql).unwrap()
    };
    set("on");
    assert_says(
        &refusal(url).await,
        ErrorKind::NotWritable,
        77,
        &[&place, "read-only", "primary"],
    );
    set("off");
    let reader = "CREATE ROLE reader LOGIN PASSWORD 'horse'; REVOKE ALL ON SCHEMA public FROM PUBLIC";
    server.sql(name, reader).unwrap();
    let poor = format!("postgres://reader:horse@{at}");
    let error = refusal(&poor).await;
    assert_says(
        &error,
        ErrorKind::NotWritable,
        77,
        &["postgres://reader@", "may create tables"],
    );
    home.open().await.close().await;
}

#[tokio::test]
async fn another_programs_tables_are_left_alone_and_a_newer_schema_is_refused() {
    let home = Home::new(Backend::Postgres).await;
    let name = home.target().rsplit_once('/').unwrap().1;
    let sql = |sql: &str| home.server().sql(name, sql).unwrap();
    sql("CREATE TABLE recipes (cake TEXT)");
    assert_says(
        &refusal(home.target()).await,
        ErrorKind::Foreign,
        65,
        &["another program"],
    );
    let tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(sql(tables), "recipes");
    sql("DROP TABLE recipes");

    home.open().await.close().await;
    sql(
        "INSERT INTO _sqlx_migrations SELECT 9, 'bypass', installed_on, success, checksum, 0 \
         FROM _sqlx_migrations WHERE version = 1",
    );
    assert_says(
        &refusal(home.target()).await,
        ErrorKind::Newer,
        78,
        &["schema version 9", "newer one"],
    );
    sql("DELETE FROM _sqlx_migrations WHERE version = 9");

    // What was refused holds no lock that keeps others out.
    let open = || async { home.open().await };
    let (first, second) = tokio::join!(open(), open());
    assert_eq!(first.ticket_secret(), second.ticket_secret());
}

#[tokio::test]
async fn one_database_holds_several_sales_that_do_not_see_each_other() {
    let home = Home::new(Backend::Postgres).await;
    let mut other = sale();
    other.uid = SaleUid(0xfeed << 100);
    other.fresh_secret = flashsale_orders::TicketSecret([9; 32]);
    let (one, two) = (home.open().await, home.open_as(other).await);
    assert_ne!(one.ticket_secret(), two.ticket_secret());
    apply(&one, &[reserved(1, 5), reserved(2, 6)]).await;
    let applied = apply(&two, &[reserved(1, 5)]).await;
    assert_eq!((applied.reserved.len(), applied.dead.len()), (1, 0));
    one.make(&[waiting(1)], 100, TIMEOUT).await.unwrap();
    two.make(&[waiting(1)], 100, TIMEOUT).await.unwrap();
    let refused = two.pay(&payment(&one, "p", 1, 150)).await.unwrap();
    assert!(matches!(refused, flashsale_orders::PaymentOutcome::Refused(_)));
    two.pay(&payment(&two, "p", 1, 150)).await.unwrap();
    one.pay(&payment(&one, "p", 1, 150)).await.unwrap();
    assert_eq!(two.expire(u64::MAX >> 1, 10).await.unwrap().len(), 0);
    let units = |t: flashsale_orders::Totals| t.items[0].live_units;
    assert_eq!(units(one.totals().await.unwrap()), 2);
    assert_eq!(units(two.totals().await.unwrap()), 1);

    // The same beginning of a uid would be the same order ids.
    let mut alike = sale();
    alike.uid = SaleUid(UID.0 ^ 1);
    let error = Orders::open(home.target(), alike).await.unwrap_err();
    assert_says(&error, ErrorKind::OtherSale, 78, &["choose another database"]);
}

#[test]
fn both_databases_are_declared_alike() {
    let common = |text: &str| {
        let lines = text.lines().filter(|l| !l.starts_with("--"));
        let lines = lines.map(|l| {
            l.replace(" WITHOUT ROWID", "")
                .replace(" GENERATED BY DEFAULT AS IDENTITY", "")
                .replace("BYTEA", "BLOB")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        });
        lines.collect::<Vec<_>>()
    };
    for (sqlite, postgres) in [
        (
            include_str!("../migrations/sqlite/0001_orders.sql"),
            include_str!("../migrations/postgres/0001_orders.sql"),
        ),
        (
            include_str!("../migrations/sqlite/0002_databases.sql"),
            include_str!("../migrations/postgres/0002_databases.sql"),
        ),
    ] {
        assert_eq!(common(sqlite), common(postgres));
    }
}
