//! What all tests of this crate begin with.
#![allow(dead_code, unreachable_pub)]

use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_orders::{
    Applied, Counted, Orders, Payment, Routes, Sale, SaleItem, ShardBatch, TicketSecret, Waiting,
};
use std::path::Path;

pub const UID: SaleUid = SaleUid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
pub const E1: Epoch = Epoch(1);
pub const SHARD: ShardId = ShardId(0);
/// Milliseconds that a buyer has to pay.
pub const TIMEOUT: u64 = 1000;

/// A sale of two items over two shards; messages go to `shop`.
pub fn sale() -> Sale {
    let item = |id: &str, price| SaleItem { id: id.into(), price };
    let shop = || vec!["shop".into()];
    Sale {
        uid: UID,
        namespace: "shop".into(),
        name: "phone-launch".into(),
        spec: serde_json::json!({"items": 2}),
        phase: "Armed".into(),
        currency: "EUR".into(),
        decimals: 2,
        shards: 2,
        items: vec![item("phone", 69_900), item("case", 1_950)],
        routes: Routes {
            handover: shop(),
            paid: shop(),
            closed: shop(),
            refund: shop(),
        },
        fresh_secret: TicketSecret([7; 32]),
        now: 1,
    }
}

pub async fn open(dir: &Path) -> Orders {
    open_as(dir, sale()).await
}

pub async fn open_as(dir: &Path, sale: Sale) -> Orders {
    let path = dir.join("orders.db");
    Orders::open(path.to_str().expect("a path of text"), sale)
        .await
        .expect("a fresh database opens")
}

pub fn ticket(n: u64) -> TicketNo {
    TicketNo { made: E1, n }
}

pub fn reservation(n: u64, item: u16, units: &[(u32, u32)]) -> Reservation {
    Reservation {
        buyer: BuyerKey(u128::from(n)),
        buyer_id: format!("buyer-{n}").into(),
        item: ItemIx(item),
        units: units
            .iter()
            .map(|&(first, len)| UnitRange { first, len })
            .collect(),
        key: None,
        at: 10 + n,
        place: n as u32,
    }
}

/// Event `n`: somebody takes one unit of item 0.
pub fn reserved(n: u64, unit: u32) -> Event {
    reserved_as(n, reservation(n, 0, &[(unit, 1)]))
}

pub fn reserved_as(n: u64, reservation: Reservation) -> Event {
    Event {
        n,
        made: E1,
        change: Change::Reserved(reservation),
    }
}

pub fn released(n: u64, ticket: TicketNo, reason: ReleaseReason) -> Event {
    Event {
        n,
        made: E1,
        change: Change::Released { ticket, reason },
    }
}

/// Opens shard 0 in epoch 1 and applies these events to it.
pub async fn apply(orders: &Orders, events: &[Event]) -> Applied {
    let opened = Counted::Opened { epoch: E1, base: 0 };
    let batch = ShardBatch {
        shard: SHARD,
        steps: vec![opened, Counted::Events { epoch: E1, events }],
    };
    let mut applied = orders.apply(&[batch]).await.expect("a batch is applied");
    applied.remove(0)
}

pub fn payment(orders: &Orders, id: &str, n: u64, at: u64) -> Payment {
    Payment {
        id: id.into(),
        order_id: orders.order_id(SHARD, ticket(n)),
        amount: 69_900,
        currency: "EUR".into(),
        at,
    }
}

/// Event `n` as the lanes have it.
pub fn waiting(n: u64) -> Waiting {
    Waiting {
        shard: SHARD,
        ticket: ticket(n),
        item: ItemIx(0),
        quantity: 1,
        place: n as u32,
        at: 10 + n,
    }
}
