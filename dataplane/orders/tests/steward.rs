//! An administrator lets sales into a database, each with a role of its own, and takes them out again.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::ids::SaleUid;
use flashsale_orders::{ErrorKind, LoadState, Orders, Steward, Tenant};

// Roles are the server's, which tests share: each sale has its own.
const NAME: &str = "fs_0123456789abcdef0123456789abcdef";
const SECOND: &str = "fs_fedcba9876543210fedcba9876543210";

fn tenant<'a>(name: &'a str, password: &'a str) -> Tenant<'a> {
    Tenant {
        name,
        password,
        salt: [3; 16],
        about: "shop/phone-launch",
    }
}

/// The administrator's address with another user and password.
fn address(admin: &str, user: &str, password: &str) -> String {
    let at = admin.rsplit_once('@').unwrap().1;
    format!("postgres://{user}:{password}@{at}")
}

#[tokio::test]
async fn a_sale_lives_in_its_own_schema_by_its_own_role() {
    let home = Home::new(Backend::Postgres).await;
    let mut steward = Steward::connect(home.target()).await.unwrap();
    assert!(!steward.look(Some(NAME), UID).await.unwrap().admitted);
    steward.admit(tenant(NAME, "first")).await.unwrap();
    // Again, as after a crash, and with another password.
    steward.admit(tenant(NAME, "second")).await.unwrap();
    let seen = steward.look(Some(NAME), UID).await.unwrap();
    assert!(seen.admitted && !seen.migrated && !seen.entered);

    let denied = Orders::open(&address(home.target(), NAME, "first"), sale())
        .await
        .unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    let orders = Orders::open(&address(home.target(), NAME, "second"), sale())
        .await
        .unwrap();
    let seen = steward.look(Some(NAME), UID).await.unwrap();
    assert!(seen.admitted && seen.migrated && seen.entered);
    assert_eq!(
        (seen.phase.as_str(), seen.load_state.as_str()),
        ("Armed", "unseeded")
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'orders' AND schemaname <> 'fs_0123456789abcdef0123456789abcdef'";
    let database = home.target().rsplit_once('/').unwrap().1;
    assert_eq!(home.server().sql(database, tables).unwrap().trim(), "0");

    // Another sale's role sees none of it.
    steward.admit(tenant("fs_other", "word")).await.unwrap();
    let mut other = Steward::connect(&address(home.target(), "fs_other", "word"))
        .await
        .unwrap();
    assert!(other.look(Some(NAME), UID).await.is_err());
    orders.close().await;

    steward.dismiss(NAME).await.unwrap();
    let kept = steward.look(Some(NAME), UID).await.unwrap();
    assert!(!kept.admitted && kept.entered && kept.phase == "Settled");
    assert!(
        Orders::open(&address(home.target(), NAME, "second"), sale())
            .await
            .is_err()
    );
    for _ in 0..2 {
        steward.forget(NAME).await.unwrap();
        assert_eq!(
            steward.look(Some(NAME), UID).await.unwrap(),
            flashsale_orders::Seen::default()
        );
    }
    steward.close().await;
}

#[tokio::test]
async fn a_sale_with_stock_and_without_an_end_is_found_by_its_successor() {
    let home = Home::new(Backend::Postgres).await;
    let mut steward = Steward::connect(home.target()).await.unwrap();
    steward.admit(tenant(SECOND, "word")).await.unwrap();
    let orders = Orders::open(&address(home.target(), SECOND, "word"), sale())
        .await
        .unwrap();
    let next = SaleUid(99);
    let find = async |steward: &mut Steward| steward.unsettled("shop", "phone-launch", next).await.unwrap();
    // It was never loaded: nothing can be sold twice.
    assert_eq!(find(&mut steward).await, None);
    orders
        .move_load_state(LoadState::Unseeded, LoadState::Seeding)
        .await
        .unwrap();
    assert_eq!(find(&mut steward).await, Some(format!("{:032x}", UID.0)));
    assert_eq!(
        steward.unsettled("shop", "phone-launch", UID).await.unwrap(),
        None
    );
    assert_eq!(steward.unsettled("shop", "phone", next).await.unwrap(), None);
    orders.close().await;
    steward.dismiss(SECOND).await.unwrap();
    assert_eq!(find(&mut steward).await, None);
}

#[tokio::test]
async fn a_reservation_keeps_a_sale_from_being_noted_as_settled() {
    let home = Home::new(Backend::Postgres).await;
    let mut steward = Steward::connect(home.target()).await.unwrap();
    let orders = home.open().await;
    orders
        .move_load_state(LoadState::Unseeded, LoadState::Seeded)
        .await
        .unwrap();
    let database = home.target().rsplit_once('/').unwrap().1;
    let insert = "INSERT INTO orders (sale, shard, made, n, buyer, item, quantity, units, place, amount, state, reserved_at) \
                  VALUES (1, 0, 1, 1, 'b', 0, 1, '0', 0, 1, 'reserved', 1)";
    home.server().sql(database, insert).unwrap();
    steward.note_settled(UID).await.unwrap();
    let seen = steward.look(None, UID).await.unwrap();
    assert_eq!((seen.phase.as_str(), seen.reserved), ("Armed", 1));
    assert!(
        steward
            .unsettled("shop", "phone-launch", SaleUid(1))
            .await
            .unwrap()
            .is_some()
    );
    home.server()
        .sql(database, "UPDATE orders SET state = 'closed'")
        .unwrap();
    steward.note_settled(UID).await.unwrap();
    assert_eq!(steward.look(None, UID).await.unwrap().phase, "Settled");
    for _ in 0..2 {
        steward.forget_rows(UID).await.unwrap();
        assert!(!steward.look(None, UID).await.unwrap().entered);
    }
    orders.close().await;
}

#[tokio::test]
async fn a_name_that_needs_more_than_quotes_is_refused() {
    let home = Home::new(Backend::Postgres).await;
    let mut steward = Steward::connect(home.target()).await.unwrap();
    for name in ["", "Fs", "fs\"; DROP TABLE x; --", "fs-1", &"a".repeat(64)] {
        assert!(steward.admit(tenant(name, "word")).await.is_err(), "{name}");
        assert!(steward.forget(name).await.is_err(), "{name}");
    }
    assert!(Steward::connect("orders.db").await.is_err());
}
