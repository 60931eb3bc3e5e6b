//! What the threads of one process know of the sale, in memory: written by the host and the worker,
//! read by the gateways without a lock or a call.

use crate::bloom::Winners;
use crate::board::Board;
use crate::counters::Counters;
use crate::sale::Sale;
use arc_swap::ArcSwap;
use flashsale_core::ids::{Epoch, ItemIx, Millis, ShardId};
use flashsale_core::lanes::Forecast;
use flashsale_core::owner::{Phase, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Notify;

/// [`Shared::available`] while a shard isn't open: nobody knows.
pub const UNKNOWN: u32 = u32::MAX;

/// Where the sale as a whole stands; in this order, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SalePhase {
    /// Ready, before the opening time.
    Armed,
    /// Purchases are taken.
    Open,
    /// No purchases any more; what was taken is being applied and made into orders.
    Draining,
    /// Orders wait for their payment or their deadline.
    Settling,
    /// Every order is final and every unit is where it belongs.
    Settled,
}

impl SalePhase {
    const ALL: [Self; 5] = [
        Self::Armed,
        Self::Open,
        Self::Draining,
        Self::Settling,
        Self::Settled,
    ];

    /// The word for it in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Armed => "Armed",
            Self::Open => "Open",
            Self::Draining => "Draining",
            Self::Settling => "Settling",
            Self::Settled => "Settled",
        }
    }
}

/// What a shard looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardView {
    /// Where its owner stands.
    pub phase: Phase,
    /// How far it is.
    pub progress: Progress,
    /// Free units over all items.
    pub free: u64,
}

/// How an item's stock is divided, as the host and the database last said.
#[derive(Debug, Default)]
pub struct Stock {
    /// Free or in transfer; [`UNKNOWN`] while a shard isn't open.
    pub available: AtomicU32,
    /// Of these, in transfer between shards.
    pub in_transfer: AtomicU32,
    /// Paid.
    pub sold: AtomicU32,
    /// The highest place of the item's queue that has become an order.
    pub served: AtomicU32,
    /// How many wait in the item's queue for their order.
    pub waiting: AtomicU32,
}

/// The sale as all threads see it.
#[derive(Debug)]
pub struct Shared {
    /// The sale.
    pub sale: Sale,
    /// Per item.
    pub stock: Vec<Stock>,
    /// Per shard.
    pub shards: Vec<ArcSwap<ShardView>>,
    /// Who may hold a ticket.
    pub winners: Winners,
    /// What the database says of each order.
    pub board: Board,
    /// When waiting reservations become orders.
    pub forecast: ArcSwap<Forecast>,
    /// The reservation time of the oldest reservation that waits for its order; 0 if none does.
    pub oldest_waiting: AtomicU64,
    /// What has happened so far.
    pub counters: Counters,
    /// Told when the journal has made something durable: there is something to apply.
    pub durable: Notify,
    /// How far the sale was moved on, as a [`SalePhase`].
    phase: AtomicU8,
}

impl Shared {
    /// Before anything has happened.
    #[must_use]
    pub fn new(sale: Sale) -> Self {
        let unowned = ShardView {
            phase: Phase::Fencing,
            progress: Progress {
                epoch: Epoch(0),
                promised: 0,
                applied: 0,
                next: 1,
                excludes_before: Epoch(0),
                segments: Vec::new(),
            },
            free: 0,
        };
        let stock = || Stock {
            available: AtomicU32::new(UNKNOWN),
            ..Stock::default()
        };
        Self {
            stock: sale.items.iter().map(|_| stock()).collect(),
            shards: (0..sale.shards)
                .map(|_| ArcSwap::from_pointee(unowned.clone()))
                .collect(),
            winners: Winners::new(sale.stock() as usize),
            board: Board::new(sale.shards),
            forecast: ArcSwap::from_pointee(Forecast::new(&[], 1.0)),
            oldest_waiting: AtomicU64::new(0),
            counters: Counters::default(),
            durable: Notify::new(),
            phase: AtomicU8::new(SalePhase::Armed as u8),
            sale,
        }
    }

    /// Free or in-transfer units of an item; `None` while nobody knows.
    #[must_use]
    pub fn available(&self, item: ItemIx) -> Option<u32> {
        let units = self.stock[item.ix()].available.load(Ordering::Acquire);
        (units != UNKNOWN).then_some(units)
    }

    /// Where the sale stands at `now`: what was set, or as far as the clock alone brings it.
    #[must_use]
    pub fn phase(&self, now: Millis) -> SalePhase {
        let by_clock = if now < self.sale.opens {
            SalePhase::Armed
        } else if now < self.sale.closes {
            SalePhase::Open
        } else {
            SalePhase::Draining
        };
        let set = SalePhase::ALL[usize::from(self.phase.load(Ordering::Acquire))];
        set.max(by_clock)
    }

    /// Moves the sale on to `phase`; an earlier one than it is in changes nothing. `Open` before the opening time
    /// has no effect on purchases: the shards go by the clock.
    pub fn advance(&self, phase: SalePhase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// How far a shard is.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<Arc<ShardView>> {
        self.shards.get(shard.ix()).map(ArcSwap::load_full)
    }
}
