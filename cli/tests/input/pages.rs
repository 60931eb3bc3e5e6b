//! The shop's own pages, in front of a sale that runs.

use crate::common::served::{Served, page};
use crate::common::{PATIENCE, Place, ended};
use crate::small_yaml;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head and the body of an answer to a request with this header line more.
async fn get(address: SocketAddr, path: &str, header: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Asks until the answer is this.
async fn becomes(address: SocketAddr, path: &str, wanted: impl Fn(&str, &str) -> bool) {
    let begun = Instant::now();
    loop {
        let (head, body) = get(address, path, "").await;
        if wanted(&head, &body) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{path} still is\n{head}\n\n{body}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_shops_own_pages_are_served_and_change_while_the_sale_runs() {
    let place = Place::new(&small_yaml());
    let pages = place.path("pages");
    std::fs::create_dir(&pages).unwrap();
    std::fs::write(
        pages.join("sale.html"),
        "<h1>first</h1><script>sale = __SALE__</script>",
    )
    .unwrap();
    std::fs::write(pages.join("shop.css"), "h1 { color: red }").unwrap();
    let mut up = place.up();
    up.args(["--opens-in", "1h", "--trust-header", "--pages"])
        .arg(&pages);
    let mut served = Served::start(up, &place.path("ready.json"));
    let ready = served.ready(PATIENCE).await.unwrap();

    let (head, body) = get(ready.listen, "/", "").await;
    assert_eq!(body, "<h1>first</h1><script>sale = \"small\"</script>");
    assert!(
        head.contains("cache-control: public, max-age=60") && head.contains("frame-ancestors 'none'"),
        "{head}"
    );
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (again, nothing) = get(ready.listen, "/", &format!("If-None-Match: {tag}\r\n")).await;
    assert!(again.starts_with("http/1.1 304") && nothing.is_empty(), "{again}");
    let (head, body) = get(ready.listen, "/pages/shop.css", "").await;
    assert!(
        head.contains("content-type: text/css") && body.contains("red"),
        "{head}"
    );
    let (head, _) = get(ready.listen, "/pages/..%2fsale.yaml", "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (_, body) = get(ready.listen, "/ticket", "").await;
    assert!(body.contains("<html"), "the built-in one: {body}");

    let listed: serde_json::Value =
        serde_json::from_str(&page(ready.admin, "/pages.json").await.unwrap()).unwrap();
    let hits = |path: &str| {
        let pages = listed["pages"].as_array().unwrap();
        pages.iter().find(|page| page["path"] == path).unwrap()["hits"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(
        (hits("/"), hits("/pages/shop.css"), hits("/ticket")),
        (2, 1, 1),
        "{listed}"
    );

    std::fs::write(pages.join("sale.html"), "<h1>second, and longer</h1>").unwrap();
    std::fs::remove_file(pages.join("shop.css")).unwrap();
    becomes(ready.listen, "/", |_, body| body.contains("second")).await;
    becomes(ready.listen, "/pages/shop.css", |head, _| {
        head.starts_with("http/1.1 404")
    })
    .await;
    let now = page(ready.admin, "/pages.json").await.unwrap();
    assert!(!now.contains(listed["version"].as_str().unwrap()), "{now}");
    assert!(served.stop().await.success());
}

#[tokio::test]
async fn what_only_a_cluster_does_is_said() {
    let entry =
        "  entry: {pagesConfigMapRef: {name: pages}, cdnPurge: {url: \"https://cdn.example/purge\"}}\n";
    let place = Place::new(&(small_yaml() + entry));
    let mut up = place.up();
    up.args([
        "--opens-in",
        "100ms",
        "--buyers",
        "3",
        "--payment-timeout",
        "1s",
        "--once",
    ]);
    let ended = ended(up).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for said in ["ConfigMaps are read on a cluster only", "CDN        not called"] {
        assert!(ended.out.contains(said), "{ended:?}");
    }
}

#[tokio::test]
async fn pages_that_are_not_there_are_named_before_the_sale_begins() {
    let place = Place::new(&small_yaml());
    let mut up = place.up();
    up.arg("--pages").arg(place.path("nowhere"));
    let ended = ended(up).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .err
            .contains("nowhere: there is no such directory (`--pages`)"),
        "{ended:?}"
    );
}
