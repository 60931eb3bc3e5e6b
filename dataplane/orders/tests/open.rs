//! A database that can't be used says so in one line: what, where, and what to do.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::ids::SaleUid;
use flashsale_orders::{Counted, Error, ErrorKind, Orders, ShardBatch};
use sqlx::{Connection as _, SqliteConnection};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the child finds its database.
const PATH: &str = "FLASHSALE_TEST_PATH";

async fn refusal(path: &Path) -> Error {
    Orders::open(path.to_str().unwrap(), sale())
        .await
        .expect_err("it can't be opened")
}

/// One line that names the file, with this exit status.
fn assert_clear(error: &str, path: &Path, part: &str) {
    assert!(
        !error.contains('\n') && error.contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(error.contains(part), "{error}");
}

async fn execute(path: &Path, sql: &'static str) {
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut on = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut on).await.unwrap();
    on.close().await.unwrap();
}

#[tokio::test]
async fn addresses_that_name_no_file_are_refused() {
    for target in ["", ":memory:", "sqlite:", "/"] {
        let error = Orders::open(target, sale()).await.expect_err(target);
        assert_eq!(
            (error.kind(), error.kind().exit_status()),
            (ErrorKind::Address, 64),
            "{error}"
        );
    }
    let error = refusal(Path::new("/nowhere/at/all/orders.db")).await;
    assert_eq!(error.kind(), ErrorKind::NotWritable);
    assert_clear(
        &error.to_string(),
        Path::new("/nowhere/at/all/orders.db"),
        "no directory /nowhere/at/all",
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.db");
    for bytes in [&b"shopping list: milk"[..], b"x"] {
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&path).await;
        assert_eq!(
            (error.kind(), error.kind().exit_status()),
            (ErrorKind::Corrupt, 65)
        );
        assert_clear(&error.to_string(), &path, "restore it from a backup");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_damaged_page_is_reported_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.db");
    let orders = open(dir.path()).await;
    let events: Vec<_> = (1..=2000).map(|n| reserved(n, n as u32)).collect();
    apply(&orders, &events).await;
    orders.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() * 2 / 3);
    bytes[from..to].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let orders = open(dir.path()).await;
    let error = orders
        .recover(|_| ())
        .await
        .expect_err("a third of the file is gone");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_clear(&error.to_string(), &path, "damaged");
}

#[tokio::test]
async fn a_newer_schema_another_program_and_another_sale_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.db");
    open(dir.path()).await.close().await;

    let mut again = sale();
    again.uid = SaleUid(0xabc);
    let error = Orders::open(path.to_str().unwrap(), again)
        .await
        .expect_err("another uid");
    assert_eq!(
        (error.kind(), error.kind().exit_status()),
        (ErrorKind::OtherSale, 78)
    );
    assert_clear(
        &error.to_string(),
        &path,
        "shop/phone-launch with uid 0123456789abcdef0123456789abcdef",
    );

    execute(&path, "INSERT INTO _sqlx_migrations SELECT 9, 'bypass', installed_on, success, checksum, 0 FROM _sqlx_migrations WHERE version = 1").await;
    let error = refusal(&path).await;
    assert_eq!((error.kind(), error.kind().exit_status()), (ErrorKind::Newer, 78));
    assert_clear(&error.to_string(), &path, "schema version 9");

    let theirs = dir.path().join("theirs.db");
    execute(&theirs, "CREATE TABLE recipes (cake TEXT)").await;
    let error = refusal(&theirs).await;
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_clear(&error.to_string(), &theirs, "another program");
}

/// Opens the database and applies reservations until something fails; says what.
#[tokio::test]
#[ignore = "the half of the tests below that runs with fewer rights"]
async fn child() {
    let path = PathBuf::from(std::env::var(PATH).expect("started by a test below"));
    let orders = match Orders::open(path.to_str().unwrap(), sale()).await {
        Ok(orders) => orders,
        Err(error) => return println!("\nopen {} {error}", error.kind().exit_status()),
    };
    let (mut n, error) = fill(&orders).await;
    println!("\napply {} {error}", error.kind().exit_status());
    // What is there can still be read, and the next writes fail as clearly as the first.
    assert_eq!(orders.rows().await.unwrap()[0].1.applied, n);
    let error;
    (n, error) = fill(&orders).await;
    println!("\nagain {} {error}", error.kind().exit_status());
    println!("\nacknowledged {n}");
}

/// Applies reservations until it fails; the last number that was acknowledged, and the failure.
async fn fill(orders: &Orders) -> (u64, Error) {
    let mut n = orders.rows().await.unwrap()[0].1.applied;
    loop {
        let events: Vec<_> = (n + 1..=n + 100).map(|n| reserved(n, n as u32)).collect();
        let opened = Counted::Opened { epoch: E1, base: 0 };
        let steps = vec![
            opened,
            Counted::Events {
                epoch: E1,
                events: &events,
            },
        ];
        match orders.apply(&[ShardBatch { shard: SHARD, steps }]).await {
            Ok(applied) => n = applied[0].row.applied,
            Err(error) => return (n, error),
        }
        assert!(n < 100_000, "there is room for everything");
    }
}

fn said(output: &Output, what: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().filter_map(|l| l.strip_prefix(what));
    lines
        .next()
        .unwrap_or_else(|| panic!("no {what:?} in {text}"))
        .into()
}

#[tokio::test]
async fn a_read_only_file_and_directory_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    // The program, where anybody can run it: rights don't bind root.
    let program = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    open(dir.path()).await.close().await;
    let file = dir.path().join("orders.db");
    set(&file, 0o444);
    set(dir.path(), 0o555);
    for path in [file, dir.path().join("fresh.db")] {
        let mut child = Command::new(&program);
        child
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(PATH, &path);
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            child.uid(65534).gid(65534);
        }
        let line = said(&child.output().unwrap(), "open 77 ");
        assert_clear(&line, &path, "make the directory and the file writable");
    }
    set(dir.path(), 0o755);
}

#[tokio::test]
async fn a_full_disk_stops_with_one_line_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.db");
    // A limit on the file's size, in blocks of 512 bytes, is a full disk that a test can have.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 2000; exec \"$0\" --exact child --ignored --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(PATH, &path)
        .output()
        .unwrap();
    assert_clear(&said(&output, "apply 74 "), &path, "free space");
    assert_clear(&said(&output, "again 74 "), &path, "free space");
    let acknowledged = said(&output, "acknowledged ");
    // With room again, everything goes on.
    let orders = open(dir.path()).await;
    let mut count = 0;
    let recovered = orders.recover(|_| count += 1).await.unwrap();
    let applied = recovered.rows[0].1.applied;
    assert_eq!((applied.to_string(), applied), (acknowledged, count));
    assert!(applied > 0);
    assert_eq!(
        apply(&orders, &[reserved(applied + 1, 1_000_000)])
            .await
            .reserved
            .len(),
        1
    );
}
