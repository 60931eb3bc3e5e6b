//! The shop is told how its sale ended.

use crate::common::{PAYMENT_SECRET, Place, ended, yaml};
use flashsale_dataplane::signature;
use serde_json::Value;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A call as it came in: headers by their names in small letters, and the body.
type Call = (HashMap<String, String>, String);

/// Takes one call, and answers it with this status.
async fn take(shop: &TcpListener, status: u16) -> Call {
    let (mut stream, _) = shop.accept().await.unwrap();
    let mut text = String::new();
    loop {
        let mut more = [0; 4096];
        let read = stream.read(&mut more).await.unwrap();
        text.push_str(std::str::from_utf8(&more[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let headers: HashMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        if body.len() < headers["content-length"].parse().unwrap() {
            continue;
        }
        let answer = format!("HTTP/1.1 {status} As asked\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        return (headers, body.to_owned());
    }
}

/// A sale whose shop is at this port.
fn told(port: u16) -> Place {
    let webhook = format!("{{url: \"http://127.0.0.1:{port}/settled\", timeout: 2s}}");
    Place::new(
        &(yaml("small", &[("phone", 50)]) + &format!("  teardown: {{settlement: {{webhook: {webhook}}}}}\n")),
    )
}

/// The whole sale, to twenty buyers.
fn play(place: &Place) -> tokio::process::Command {
    let mut up = place.up();
    up.args(["--opens-in", "100ms", "--buyers", "20", "--payment-timeout", "1s"]);
    up.args(["--once", "--payment-secret"]).arg(place.path("secret"));
    up
}

#[tokio::test]
async fn the_shop_hears_what_goes_back_to_it_and_a_refusal_is_tried_again() {
    let shop = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = told(shop.local_addr().unwrap().port());
    let calls = tokio::spawn(async move { [take(&shop, 503).await, take(&shop, 204).await] });
    let ended = ended(play(&place)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("the shop has taken the report"), "{ended:?}");
    let [(refused, first), (taken, body)] = calls.await.unwrap();
    assert_eq!(refused["flashsale-message-id"], taken["flashsale-message-id"]);
    assert_eq!((&first, taken["flashsale-event"].as_str()), (&body, "settled"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = &taken["flashsale-signature"];
    assert!(
        signature::verify(PAYMENT_SECRET, now, signature, body.as_bytes()),
        "{signature}"
    );
    let told: Value = serde_json::from_str(&body).unwrap();
    let item = &told["items"][0];
    let sold = item["sold"].as_i64().unwrap();
    assert!(sold > 0, "{told}");
    assert_eq!(
        (&item["id"], &item["stock"], &item["returned"]),
        (&"phone".into(), &50.into(), &(50 - sold).into())
    );
    assert_eq!((&told["sold"], &told["sale"]), (&sold.into(), &"small".into()));
}

#[tokio::test]
async fn a_shop_that_is_away_is_named_and_nothing_is_lost() {
    // Nobody listens at a port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let place = told(port);
    let ended = ended(play(&place)).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("audit: ok"), "{ended:?}");
    let said =
        format!("spec.teardown.settlement.webhook: http://127.0.0.1:{port}/settled didn't take the report");
    assert!(ended.err.contains(&said), "{ended:?}");
}
