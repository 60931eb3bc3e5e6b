//! What all tests of this crate begin with.
#![allow(dead_code, unreachable_pub, unused_macros, unused_imports)]

pub mod books;

use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, SaleUid, ShardId};
use flashsale_core::units::UnitRange;
use flashsale_orders::{
    Applied, Counted, Orders, Payment, Routes, Sale, SaleItem, ShardBatch, TicketSecret, Waiting,
};
use flashsale_servers::PostgresServer;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use tempfile::TempDir;
use tokio::sync::Mutex;

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

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Where a test keeps its orders: fresh databases, gone with it.
pub struct Home {
    dir: TempDir,
    server: Option<Arc<PostgresServer>>,
    pub targets: Vec<String>,
}

/// The server that the tests of one program share, while any of them runs.
static SERVER: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub async fn shared_server() -> Arc<PostgresServer> {
    let mut shared = SERVER.lock().await;
    if let Some(server) = shared.upgrade() {
        return server;
    }
    // The directory is removed when the server is gone.
    let dir = std::env::temp_dir().join(format!("flashsale-orders-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory for the server");
    let server = PostgresServer::start(&dir, &[]).await.expect("PostgreSQL starts");
    let server = Arc::new(server);
    *shared = Arc::downgrade(&server);
    server
}

impl Home {
    pub async fn new(on: Backend) -> Self {
        Self::of(on, 1).await
    }

    /// A home with so many databases.
    pub async fn of(on: Backend, databases: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = match on {
            Backend::Sqlite => None,
            Backend::Postgres => Some(shared_server().await),
        };
        let targets = (0..databases).map(|ix| match &server {
            None => dir.path().join(format!("orders-{ix}.db")).display().to_string(),
            Some(server) => {
                let name = format!("orders{}", DATABASES.fetch_add(1, Ordering::Relaxed));
                let create = format!("CREATE DATABASE {name}");
                server.sql("postgres", &create).expect("a database is made");
                server.url(&name)
            }
        });
        let targets = targets.collect();
        Self { dir, server, targets }
    }

    /// The address of the first database.
    pub fn target(&self) -> &str {
        &self.targets[0]
    }

    pub fn server(&self) -> &PostgresServer {
        self.server.as_deref().expect("a test on PostgreSQL")
    }

    pub async fn open(&self) -> Orders {
        self.open_as(sale()).await
    }

    pub async fn open_as(&self, sale: Sale) -> Orders {
        let targets: Vec<&str> = self.targets.iter().map(String::as_str).collect();
        Orders::open_all(&targets, sale)
            .await
            .expect("fresh databases open")
    }
}

/// Makes a test of each of these for each kind of database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::common::Backend::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::common::Backend::Postgres).await;
            })+
        }
    };
}

pub async fn open(dir: &Path) -> Orders {
    let path = dir.join("orders.db");
    Orders::open(path.to_str().expect("a path of text"), sale())
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
