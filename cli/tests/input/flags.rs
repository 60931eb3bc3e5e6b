//! Command lines that can't be.

use crate::common::{Place, ended, flashsale};
use crate::{refused, small_yaml};

/// The command is refused with exit code 2 and a line that names what is wrong; nothing is written.
async fn refused_flags(flags: &[&str], names: &str) {
    let place = Place::new(&small_yaml());
    let mut up = place.up();
    up.args(flags);
    let told = ended(up).await;
    assert_eq!(told.code, Some(2), "{flags:?}: {told:?}");
    assert!(
        told.err.contains(names) && !told.err.contains("panicked"),
        "{flags:?}: {told:?}"
    );
    assert!(
        told.out.is_empty() && !place.data().exists(),
        "{flags:?}: {told:?}"
    );
}

#[tokio::test]
async fn flags_that_make_no_sense_are_refused_and_named() {
    refused_flags(&["--frobnicate"], "--frobnicate").await;
    refused_flags(&["--shards", "0"], "--shards").await;
    refused_flags(&["--shards", "129"], "--shards").await;
    refused_flags(&["--shards", "many"], "--shards").await;
    refused_flags(&["--gateways", "0"], "--gateways").await;
    refused_flags(&["--opens-in", "soon"], "--opens-in").await;
    refused_flags(&["--opens-in", "-5s"], "-5").await;
    refused_flags(&["--payment-timeout", "99999999999h"], "--payment-timeout").await;
    refused_flags(&["--listen", "somewhere"], "--listen").await;
    refused_flags(&["--listen", "127.0.0.1:99999"], "--listen").await;
    refused_flags(&["--skew", "zipf"], "--buyers").await;
    refused_flags(&["--buyers", "10", "--skew", "diagonal"], "--skew").await;
    refused_flags(&["--trust-header", "--closes-in", "0s"], "--closes-in").await;
    refused_flags(&["--buyers", "0"], "--buyers").await;
}

#[tokio::test]
async fn commands_that_are_none_are_refused() {
    for args in [
        &["frob"][..],
        &["up"],
        &["dead-letters"],
        &["dead-letters", "replay"],
        &[],
    ] {
        let told = ended(flashsale(args.iter().copied())).await;
        assert_eq!(told.code, Some(2), "{args:?}: {told:?}");
        assert!(told.err.contains("Usage"), "{args:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_payment_secret_that_is_missing_or_too_short_is_refused_before_anything_is_written() {
    let place = Place::new(&small_yaml());
    std::fs::write(place.path("short"), "secret").unwrap();
    for (file, line) in [
        ("missing", "error: *missing: can't read it (No such file*"),
        (
            "short",
            "error: *short: the secret has 6 bytes, it needs at least 16",
        ),
    ] {
        let mut up = place.up();
        up.arg("--trust-header")
            .arg("--payment-secret")
            .arg(place.path(file));
        refused(up, 2, &[line]).await;
        assert!(!place.data().exists(), "{file}");
    }
}
