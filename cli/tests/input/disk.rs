//! A disk that is full.

use crate::common::evidence::AtRest;
use crate::common::served::{self, Served, read_ready};
use crate::common::{PATIENCE, PAYMENT_SECRET, Place, adds_up, audit, yaml};
use crate::{mounts, refused, small_yaml};
use flashsale_buyers::{Address, Crowd, CrowdConfig, Item, PaymentSecret, TicketState};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Takes all the room that is left in a directory.
fn fill(dir: &Path) {
    let mut file = std::fs::File::create(dir.join("filler")).unwrap();
    for chunk in [vec![1; 1 << 16], vec![1; 512], vec![1; 1]] {
        while file.write_all(&chunk).is_ok() {}
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_named_and_with_room_the_sale_starts() {
    mounts::alone(
        "disk::a_disk_that_is_full_at_the_start_is_named_and_with_room_the_sale_starts",
        async {
            for room in ["4k", "64k", "300k"] {
                let place = Place::new(&small_yaml());
                mounts::tmpfs(&place.path("disk"), &format!("size={room}"));
                let start = |ready: Option<&Path>| {
                    let mut up = crate::common::flashsale(["up", "--plain", "--trust-header"]);
                    up.args([
                        "--listen",
                        "127.0.0.1:0",
                        "--admin",
                        "127.0.0.1:0",
                        "--gateways",
                        "1",
                    ]);
                    up.arg(place.sale())
                        .arg("--data")
                        .arg(place.path("disk").join("data"));
                    ready.map(|ready| up.arg("--ready-file").arg(ready));
                    up
                };
                refused(start(None), 1, &["error: *space*"]).await;
                mounts::resize(&place.path("disk"), "64m");
                let mut server = Served::start(start(None), &place.path("ready.json"));
                server.ready(PATIENCE).await.unwrap();
                assert!(server.stop().await.success(), "{}", server.errors());
            }
        },
    );
}

#[test]
fn a_disk_that_fills_in_the_middle_of_a_sale_ends_it_with_a_line_and_nothing_is_lost() {
    let name = "disk::a_disk_that_fills_in_the_middle_of_a_sale_ends_it_with_a_line_and_nothing_is_lost";
    mounts::alone(name, async {
        let place = Place::new(&yaml("disk", &[("phone", 5_000)]));
        mounts::tmpfs(&place.data(), "size=96m");
        let start = || {
            let mut up = place.up();
            up.args([
                "--trust-header",
                "--opens-in",
                "500ms",
                "--closes-in",
                "8s",
                "--payment-timeout",
                "1s",
            ]);
            up.arg("--payment-secret").arg(place.path("secret"));
            Served::start(up, &place.path("ready.json"))
        };
        let mut server = start();
        let ready = server.ready(PATIENCE).await.unwrap();
        let (go_home, told) = oneshot::channel::<()>();
        let opens = served::live(ready.admin).await.unwrap()["openTimeMs"]
            .as_u64()
            .unwrap();
        let crowd = crowd(&place, opens).run(async move {
            // Told, or the test has ended: either way the crowd goes home.
            let _ = told.await;
        });
        let crowd = tokio::spawn(crowd);
        let selling = |live: &serde_json::Value| live["funnel"]["ordered"].as_u64() > Some(100);
        served::until(ready.admin, PATIENCE, selling).await.unwrap();
        fill(&place.data());
        assert_eq!(server.ended().await.code(), Some(1), "{}", server.errors());
        let errors = server.errors();
        let errors: Vec<&str> = errors.lines().collect();
        assert!(
            errors.len() == 1 && errors[0].starts_with("error: "),
            "{errors:#?}"
        );
        assert!(errors[0].contains("space"), "{errors:#?}");

        std::fs::remove_file(place.data().join("filler")).unwrap();
        let mut server = start();
        let ready = server.ready(PATIENCE).await.unwrap();
        served::until(ready.admin, PATIENCE, |live| live["phase"] == "Settled")
            .await
            .unwrap();
        drop(go_home);
        let outcome = crowd.await.unwrap().unwrap();
        assert!(server.stop().await.success(), "{}", server.errors());
        let (ended, report) = audit(&place.data()).await;
        assert!(adds_up(&ended, &report), "{ended:?}");
        let rest = AtRest::read(&place.data()).await;
        let unkept: Vec<String> = outcome
            .tickets
            .iter()
            .filter_map(|shown| rest.unkept(shown))
            .collect();
        assert!(
            unkept.is_empty() && outcome.violations.is_empty(),
            "{unkept:#?} {:#?}",
            outcome.violations
        );
        assert!(
            outcome
                .tickets
                .iter()
                .filter(|t| t.was_shown(TicketState::Ordered))
                .count()
                > 100
        );
    });
}

fn crowd(place: &Place, opens: u64) -> Crowd {
    let ready = place.path("ready.json");
    let address = Address::Ask(Arc::new(move || Some(read_ready(&ready)?.listen)));
    let mut config = CrowdConfig::new(address, "disk", vec![Item::new("phone", 5_000)], 6_000);
    config.spread = Duration::from_secs(3);
    config.opens_at_ms = opens;
    config.payment_secret = Some(PaymentSecret::new(PAYMENT_SECRET));
    config.connections = 16;
    config.request_timeout = Duration::from_secs(2);
    config.attempts_max = 100;
    Crowd::new(config).unwrap()
}
