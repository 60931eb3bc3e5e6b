//! `audit` and `dead-letters`.

use crate::common::{Place, adds_up, audit, ended, flashsale, shop};
use crate::{refused, small_yaml};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// Changes the order database behind the program's back.
async fn tamper(place: &Place, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(place.path("data/orders.db"));
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0, "nothing to change: {statement}");
    sqlx::Connection::close(connection).await.unwrap();
}

#[tokio::test]
async fn an_audit_of_nothing_says_so_and_makes_nothing() {
    let place = Place::new(&small_yaml());
    for dir in ["missing", "empty"] {
        let path = place.path(dir);
        if dir == "empty" {
            std::fs::create_dir(&path).unwrap();
        }
        for command in [
            &["audit"][..],
            &["dead-letters", "list"],
            &["dead-letters", "replay", "--all"],
        ] {
            let mut command = flashsale(command.iter().copied());
            command.arg("--data").arg(&path);
            refused(command, 2, &["error: *: there is no sale here*"]).await;
        }
        assert_eq!(path.exists(), dir == "empty");
        assert!(std::fs::read_dir(&path).is_ok_and(|mut files| files.next().is_none()) || dir == "missing");
    }
}

#[tokio::test]
async fn an_audit_of_an_honest_sale_adds_up_and_changes_nothing() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let before = crate::snapshot(&place.path("data/journal"));
    for _ in 0..2 {
        let (ended, report) = audit(&place.data()).await;
        assert!(adds_up(&ended, &report), "{ended:?}");
        let item = &report["items"][0];
        assert_eq!(
            (&item["sold"], &item["sellable"], &item["locked"]),
            (&2.into(), &8.into(), &0.into())
        );
    }
    assert!(crate::snapshot(&place.path("data/journal")) == before);
}

/// After the change, the audit must fail and name the unit of the order that was changed.
async fn found(statement: &'static str, check: &str) {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    tamper(&place, statement).await;
    let (ended, report) = audit(&place.data()).await;
    assert_eq!(ended.code, Some(1), "{statement}: {ended:?}");
    assert_eq!(report["audit"]["ok"], false, "{statement}: {report:#}");
    let check = &report["audit"]["checks"][check];
    assert_eq!(check["ok"], false, "{statement}: {report:#}");
    let offenders = check["offenders"].as_array().unwrap();
    assert!(!offenders.is_empty(), "{statement}: {report:#}");
    assert!(
        offenders.iter().all(|o| !o.as_str().unwrap().is_empty()),
        "{statement}: {report:#}"
    );
    println!("{statement}: {offenders:?}");

    // In words too.
    let mut words = flashsale(["audit", "--data"]);
    words.arg(place.data());
    let words = crate::common::ended(words).await;
    assert_eq!(words.code, Some(1));
    // However its lines are broken.
    let said: Vec<&str> = words.out.split_whitespace().collect();
    let named = said.join(" ").contains(offenders[0].as_str().unwrap());
    assert!(named, "{}", words.out);
}

#[tokio::test]
async fn an_order_that_was_made_paid_by_hand_is_named() {
    found(
        "UPDATE orders SET state = 'paid', reason = NULL WHERE buyer = 'cleo'",
        "closedGaveUnitsBack",
    )
    .await;
}

#[tokio::test]
async fn an_order_that_was_closed_by_hand_is_named() {
    found(
        "UPDATE orders SET state = 'closed', reason = 'unpaid' WHERE buyer = 'ada'",
        "closedGaveUnitsBack",
    )
    .await;
}

#[tokio::test]
async fn an_order_that_vanished_is_named() {
    found(
        "DELETE FROM orders WHERE buyer = 'bob'",
        "ordersMatchReservations",
    )
    .await;
}

#[tokio::test]
async fn an_order_of_another_unit_is_named() {
    found(
        "UPDATE orders SET units = '7' WHERE buyer = 'bob'",
        "ordersMatchReservations",
    )
    .await;
}

#[tokio::test]
async fn a_payment_of_another_amount_is_named() {
    found("UPDATE payments SET amount = 1", "moneyAddsUp").await;
}

#[tokio::test]
async fn messages_that_were_given_up_are_listed_and_sent_again_on_demand() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let letters = |args: &[&'static str]| {
        let mut command = flashsale(["dead-letters"]);
        command.args(args).arg("--data").arg(place.data());
        command
    };
    let none = ended(letters(&["list"])).await;
    assert_eq!(
        (none.code, none.out.as_str()),
        (Some(0), "0 given up\n"),
        "{none:?}"
    );

    let insert = "INSERT INTO messages (sale, id, kind, target, payload, created_at, attempts, next_at, last_error, state)
                  SELECT sale, 900 + n, 'paid', 'shop', '{}', 1, 20, 1, 'shop answered 500', 'dead'
                  FROM sales, (SELECT 1 AS n UNION SELECT 2)";
    tamper(&place, insert).await;
    let two = ended(letters(&["list"])).await;
    let lines: Vec<&str> = two.out.lines().collect();
    assert!(lines.len() == 3 && lines[2] == "2 given up", "{two:?}");
    assert!(
        lines[0].starts_with("901") && lines[0].contains("shop answered 500"),
        "{two:?}"
    );

    let one = ended(letters(&["replay", "901"])).await;
    assert_eq!(
        (one.code, one.out.as_str()),
        (Some(0), "1 due again\n"),
        "{one:?}"
    );
    let unknown = ended(letters(&["replay", "77"])).await;
    assert_eq!(
        (unknown.code, unknown.out.as_str()),
        (Some(0), "0 due again\n"),
        "{unknown:?}"
    );
    let rest = ended(letters(&["replay", "--all"])).await;
    assert_eq!(
        (rest.code, rest.out.as_str()),
        (Some(0), "1 due again\n"),
        "{rest:?}"
    );
    let none = ended(letters(&["list"])).await;
    assert_eq!(none.out, "0 given up\n", "{none:?}");
}
