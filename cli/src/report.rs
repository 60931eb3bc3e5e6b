//! The report of a sale, from its audit and what its buyers saw.

use flashsale_buyers::Outcome;
use flashsale_dataplane::audit::{Audit, ItemTotals};
use flashsale_dataplane::sale::Sale;
use flashsale_screen::report::{
    Audit as ReportAudit, Check, Report, ReportBuyers, ReportItem, ReportLatency,
};

/// What the audit alone says.
pub(crate) fn of_audit(sale: &Sale, audit: &Audit, totals: &[ItemTotals]) -> Report {
    let checks = audit.checks.iter().map(|(name, check)| {
        let (detail, offenders) = (check.detail.clone(), check.offenders.clone());
        (
            (*name).to_owned(),
            Check {
                ok: check.ok,
                detail,
                offenders,
            },
        )
    });
    let items = sale.items.iter().zip(totals).map(|(item, totals)| {
        let sold = u32::try_from(totals.sold).unwrap_or(u32::MAX);
        ReportItem {
            id: item.id.clone(),
            title: item.title.clone(),
            stock: totals.stock,
            sellable: totals.sellable + totals.in_transfer,
            locked: totals.locked,
            sold: totals.sold,
            revenue: item
                .price
                .checked_mul(sold)
                .map_or_else(String::new, |money| money.to_string()),
        }
    });
    Report {
        sale: sale.name.clone(),
        uid: format!("{:032x}", sale.uid.0),
        audit: ReportAudit {
            ok: audit.ok,
            checks: checks.collect(),
        },
        items: items.collect(),
        shards: sale.shards,
        ..Report::default()
    }
}

/// Adds what the simulated buyers saw; a promise broken to one of them fails the audit.
pub(crate) fn add_crowd(report: &mut Report, outcome: &Outcome) {
    let buyers = outcome.buyers;
    report.seed = outcome.seed;
    report.buyers = ReportBuyers {
        total: buyers.total,
        won: buyers.won,
        sold_out: buyers.sold_out,
        duplicate: buyers.duplicate,
        limited: buyers.limited,
        failed: buyers.failed,
    };
    let latency = outcome.latency_ms;
    report.latency_ms = ReportLatency {
        p50: latency.p50,
        p99: latency.p99,
        p999: latency.p999,
        max: latency.max,
    };
    report.seconds_to_sold_out = outcome.seconds_to_sold_out;
    report.seconds_to80_percent = outcome.seconds_to80_percent;
    let broken = outcome.violations_total;
    let check = Check {
        ok: broken == 0,
        detail: format!(
            "{} tickets followed by their buyers, {broken} promises broken",
            outcome.tickets.len()
        ),
        offenders: outcome
            .violations
            .iter()
            .take(50)
            .map(|v| format!("{v:?}"))
            .collect(),
    };
    report.audit.ok &= check.ok;
    report
        .audit
        .checks
        .insert("buyersSawNoBrokenPromise".to_owned(), check);
}
