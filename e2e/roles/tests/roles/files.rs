//! What is wrong with a process' files ends it at once, with one line that says what to mend.

use crate::process::ended;
use std::path::Path;

/// A payments process' files, in a directory.
fn written(dir: &Path, config: &str) -> std::path::PathBuf {
    let sale = dir.join("sale");
    std::fs::create_dir_all(&sale).unwrap();
    let yaml = "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSale\nmetadata: {name: files, namespace: shop}\n\
        spec:\n  openTime: \"2030-12-01T12:00:00Z\"\n  closeTime: \"2030-12-01T12:30:00Z\"\n  currency: EUR\n\
        \x20 items:\n    - {id: phone, title: Phone, price: \"9.90\", stock: 1}\n";
    std::fs::write(sale.join("sale.yaml"), yaml).unwrap();
    let decided = r#"{"uid":"00000000000000000000000000000001","openMs":1,"closeMs":2,"shards":2,"paymentTimeoutMs":1000}"#;
    std::fs::write(sale.join("sale.json"), decided).unwrap();
    std::fs::write(dir.join("tickets"), "07".repeat(32)).unwrap();
    std::fs::write(dir.join("link"), "a secret of these tests, of enough bytes").unwrap();
    std::fs::write(dir.join("short"), "short").unwrap();
    let file = dir.join("config.yaml");
    std::fs::write(&file, config.replace("DIR", &dir.display().to_string())).unwrap();
    file
}

const SIDECAR: &str = "sale: DIR/sale\nshards: [0, 1]\nredis: [{url: \"redis://127.0.0.1:1\"}]\n\
    pulsar: {url: \"pulsar://127.0.0.1:1\"}\ndatabases: [{url: \"postgres://shop@127.0.0.1:1/orders\"}]\n\
    keys: {link: DIR/link, tickets: DIR/tickets}\nlink: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";

#[tokio::test]
async fn a_wrong_configuration_ends_a_process_with_code_2_and_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, said) in [
        (
            "shards: [0, 1]",
            "shards: [0, 2]",
            "shards: the sale has no shard 2",
        ),
        (
            "tickets: DIR/tickets",
            "tickets: DIR/short",
            "keys.tickets: the file must hold 64",
        ),
        ("link: DIR/link", "link: DIR/short", "the key has 5 bytes"),
        ("link: DIR/link", "link: DIR/nowhere", "nowhere: can't read it"),
        ("sale: DIR/sale", "sale: DIR", "there is no sale here"),
        (
            "redis://127",
            "redis://:s3cret@127",
            "redis[0]: url: there is a password in it",
        ),
        (
            "admin: 127.0.0.1:0",
            "admin: 127.0.0.1:0\nport: 1",
            "unknown field `port`",
        ),
        (
            "link: 127.0.0.1:0",
            "link: 192.0.2.1:7700",
            "link: can't listen on 192.0.2.1:7700",
        ),
        (
            "postgres://shop@127.0.0.1:1/orders",
            "postgres:nonsense",
            "databases: ",
        ),
    ] {
        assert!(SIDECAR.contains(from));
        let config = written(dir.path(), &SIDECAR.replace(from, to));
        let (code, errors) = ended("sidecar", &config).await;
        assert_eq!(code, Some(2), "{to}: {errors}");
        assert!(
            errors.starts_with("error: ") && errors.contains(said),
            "{to}: {errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{to}: {errors}");
        assert!(!errors.contains("s3cret"), "{errors}");
    }
    let (code, errors) = ended("worker", &dir.path().join("missing.yaml")).await;
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("missing.yaml: can't read it"), "{errors}");
}
