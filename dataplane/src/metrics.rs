//! The sale's figures for Prometheus, read at the time of the scrape.

use crate::live::Observer;
use crate::shared::Shared;
use flashsale_http::Stats;
use prometheus::{Encoder, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// Renders all metrics in Prometheus' text format.
///
/// # Errors
/// Never in practice: names and labels are fixed; a clash of names would show here.
pub fn render(shared: &Shared, http: Option<&Stats>) -> prometheus::Result<Vec<u8>> {
    let registry = Registry::new();
    let live = Observer::new().look(shared);
    counters(&registry, shared, http)?;
    let stock = IntGaugeVec::new(
        Opts::new(
            "flashsale_item_units",
            "Units of an item, by where they are; they sum to its stock.",
        ),
        &["item", "state"],
    )?;
    registry.register(Box::new(stock.clone()))?;
    let waiting = IntGaugeVec::new(
        Opts::new(
            "flashsale_item_waiting_orders",
            "Reservations that wait for their order.",
        ),
        &["item"],
    )?;
    registry.register(Box::new(waiting.clone()))?;
    for item in &live.items {
        let states = [
            ("sellable", item.sellable),
            ("in_transfer", item.in_transfer),
            ("locked", item.locked),
            ("sold", item.sold),
        ];
        for (state, units) in states {
            stock
                .with_label_values(&[item.id.as_str(), state])
                .set(units as i64);
        }
        waiting
            .with_label_values(&[item.id.as_str()])
            .set(item.waiting as i64);
    }
    let shards = IntGaugeVec::new(
        Opts::new(
            "flashsale_shard_events",
            "Numbers of a shard's events, by how far they are.",
        ),
        &["shard", "stage"],
    )?;
    registry.register(Box::new(shards.clone()))?;
    let epochs = IntGaugeVec::new(
        Opts::new(
            "flashsale_shard_epoch",
            "The epoch of a shard's owner; it grows with each takeover.",
        ),
        &["shard"],
    )?;
    registry.register(Box::new(epochs.clone()))?;
    for shard in &live.shards {
        let id = shard.id.to_string();
        let stages = [
            ("made", shard.next - 1),
            ("promised", shard.promised),
            ("applied", shard.applied),
        ];
        for (stage, number) in stages {
            shards.with_label_values(&[id.as_str(), stage]).set(number as i64);
        }
        epochs
            .with_label_values(&[id.as_str()])
            .set(i64::from(shard.epoch));
    }
    let latency = GaugeVec::new(
        Opts::new(
            "flashsale_purchase_latency_seconds",
            "From a purchase request's arrival to its answer, since the start.",
        ),
        &["quantile"],
    )?;
    registry.register(Box::new(latency.clone()))?;
    let quantiles = [
        ("0.5", live.latency_ms.p50),
        ("0.99", live.latency_ms.p99),
        ("0.999", live.latency_ms.p999),
    ];
    for (quantile, millis) in quantiles {
        latency.with_label_values(&[quantile]).set(millis / 1e3);
    }
    switches(&registry, shared)?;
    links(&registry, shared)?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

/// What is in force in this process.
fn switches(registry: &Registry, shared: &Shared) -> prometheus::Result<()> {
    let force = shared.switches.in_force();
    let values = IntGaugeVec::new(
        Opts::new(
            "flashsale_switch",
            "A switch in force: 1 or 0 if it is on or off, or the number it is set to.",
        ),
        &["switch", "source"],
    )?;
    registry.register(Box::new(values.clone()))?;
    for shown in &force.all {
        let labels = [shown.entry.switch.as_str(), shown.source().word()];
        values.with_label_values(&labels).set(shown.gauge());
    }
    let revision = IntGauge::new(
        "flashsale_switch_revision",
        "The revision of the switches that this process knows; 0 if it knows none.",
    )?;
    revision.set(force.revision as i64);
    registry.register(Box::new(revision))
}

/// Nothing for a sale in one process, which has none.
fn links(registry: &Registry, shared: &Shared) -> prometheus::Result<()> {
    let up = IntGaugeVec::new(
        Opts::new(
            "flashsale_link_up",
            "Whether this process is linked to another one of the sale.",
        ),
        &["to"],
    )?;
    registry.register(Box::new(up.clone()))?;
    for (to, is_up) in shared.links.all() {
        up.with_label_values(&[to.as_str()]).set(i64::from(is_up));
    }
    Ok(())
}

fn counters(registry: &Registry, shared: &Shared, http: Option<&Stats>) -> prometheus::Result<()> {
    let counts = IntCounterVec::new(
        Opts::new(
            "flashsale_events_total",
            "What has happened since the process started.",
        ),
        &["event"],
    )?;
    registry.register(Box::new(counts.clone()))?;
    for (name, count) in shared.counters.each() {
        counts.with_label_values(&[name]).inc_by(count);
    }
    let Some(http) = http else { return Ok(()) };
    let totals = IntCounterVec::new(
        Opts::new(
            "flashsale_http_total",
            "What the HTTP server has counted since the process started.",
        ),
        &["event"],
    )?;
    registry.register(Box::new(totals.clone()))?;
    for (name, count) in http.total().fields() {
        totals.with_label_values(&[name]).inc_by(count);
    }
    Ok(())
}
