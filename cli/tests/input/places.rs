//! Ports and directories that can't be used.

use crate::common::served::Served;
use crate::common::{PATIENCE, Place, flashsale, shop};
use crate::{mounts, refused, small_yaml, snapshot};
use std::net::TcpListener;

#[tokio::test]
async fn a_port_in_use_is_named_and_the_next_start_is_a_first_start() {
    let place = Place::new(&small_yaml());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let mut up = flashsale([
            "up",
            "--plain",
            "--trust-header",
            flag,
            &address,
            other,
            "127.0.0.1:0",
        ]);
        up.arg(place.sale()).arg("--data").arg(place.data());
        let line = format!("error: *{address}*in use*{flag}*");
        refused(up, 1, &[&line]).await;
        assert!(
            !place.data().exists(),
            "the times of the sale were decided by a start that served nobody"
        );
    }
}

#[tokio::test]
async fn a_port_that_another_sale_serves_is_in_use_too() {
    let (one, other) = (Place::new(&small_yaml()), Place::new(&small_yaml()));
    let mut server = shop::small(&one);
    let address = server.ready(PATIENCE).await.unwrap().listen.to_string();
    let mut up = flashsale(["up", "--plain", "--trust-header", "--listen", &address]);
    up.args(["--admin", "127.0.0.1:0"])
        .arg(other.sale())
        .arg("--data")
        .arg(other.data());
    let line = format!("error: *{address}*in use*");
    refused(up, 1, &[&line]).await;
    server.kill().await;
}

#[tokio::test]
async fn a_file_in_place_of_the_data_directory_is_named_and_kept() {
    let place = Place::new(&small_yaml());
    std::fs::write(place.data(), "mine").unwrap();
    let mut up = place.up();
    up.arg("--trust-header");
    refused(up, 1, &["error: *data*: can't *"]).await;
    assert_eq!(std::fs::read_to_string(place.data()).unwrap(), "mine");
}

#[test]
fn a_read_only_disk_is_named() {
    mounts::alone("places::a_read_only_disk_is_named", async {
        let place = Place::new(&small_yaml());
        mounts::tmpfs(&place.data(), "ro,size=1m");
        let mut up = place.up();
        up.arg("--trust-header");
        refused(up, 1, &["error: *data*Read-only file system*"]).await;
    });
}

#[test]
fn data_that_became_read_only_is_named_and_still_audited() {
    mounts::alone(
        "places::data_that_became_read_only_is_named_and_still_audited",
        async {
            let place = Place::new(&small_yaml());
            shop::sell_and_settle(&place).await;
            mounts::read_only(&place.data());
            let before = snapshot(&place.data());
            let mut up = place.up();
            up.arg("--trust-header");
            refused(up, 1, &["error: *data*"]).await;
            assert_eq!(snapshot(&place.data()), before);
        },
    );
}

#[tokio::test]
async fn the_data_of_another_sale_is_refused_and_kept() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    let before = snapshot(&place.data());
    std::fs::write(place.sale(), small_yaml().replace("stock: 10", "stock: 11")).unwrap();
    let mut up = place.up();
    up.arg("--trust-header");
    refused(up, 2, &["error: *data: the directory holds another sale*--data*"]).await;
    assert_eq!(snapshot(&place.data()), before);
}

#[tokio::test]
async fn the_data_of_a_sale_of_another_name_is_refused() {
    let place = Place::new(&small_yaml());
    shop::sell_and_settle(&place).await;
    std::fs::write(place.sale(), small_yaml().replace("name: small", "name: large")).unwrap();
    let mut up = place.up();
    up.arg("--trust-header");
    refused(up, 2, &["error: *data: the directory holds another sale*--data*"]).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_and_the_first_goes_on() {
    let place = Place::new(&small_yaml());
    let mut first = shop::small(&place);
    let ready = first.ready(PATIENCE).await.unwrap();
    let second = || {
        let mut up = place.up();
        up.arg("--trust-header");
        up
    };
    let locked = "error: *data/journal*another process*";
    refused(second(), 1, &[locked]).await;
    let mut audit = flashsale(["audit", "--data"]);
    audit.arg(place.data());
    refused(audit, 1, &[locked]).await;
    let live = crate::common::served::live(ready.admin).await;
    assert!(live.is_some(), "the first one is gone: {}", first.errors());
    shop::order(ready.listen, "small", "phone", "ada").await;
    // Killed, it holds nothing any more.
    first.kill().await;
    let mut up = second();
    up.args(["--gateways", "1"]);
    let mut third = Served::start(up, &place.path("ready.json"));
    third.ready(PATIENCE).await.unwrap();
    assert!(third.stop().await.success());
}
