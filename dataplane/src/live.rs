//! What the live page and the terminal show: the whole sale in one small document.

use crate::clock::now_ms;
use crate::shared::{Shared, UNKNOWN};
use crate::switches::Shown;
use flashsale_core::ids::ItemIx;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One look at a running sale; the admin port serves it at `/live.json`. Whoever reads it ignores unknown
/// fields and takes missing ones as empty, so that programs of different versions understand each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Live {
    /// The sale's name.
    pub sale: String,
    /// Its namespace.
    pub namespace: String,
    /// Armed, Open, Draining, Settling or Settled.
    pub phase: String,
    /// The server's time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The opening time.
    pub open_time_ms: u64,
    /// The closing time.
    pub close_time_ms: u64,
    /// Per item, in the sale's order.
    pub items: Vec<LiveItem>,
    /// What has happened since the process started.
    pub funnel: Funnel,
    /// Over the last seconds.
    pub rates: Rates,
    /// Reservations that wait for their order.
    pub queue: LiveQueue,
    /// Per shard.
    pub shards: Vec<LiveShard>,
    /// From a purchase request's arrival to its answer, in the server.
    pub latency_ms: LiveLatency,
    /// Whether all declared stock is loaded, as far as this process knows.
    pub loaded: bool,
    /// The revision of the amendments that the worker has taken; 0: none.
    pub amendments_revision: u64,
    /// What wasn't taken of them, one sentence each.
    pub amendments_refused: Vec<String>,
    /// The revision of the switches that this process knows; 0: none.
    pub switches_revision: u64,
    /// What is switched.
    pub switches: Vec<Shown>,
}

/// Where an item's units are: `sellable + in_transfer + locked + sold = stock`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveItem {
    /// The item's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Declared.
    pub stock: u64,
    /// Free.
    pub sellable: u64,
    /// On the way between shards.
    pub in_transfer: u64,
    /// Reserved or waiting for payment.
    pub locked: u64,
    /// Paid.
    pub sold: u64,
    /// Reservations that wait for their order.
    pub waiting: u64,
}

/// How far requests came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Funnel {
    /// HTTP requests.
    pub requests: u64,
    /// Purchase requests.
    pub attempts: u64,
    /// Tickets given out.
    pub won: u64,
    /// Told "sold out".
    pub sold_out: u64,
    /// Told the ticket that they have.
    pub duplicate: u64,
    /// Refused by a limit, a key conflict or a missing entitlement.
    pub limited: u64,
    /// Too early or too late.
    pub not_open: u64,
    /// Told to come back.
    pub busy: u64,
    /// Malformed or not identified.
    pub failed: u64,
    /// Reservations promised.
    pub reserved: u64,
    /// Orders made.
    pub ordered: u64,
    /// Orders paid.
    pub paid: u64,
    /// Orders closed.
    pub closed: u64,
    /// Payments to give back.
    pub refund_due: u64,
}

/// Rates over the time since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rates {
    /// HTTP requests per second.
    pub requests_per_second: f64,
    /// Tickets per second.
    pub won_per_second: f64,
    /// Orders per second.
    pub orders_per_second: f64,
}

/// Reservations that wait for their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveQueue {
    /// How many.
    pub waiting: u64,
    /// How long the oldest has waited.
    pub oldest_seconds: f64,
    /// The set rate.
    pub rate_per_minute: u64,
}

/// One shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveShard {
    /// Its number.
    pub id: u16,
    /// Its owner's epoch.
    pub epoch: u32,
    /// Where its owner stands.
    pub state: String,
    /// Whether it takes purchases, or would within the window.
    pub open: bool,
    /// The next event's number.
    pub next: u64,
    /// The last promised event.
    pub promised: u64,
    /// The last event that the database has applied.
    pub applied: u64,
    /// Free units.
    pub free: u64,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveLatency {
    /// Half are faster.
    pub p50: f64,
    /// All but 1 % are faster.
    pub p99: f64,
    /// All but 0.1 % are faster.
    pub p999: f64,
}

/// Looks at a sale again and again; rates are those since the look before.
#[derive(Debug)]
pub struct Observer {
    last: Option<(Instant, Funnel)>,
    rates: Rates,
}

/// Rates over less than this would jump about.
const RATE_OVER_SECONDS_MIN: f64 = 0.9;

