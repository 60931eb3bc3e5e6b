//! The server that all cases share, and a sale for each.

use flashsale_core::ids::SaleUid;
use flashsale_pulsar::{Admin, Delivery, From, Layout, Names, Reader, Record, Service};
use flashsale_servers::PulsarServer;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long anything may take to arrive before a case gives up: a broker that was killed is back after 20 s on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) server: Mutex<PulsarServer>,
    pub(crate) service: Service,
    pub(crate) admin: Admin,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = PulsarServer::start(dir.path())
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        Self {
            service: Service::new(server.service_url(), None),
            admin: Admin::new(&server.admin_url(), None).expect("an admin client"),
            server: Mutex::new(server),
            _dir: dir,
        }
    }

    /// A new sale with its topics.
    pub(crate) async fn sale(&self, shards: u16) -> Layout {
        let layout = layout(shards);
        self.admin.ensure(&layout).await.unwrap_or_else(|e| panic!("{e}"));
        layout
    }

    /// A reader of all of the sale's partitions, from their starts.
    pub(crate) fn reader(&self, layout: &Layout) -> Reader {
        Reader::start(
            &self.service,
            &layout.names,
            (0..layout.shards).map(|p| (p, From::Start)),
        )
    }
}

/// A sale that nobody has seen before.
pub(crate) fn layout(shards: u16) -> Layout {
    Layout {
        names: Names::new("shop", SaleUid(uuid::Uuid::new_v4().as_u128())),
        shards,
    }
}

/// The next `count` records, whatever else comes.
pub(crate) async fn records(reader: &mut Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        match patiently(reader.next()).await {
            Some(Delivery::Record(record)) => records.push(record),
            Some(Delivery::CaughtUp { .. }) => {}
            None => panic!("the reader has ended"),
        }
    }
    records
}

/// Everything up to where all partitions were when the reader came.
pub(crate) async fn all_until_caught_up(reader: &mut Reader, partitions: u16) -> Vec<Record> {
    let (mut records, mut behind) = (Vec::new(), partitions);
    while behind > 0 {
        match patiently(reader.next()).await {
            Some(Delivery::Record(record)) => records.push(record),
            Some(Delivery::CaughtUp { .. }) => behind -= 1,
            None => panic!("the reader has ended"),
        }
    }
    records
}

pub(crate) async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("arrives in time")
}
