//! Everybody who waits, and what is counted over all of them. One thread: no locks.

use crate::buyer::{Buyer, Ticket};
use crate::sale::{self, PAYMENT_TIMEOUT_MS};
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cell::{Cell, RefCell, RefMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;
use tokio::sync::Notify;

/// Connections from one source address: the server allows an address 1,024.
const CONNECTIONS_PER_ADDRESS: u32 = 1_000;

/// The crowd of one run.
pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) buyers: RefCell<Vec<Buyer>>,
    /// From a request to its answer, in microseconds.
    pub(crate) latency: RefCell<Histogram<u64>>,
    pub(crate) polls: Cell<u64>,
    pub(crate) events: Cell<u64>,
    /// How many hold a ticket, how many an order.
    pub(crate) tickets: Cell<u32>,
    pub(crate) ordered: Cell<u32>,
    pub(crate) streams_open: Cell<u32>,
    /// The most that were open at the same time.
    pub(crate) most_streams: Cell<u32>,
    /// Answers that told a buyer to come back, or connections that ended early.
    pub(crate) setbacks: Cell<u64>,
    /// Told when everybody has an order.
    pub(crate) done: Notify,
    connections: Cell<u32>,
}

impl World {
    /// Nobody has come yet.
    pub(crate) fn new(server: SocketAddr, buyers: u32, seed: u64) -> anyhow::Result<Self> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let wishes = sale::wishes(buyers, &mut rng);
        let buyer = |item| Buyer {
            item,
            ..Buyer::default()
        };
        Ok(Self {
            server,
            started: Instant::now(),
            buyers: RefCell::new(wishes.into_iter().map(buyer).collect()),
            latency: RefCell::new(Histogram::new(3)?),
            polls: Cell::new(0),
            events: Cell::new(0),
            tickets: Cell::new(0),
            ordered: Cell::new(0),
            streams_open: Cell::new(0),
            most_streams: Cell::new(0),
            setbacks: Cell::new(0),
            done: Notify::new(),
            connections: Cell::new(0),
        })
    }

    /// One buyer.
    pub(crate) fn buyer(&self, buyer: u32) -> RefMut<'_, Buyer> {
        RefMut::map(self.buyers.borrow_mut(), |buyers| &mut buyers[buyer as usize])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.buyers.borrow().len() as u32
    }

    /// The source address of the next connection.
    pub(crate) fn source(&self) -> IpAddr {
        let connection = self.connections.get();
        self.connections.set(connection + 1);
        let address = connection / CONNECTIONS_PER_ADDRESS + 1;
        Ipv4Addr::new(127, 0, (address >> 8) as u8, address as u8).into()
    }

    /// A buyer sees the ticket; whether to go on waiting.
    pub(crate) fn look(&self, buyer: u32, body: &[u8]) -> anyhow::Result<bool> {
        let seen: Ticket<'_> = serde_json::from_slice(body)?;
        let known = self.buyer(buyer).ordered_ms.is_some();
        let waits = self.buyer(buyer).look(&seen, PAYMENT_TIMEOUT_MS);
        // Who has an order at once may see it again.
        if !waits && !known {
            bump(&self.ordered);
            if self.ordered.get() == self.len() {
                self.done.notify_waiters();
            }
        }
        Ok(waits)
    }

    /// Notes how long an answer took.
    pub(crate) fn answered(&self, since: Instant) {
        // A latency beyond the histogram's range can't be: it grows as needed.
        let _ = self
            .latency
            .borrow_mut()
            .record(since.elapsed().as_micros() as u64);
    }
}

/// One more.
pub(crate) fn bump<T: Copy + std::ops::Add<Output = T> + From<u8>>(cell: &Cell<T>) {
    cell.set(cell.get() + T::from(1));
}

/// The header's value that says who a buyer is.
pub(crate) fn name(buyer: u32) -> String {
    format!("waiting-{buyer}")
}
