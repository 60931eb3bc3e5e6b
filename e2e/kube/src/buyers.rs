//! Buyers who come in by host name through the entry.

use crate::cluster::Cluster;
use crate::stage::{PAYMENT_SECRET, Script};
use anyhow::{Result, bail};
use flashsale_buyers::{Crowd, CrowdConfig, Item, Outcome, PaymentSecret};
use std::time::Duration;

/// So many of those who are told "sold out" wait for units that come back; enough to take them all.
const PATIENT_SHARE: f64 = 0.12;

/// A crowd for a sale that opens at this time of the Unix epoch.
pub(crate) fn crowd(cluster: &Cluster, script: &Script, opens_at_ms: u64, buyers: u32) -> CrowdConfig {
    let items = script
        .items
        .iter()
        .map(|(id, stock)| Item::new(*id, *stock as u64));
    let mut config = CrowdConfig::new(cluster.entry, script.name, items.collect(), buyers);
    config.host = script.host();
    config.opens_at_ms = opens_at_ms;
    config.spread = Duration::from_secs(8);
    config.payment_secret = Some(PaymentSecret::new(PAYMENT_SECRET.as_bytes()));
    config.shares.patient = PATIENT_SHARE;
    // Longer than an order may wait for its payment.
    config.patience = Duration::from_secs(90);
    config.give_up_after = script.open_for.min(Duration::from_secs(150)) + Duration::from_secs(60);
    config
}

/// Lets them come; no promise made to any of them may be broken.
pub(crate) async fn come(config: CrowdConfig) -> Result<Outcome> {
    let outcome = Crowd::new(config)?.run(std::future::pending()).await?;
    let b = &outcome.buyers;
    println!(
        "    {} buyers: {} won, {} sold out, {} limited, {} failed; answers p50 {:.1} ms, p99 {:.1} ms; 80 % after {:?} s, all after {:?} s",
        b.total,
        b.won,
        b.sold_out,
        b.limited,
        b.failed,
        outcome.latency_ms.p50,
        outcome.latency_ms.p99,
        outcome.seconds_to80_percent,
        outcome.seconds_to_sold_out,
    );
    if outcome.violations_total > 0 {
        bail!(
            "{} promises broken: {:?}",
            outcome.violations_total,
            outcome.violations.first()
        );
    }
    if !outcome.unexpected.is_empty() {
        println!("    unexpected answers: {:?}", outcome.unexpected);
    }
    Ok(outcome)
}
