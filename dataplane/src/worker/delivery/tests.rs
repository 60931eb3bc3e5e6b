use super::*;
use crate::control::tests::sale;
use crate::embedded::described;
use crate::sale::Occasion;
use crate::switches::{Document, Entry, Source};
use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::any;
use flashsale_core::event::{Change, Event, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_orders::{Counted, ShardBatch, TicketSecret, Waiting};
use std::sync::Mutex;

type Heard = Arc<Mutex<Vec<String>>>;

/// A shop that says yes to everything; what it was called at.
async fn shop() -> (String, Heard) {
    let heard = Heard::default();
    let note = |State(heard): State<Heard>, uri: Uri| async move {
        heard.lock().unwrap().push(uri.path().to_owned());
    };
    let router = Router::new()
        .route("/{target}", any(note))
        .with_state(Arc::clone(&heard));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, heard)
}

/// One order that was made: its handover and its follow-up are due.
async fn ordered(orders: &Orders) {
    let (epoch, ticket) = (Epoch(1), TicketNo { made: Epoch(1), n: 1 });
    let reservation = Reservation {
        buyer: BuyerKey(1),
        buyer_id: "buyer".into(),
        item: ItemIx(0),
        units: [UnitRange { first: 0, len: 1 }].into_iter().collect(),
        key: None,
        at: 1,
        place: 1,
    };
    let events = [Event {
        n: 1,
        made: epoch,
        change: Change::Reserved(reservation),
    }];
    let events = Counted::Events {
        epoch,
        events: &events,
    };
    let steps = vec![Counted::Opened { epoch, base: 0 }, events];
    let shard = ShardId(0);
    orders.apply(&[ShardBatch { shard, steps }]).await.unwrap();
    let waiting = Waiting {
        shard,
        ticket,
        item: ItemIx(0),
        quantity: 1,
        place: 1,
        at: 1,
    };
    orders.make(&[waiting], now_ms(), 60_000).await.unwrap();
}

async fn until(heard: &Heard, what: &[&str]) {
    let all = async {
        while *heard.lock().unwrap() != what {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(came.is_ok(), "{:?} instead of {what:?}", heard.lock().unwrap());
}

#[tokio::test]
async fn while_follow_ups_are_paused_orders_are_handed_over_and_the_rest_comes_afterwards() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (dir, (base, heard)) = (tempfile::tempdir().unwrap(), shop().await);
    let mut sale = sale(1);
    sale.targets = [HANDOVER, "points"]
        .map(|name| Target {
            name: name.to_owned(),
            on: Occasion::Ordered,
            call: shop::Call {
                url: format!("{base}/{name}"),
                timeout: Duration::from_secs(10),
            },
        })
        .to_vec();
    let described = described(&sale, serde_json::Value::Null, TicketSecret([1; 32]));
    let file = dir.path().join("orders.db");
    let orders = Arc::new(Orders::open(file.to_str().unwrap(), described).await.unwrap());
    ordered(&orders).await;
    let shared = Arc::new(Shared::new(sale));
    let switch = |revision, value: bool| {
        let entry = Entry {
            switch: "followUps.paused".to_owned(),
            value: value.into(),
            ..Entry::nobody(Source::FlashSaleSwitch)
        };
        let entries = vec![entry];
        assert!(shared.switches.declare(Document { revision, entries }, now_ms()));
    };
    switch(1, true);
    let (stop, stopped) = watch::channel(false);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let delivery = Delivery::new(
        Arc::clone(&orders),
        Arc::clone(&shared),
        client,
        "a secret of a test".into(),
    );
    let delivering = tokio::spawn(delivery.run(stopped));
    until(&heard, &["/handover"]).await;
    tokio::time::sleep(IDLE * 3).await;
    let waits = orders.due(now_ms(), 10).await.unwrap();
    assert_eq!(
        (waits.len(), &*waits[0].target, waits[0].attempts),
        (1, "points", 0)
    );
    switch(2, false);
    until(&heard, &["/handover", "/points"]).await;
    stop.send_replace(true);
    delivering.await.unwrap();
    assert!(orders.due(now_ms(), 10).await.unwrap().is_empty());
}
