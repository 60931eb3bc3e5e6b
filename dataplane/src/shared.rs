//! What the threads of one process know of the sale, in memory: written by the host and the worker,
//! read by the gateways without a lock or a call.

use crate::amendments::Amended;
use crate::bloom::Winners;
use crate::board::Board;
use crate::clock::now_ms;
use crate::counters::Counters;
use crate::link::Links;
use crate::pages::Published;
use crate::sale::Sale;
use crate::switches::Switchboard;
use arc_swap::ArcSwap;
use flashsale_core::ids::{ItemIx, Millis, ShardId};
use flashsale_core::lanes::Forecast;
use flashsale_core::view::{self, ShardView};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Notify;

/// [`Shared::available`] while a shard isn't open: nobody knows.
pub const UNKNOWN: u32 = u32::MAX;

/// Where the sale as a whole stands; in this order, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Attempts sent to a shard elsewhere and not answered yet.
    pub calls_under_way: AtomicU64,
    /// Whether all declared stock is loaded, as the worker says.
    pub loaded: AtomicBool,
    /// What was amended, as the worker has taken it.
    amended: ArcSwap<Amended>,
    /// When the sale ends now.
    closes: AtomicU64,
    /// What was switched.
    pub switches: Switchboard,
    /// The pages that buyers see.
    pub(crate) pages: Published,
    /// The links to other processes of the sale.
    pub(crate) links: Arc<Links>,
    /// How far the sale was moved on, as a [`SalePhase`].
    phase: AtomicU8,
}

impl Shared {
    /// Before anything has happened.
    #[must_use]
    pub fn new(sale: Sale) -> Self {
        let switches = Switchboard::default();
        // Until somebody knows better.
        switches.begin(&sale.switches, now_ms());
        let unowned = ShardView::unowned(sale.items.len());
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
            calls_under_way: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            amended: ArcSwap::default(),
            closes: AtomicU64::new(sale.closes),
            switches,
            pages: Published::new(&sale.name),
            links: Arc::default(),
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

    /// All shards as they last showed themselves, in order.
    #[must_use]
    pub fn views(&self) -> Vec<Arc<ShardView>> {
        self.shards.iter().map(ArcSwap::load_full).collect()
    }

    /// A shard elsewhere shows itself: what that means for the stock is reckoned anew.
    pub fn show(&self, shard: ShardId, view: ShardView) {
        self.shards[shard.ix()].store(Arc::new(view));
        let views = self.views();
        for (ix, stock) in self.stock.iter().enumerate() {
            let item = ItemIx(ix as u16);
            let in_transfer = view::on_their_way(&views, item).map(|(_, units)| units).sum();
            stock.in_transfer.store(in_transfer, Ordering::Relaxed);
            let available = view::available(&views, item).unwrap_or(UNKNOWN);
            stock.available.store(available, Ordering::Release);
        }
    }

    /// At which rate reservations become orders now; 0 while none is made.
    #[must_use]
    pub fn orders_per_minute(&self) -> u32 {
        let force = self.switches.in_force();
        match force.hold {
            true => 0,
            false => force.orders_per_minute.unwrap_or_else(|| {
                let amended = self.amended.load().rate_per_minute;
                amended.unwrap_or(self.sale.orders_per_minute)
            }),
        }
    }

    /// When the sale ends, as far as this process knows.
    #[must_use]
    pub fn closes(&self) -> Millis {
        self.closes.load(Ordering::Acquire)
    }

    /// The sale ends later.
    pub fn extend(&self, closes: Millis) {
        self.closes.fetch_max(closes, Ordering::AcqRel);
    }

    /// What was amended.
    #[must_use]
    pub fn amended(&self) -> Arc<Amended> {
        self.amended.load_full()
    }

    /// The worker has taken amendments; an older revision changes nothing. One thread does this.
    pub fn amend(&self, amended: Amended) {
        if amended.revision > self.amended.load().revision {
            self.extend(amended.closes);
            if amended.cancellation.is_some() {
                // Closed first: no unit that comes back is sold again.
                self.advance(SalePhase::Draining);
            }
            self.amended.store(Arc::new(amended));
        }
    }

    /// Units of an item, with what was added.
    #[must_use]
    pub fn units(&self, item: ItemIx) -> u32 {
        let declared = self.sale.items[item.ix()].stock;
        declared.saturating_add(self.amended.load().granted(item))
    }

    /// Where the sale stands at `now`: what was set, or as far as the clock alone brings it.
    #[must_use]
    pub fn phase(&self, now: Millis) -> SalePhase {
        let by_clock = if now < self.sale.opens {
            SalePhase::Armed
        } else if now < self.closes() {
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

    /// Whether a shard takes purchases now.
    #[must_use]
    pub fn takes(&self, shard: ShardId) -> bool {
        self.shards
            .get(shard.ix())
            .is_some_and(|view| view.load().takes())
    }

    /// How far a shard is.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<Arc<ShardView>> {
        self.shards.get(shard.ix()).map(ArcSwap::load_full)
    }
}