impl Observer {
    /// Before the first look.
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: None,
            rates: Rates::default(),
        }
    }

    /// Looks.
    pub fn look(&mut self, shared: &Shared) -> Live {
        let funnel = funnel(shared);
        self.update_rates(funnel);
        let items: Vec<LiveItem> = (0..shared.stock.len()).map(|ix| item(shared, ix)).collect();
        let now = now_ms();
        let oldest = shared.oldest_waiting.load(Ordering::Relaxed);
        let sale = &shared.sale;
        let (force, amended) = (shared.switches.in_force(), shared.amended());
        Live {
            sale: sale.name.clone(),
            namespace: sale.namespace.clone(),
            phase: shared.phase(now).word().to_owned(),
            now_ms: now,
            open_time_ms: sale.opens,
            close_time_ms: shared.closes(),
            queue: LiveQueue {
                waiting: items.iter().map(|i| i.waiting).sum(),
                oldest_seconds: if oldest == 0 {
                    0.0
                } else {
                    now.saturating_sub(oldest) as f64 / 1e3
                },
                rate_per_minute: u64::from(shared.orders_per_minute()),
            },
            items,
            funnel,
            rates: self.rates,
            shards: shards(shared),
            latency_ms: latency(shared),
            loaded: shared.loaded.load(Ordering::Acquire),
            amendments_revision: amended.revision,
            amendments_refused: amended.refused.clone(),
            switches_revision: force.revision,
            switches: force.all.clone(),
        }
    }

    fn update_rates(&mut self, funnel: Funnel) {
        let Some((then, before)) = self.last else {
            self.last = Some((Instant::now(), funnel));
            return;
        };
        let seconds = then.elapsed().as_secs_f64();
        if seconds >= RATE_OVER_SECONDS_MIN {
            self.rates = Rates {
                requests_per_second: (funnel.requests - before.requests) as f64 / seconds,
                won_per_second: (funnel.won - before.won) as f64 / seconds,
                orders_per_second: (funnel.ordered - before.ordered) as f64 / seconds,
            };
            self.last = Some((Instant::now(), funnel));
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

fn funnel(shared: &Shared) -> Funnel {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let c = &shared.counters;
    Funnel {
        requests: read(&c.requests),
        attempts: read(&c.attempts),
        won: read(&c.won),
        sold_out: read(&c.sold_out),
        duplicate: read(&c.duplicate),
        limited: read(&c.limited),
        not_open: read(&c.not_open),
        busy: read(&c.busy) + read(&c.too_fast),
        failed: read(&c.failed),
        reserved: read(&c.reserved),
        ordered: read(&c.ordered),
        paid: read(&c.paid),
        closed: read(&c.closed),
        refund_due: read(&c.refund_due),
    }
}

fn item(shared: &Shared, ix: usize) -> LiveItem {
    let (item, stock) = (&shared.sale.items[ix], &shared.stock[ix]);
    let total = u64::from(shared.units(ItemIx(ix as u16)));
    let available = match stock.available.load(Ordering::Acquire) {
        UNKNOWN => 0,
        units => u64::from(units).min(total),
    };
    let in_transfer = u64::from(stock.in_transfer.load(Ordering::Relaxed)).min(available);
    // The host and the database are looked at one after the other: what is neither available nor sold
    // is locked, so the figures always add up.
    let sold = u64::from(stock.sold.load(Ordering::Relaxed)).min(total - available);
    LiveItem {
        id: item.id.clone(),
        title: item.title.clone(),
        stock: total,
        sellable: available - in_transfer,
        in_transfer,
        locked: total - available - sold,
        sold,
        waiting: u64::from(stock.waiting.load(Ordering::Relaxed)),
    }
}

fn shards(shared: &Shared) -> Vec<LiveShard> {
    let views = shared.shards.iter().map(arc_swap::ArcSwap::load_full);
    views
        .enumerate()
        .map(|(id, view)| LiveShard {
            id: id as u16,
            epoch: view.progress.epoch.0,
            state: format!("{:?}", view.phase),
            open: view.takes(),
            next: view.progress.next,
            promised: view.progress.promised,
            applied: view.progress.applied,
            free: view.free_total(),
        })
        .collect()
}

fn latency(shared: &Shared) -> LiveLatency {
    let [p50, p99, p999] = shared.counters.latency.quantiles([0.5, 0.99, 0.999]);
    let millis = |micros: u64| micros as f64 / 1e3;
    LiveLatency {
        p50: millis(p50),
        p99: millis(p99),
        p999: millis(p999),
    }
}
