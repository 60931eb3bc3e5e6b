//! The view with scripted data: `cargo run -p flashsale-screen --example show [-- --plain] [-- ITEMS SHARDS]`.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use flashsale_screen::live::{Funnel, Live, LiveItem, LiveLatency, LiveQueue, LiveShard, Rates};
use flashsale_screen::{CrowdProgress, Options, Quantiles, Snapshot, run};

const BUYERS: u64 = 500_000;
const OPENS_AT_MS: u64 = 1_796_126_400_000;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = args.iter().filter_map(|a| a.parse::<u64>().ok());
    let (items, shards) = (numbers.next().unwrap_or(3), numbers.next().unwrap_or(8));
    let start = Instant::now();
    let options = Options {
        plain: args.iter().any(|a| a == "--plain"),
    };
    // Three seconds before the opening to twelve after it, and round again.
    let source = || {
        Some(scene(
            start.elapsed().as_secs_f64() % 15.0 - 3.0,
            items,
            shards as u16,
        ))
    };
    let left = run(options, source, &AtomicBool::new(false))?;
    println!("left: {left:?}");
    Ok(())
}

/// The sale `t` seconds after the opening.
fn scene(t: f64, items: u64, shards: u16) -> Snapshot {
    let arrived = if t < 0.0 {
        0.0
    } else {
        BUYERS as f64 * (1.0 - (-t / 2.0).exp())
    };
    let stock_each = 30_000 / items.max(1);
    let won = (arrived as u64).min(stock_each * items);
    let paid = (won as f64 * (t / 12.0).clamp(0.0, 0.8)) as u64;
    let speed = if t < 0.0 {
        900.0
    } else {
        BUYERS as f64 / 2.0 * (-t / 2.0).exp() * (1.0 + 0.2 * (t * 9.0).sin())
    };
    let answered = (arrived * 0.97) as u64;
    let item = |i: u64| {
        let (won, paid) = (won / items, paid / items);
        let moving = if t > 0.0 && won < stock_each { 40 } else { 0 };
        LiveItem {
            id: format!("phone-{i}"),
            title: format!(
                "Phone {i}, {}",
                ["black", "white", "midnight blue"][i as usize % 3]
            ),
            stock: stock_each,
            sellable: stock_each - won - moving.min(stock_each - won),
            in_transfer: moving.min(stock_each - won),
            locked: won - paid,
            sold: paid,
            waiting: won - paid,
        }
    };
    let shard = |id: u16| LiveShard {
        id,
        epoch: 1,
        state: if id == 5 && (2.0..4.0).contains(&t) {
            "Recovering"
        } else {
            "Open"
        }
        .to_owned(),
        next: won / u64::from(shards) + 1,
        promised: won / u64::from(shards) + 1,
        applied: (won - won / 10) / u64::from(shards) + 1,
        free: (stock_each * items - won) / u64::from(shards),
        open: true,
    };
    let live = Live {
        sale: "phone-launch".to_owned(),
        namespace: "shop".to_owned(),
        phase: if t < 0.0 {
            "Armed"
        } else if t < 10.0 {
            "Open"
        } else {
            "Draining"
        }
        .to_owned(),
        now_ms: (OPENS_AT_MS as f64 + t * 1e3) as u64,
        open_time_ms: OPENS_AT_MS,
        close_time_ms: OPENS_AT_MS + 10_000,
        items: (0..items).map(item).collect(),
        funnel: Funnel {
            requests: (arrived * 1.3) as u64,
            attempts: arrived as u64,
            won,
            sold_out: answered.saturating_sub(won),
            duplicate: won / 30,
            reserved: won,
            ordered: won - won / 10,
            paid,
            not_open: 9_800,
            ..Funnel::default()
        },
        rates: Rates {
            requests_per_second: speed,
            won_per_second: if won < stock_each * items {
                speed * 0.7
            } else {
                0.0
            },
            orders_per_second: if t > 0.0 {
                9_000.0 + 900.0 * (t * 5.0).cos()
            } else {
                0.0
            },
        },
        queue: LiveQueue {
            waiting: won / 10,
            oldest_seconds: t.max(0.0) / 9.0,
            rate_per_minute: 540_000,
        },
        shards: (0..shards).map(shard).collect(),
        latency_ms: LiveLatency {
            p50: 0.4,
            p99: 7.9,
            p999: 21.0,
        },
        ..Live::default()
    };
    let crowd = CrowdProgress {
        total: BUYERS,
        arrived: arrived as u64,
        won,
        sold_out: answered.saturating_sub(won),
        paid,
        latency_ms: Quantiles {
            p50: 1.9,
            p99: 48.0,
            p999: 1_250.0,
        },
        ..CrowdProgress::default()
    };
    Snapshot {
        live,
        crowd: Some(crowd),
    }
}
