//! Whether orders are made at the rate that was set, whatever the rush.

use crate::report::Figure;
use crate::sale::{Offer, Sale, Serving};
use crate::wrk::{Load, Wrk};
use crate::{Bench, child, machine};
use anyhow::ensure;
use std::time::{Duration, Instant};

/// Orders a minute.
pub(crate) const PER_MINUTE: u32 = 10_000;
/// All reserved at once: more than are made while it is watched.
pub(crate) const STOCK: u32 = 8_000;
/// How long the rate is watched.
pub(crate) const WATCHED: Duration = Duration::from_secs(30);
/// The rate of each part of it is shown, too.
const PARTS: u32 = 6;
const SOLD_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The rate over all, and its parts, in a sale that is served with these `options` besides.
pub(crate) fn measure(bench: &Bench<'_>, options: &[String]) -> anyhow::Result<Vec<Figure>> {
    let dir = bench.round_dir()?;
    let program = machine::flashsale(bench.programs)?;
    let offer = Offer {
        stock: STOCK,
        orders_per_minute: PER_MINUTE,
    };
    let serving = Serving {
        program: &program,
        gateways: None,
        core: None,
        options,
    };
    let sale = Sale::open(dir.path(), offer, serving)?;
    let load = Load {
        url: &sale.url(),
        connections: 64,
        in_flight: 1,
        seconds: SOLD_WITHIN.as_secs(),
        core: None,
        crowd: "a",
        count: None,
    };
    let wrk = Wrk::start(dir.path(), &load)?;
    let sold = child::until("sold", SOLD_WITHIN, LOOK_EVERY, || {
        let sold = sale.counts()?.event("reserved")? >= u64::from(STOCK);
        Ok(sold.then_some(()))
    });
    wrk.interrupt()?;
    sold?;
    let mut looks = vec![look(&sale)?];
    for part in 1..=PARTS {
        bench
            .progress
            .show(&format!("orders at a set rate, part {part} of {PARTS}"));
        std::thread::sleep(WATCHED / PARTS);
        looks.push(look(&sale)?);
    }
    let rate = |from: (Instant, u64), to: (Instant, u64)| {
        (to.1 - from.1) as f64 * 60.0 / (to.0 - from.0).as_secs_f64()
    };
    let (first, last) = (looks[0], looks[looks.len() - 1]);
    ensure!(
        last.1 < u64::from(STOCK),
        "all {STOCK} orders were made before the end: the rate wasn't kept"
    );
    let parts = looks.windows(2).map(|w| rate(w[0], w[1])).collect();
    sale.stop()?;
    let set = f64::from(PER_MINUTE);
    let seconds = WATCHED.as_secs();
    Ok(vec![
        Figure::new(
            format!("orders made at a set {PER_MINUTE}/min, {seconds} s"),
            "orders/min",
            vec![rate(first, last)],
        )
        .kept(set),
        Figure::new("in each sixth of it", "orders/min", parts).kept(set),
    ])
}

fn look(sale: &Sale) -> anyhow::Result<(Instant, u64)> {
    let orders = sale.counts()?.event("ordered")?;
    Ok((Instant::now(), orders))
}
