//! Data that was damaged.

use crate::common::{Place, flashsale, shop};
use crate::{refused, small_yaml, snapshot};
use std::path::PathBuf;

/// Neither `up` nor `audit` goes on with damaged data; both say so in this line, and change nothing.
async fn refused_by_both(place: &Place, line: &str) {
    let before = snapshot(&place.path("data/journal"));
    let mut up = place.up();
    up.arg("--trust-header");
    refused(up, 1, &[line]).await;
    let mut audit = flashsale(["audit", "--data"]);
    audit.arg(place.data());
    refused(audit, 1, &[line]).await;
    assert!(
        snapshot(&place.path("data/journal")) == before,
        "the journal was changed"
    );
}

/// The segment with the sale's events.
fn segment(place: &Place) -> PathBuf {
    let used = |path: &PathBuf| {
        std::fs::read(path)
            .unwrap()
            .iter()
            .filter(|byte| **byte != 0)
            .count()
    };
    let files = snapshot(&place.path("data/journal"));
    files
        .into_iter()
        .map(|(path, _)| PathBuf::from(path))
        .max_by_key(used)
        .unwrap()
}

#[tokio::test]
async fn one_flipped_byte_in_the_middle_of_the_order_log_is_found_and_named() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let segment = segment(&place);
    let mut bytes = std::fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // In the records, not in the padding between them.
    let middle = (used / 2..used).find(|at| bytes[*at] != 0).unwrap();
    bytes[middle] ^= 0x10;
    std::fs::write(&segment, bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    refused_by_both(&place, &format!("error: *{name}*")).await;
}

#[tokio::test]
async fn an_order_log_that_lost_its_files_is_no_empty_one() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    for (path, _) in snapshot(&place.path("data/journal")) {
        if !path.ends_with("LOCK") {
            std::fs::remove_file(path).unwrap();
        }
    }
    refused_by_both(&place, "error: *journal*").await;
}

#[tokio::test]
async fn a_truncated_order_database_is_found_and_named() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let path = place.path("data/orders.db");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refused_by_both(&place, "error: order database *orders.db*damaged*").await;
}

#[tokio::test]
async fn an_order_database_that_is_none_is_found_and_kept() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let path = place.path("data/orders.db");
    std::fs::write(
        &path,
        "these are my notes, and not a database at all\n".repeat(200),
    )
    .unwrap();
    refused_by_both(
        &place,
        "error: order database *orders.db*damaged or isn't a database*",
    )
    .await;
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("these are my notes")
    );
}

#[tokio::test]
async fn an_audit_without_the_order_database_says_so_and_makes_none() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    std::fs::rename(place.path("data/orders.db"), place.path("moved.db")).unwrap();
    for command in [&["audit"][..], &["dead-letters", "list"]] {
        let mut command = flashsale(command.iter().copied());
        command.arg("--data").arg(place.data());
        let line = "error: *orders.db: can't open the order database: No such file*";
        refused(command, 1, &[line]).await;
        assert!(!place.path("data/orders.db").exists(), "it made a database");
    }
}

#[tokio::test]
async fn what_was_decided_at_the_first_start_must_be_readable() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    std::fs::write(place.path("data/sale.json"), "{\"uid\": \"12").unwrap();
    let mut up = place.up();
    up.arg("--trust-header");
    refused(
        up,
        2,
        &["error: *sale.json: can't be read (*): restore it from a backup"],
    )
    .await;
}
