//! The settlement of a sale, in words and one table.

use crate::report::{Check, Report, ReportItem};
use crate::words::{count, fit, money, money_sum, ms, seconds, width};

/// No line is wider.
const COLUMNS: usize = 80;
/// Items in the table at most; the rest is summed up in one row.
const ITEMS_MAX: usize = 40;
/// Offenders named for each check that failed, at most.
const OFFENDERS_MAX: usize = 10;

/// The settlement table and the audit's verdict: at most 80 columns, ends with a line break. The last part is the
/// line `audit: ok`, or `audit: FAILED (n checks)` followed by the offending units.
pub fn settlement(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(fit(text, COLUMNS).trim_end());
        out.push('\n');
    };
    let head = format!("Settlement of {}", report.sale);
    let by = format!("seed {} · {} shards", report.seed, report.shards);
    let gap = COLUMNS.saturating_sub(width(&head) + width(&by)).max(2);
    line(&format!("{head}{}{by}", " ".repeat(gap)));
    line("");
    items(report, &mut line);
    line("");
    buyers(report, &mut line);
    line("");
    times(report, &mut line);
    line("");
    verdict(report, &mut line);
    out
}

/// One row of the table.
struct Row {
    title: String,
    figures: [String; 5],
}

fn items(report: &Report, line: &mut impl FnMut(&str)) {
    let shown = if report.items.len() > ITEMS_MAX {
        ITEMS_MAX - 1
    } else {
        report.items.len()
    };
    let (first, rest) = report.items.split_at(shown);
    let mut rows: Vec<Row> = first.iter().map(row).collect();
    if !rest.is_empty() {
        rows.push(sum(&format!("{} more items", count(rest.len() as u64)), rest));
    }
    let header = ["stock", "left", "locked", "sold", "revenue"].map(str::to_owned);
    let header = Row {
        title: "Item".to_owned(),
        figures: header,
    };
    let total = sum("Total", &report.items);
    let mut widths = [0; 5];
    for row in rows.iter().chain([&header, &total]) {
        for (column, figure) in widths.iter_mut().zip(&row.figures) {
            *column = (*column).max(width(figure));
        }
    }
    let taken = widths.iter().map(|w| w + 2).sum::<usize>();
    let longest = rows.iter().map(|r| width(&r.title)).max().unwrap_or(0).max(8);
    let title_width = longest.min(COLUMNS.saturating_sub(taken)).max(4);
    let mut write = |row: &Row| {
        let figures = row
            .figures
            .iter()
            .zip(widths)
            .map(|(figure, w)| format!("  {figure:>w$}"));
        line(&format!(
            "{}{}",
            fit(&row.title, title_width),
            figures.collect::<String>()
        ));
    };
    write(&header);
    rows.iter().for_each(&mut write);
    if report.items.len() > 1 {
        write(&total);
    }
}

fn row(item: &ReportItem) -> Row {
    let title = if item.title.is_empty() {
        &item.id
    } else {
        &item.title
    };
    let figures = [item.stock, item.sellable, item.locked, item.sold].map(count);
    let [stock, left, locked, sold] = figures;
    Row {
        title: title.clone(),
        figures: [stock, left, locked, sold, money(&item.revenue)],
    }
}

fn sum(title: &str, items: &[ReportItem]) -> Row {
    let of = |field: fn(&ReportItem) -> u64| count(items.iter().map(field).sum());
    let revenue =
        money_sum(items.iter().map(|i| i.revenue.as_str())).map_or_else(|| "–".to_owned(), |s| money(&s));
    let figures = [
        of(|i| i.stock),
        of(|i| i.sellable),
        of(|i| i.locked),
        of(|i| i.sold),
        revenue,
    ];
    Row {
        title: title.to_owned(),
        figures,
    }
}

fn buyers(report: &Report, line: &mut impl FnMut(&str)) {
    let b = &report.buyers;
    let buckets = [
        ("won", b.won),
        ("sold out", b.sold_out),
        ("duplicate", b.duplicate),
        ("limited", b.limited),
        ("failed", b.failed),
    ];
    line(&format!("Buyers     {} in all", count(b.total)));
    let text: Vec<String> = buckets
        .iter()
        .map(|(name, n)| format!("{name} {}", count(*n)))
        .collect();
    line(&format!("           {}", text.join(" · ")));
}

fn times(report: &Report, line: &mut impl FnMut(&str)) {
    let l = &report.latency_ms;
    let quantiles = [("p50", l.p50), ("p99", l.p99), ("p99.9", l.p999), ("max", l.max)];
    let text: Vec<String> = quantiles
        .iter()
        .map(|(name, value)| format!("{name} {}", ms(*value)))
        .collect();
    line(&format!("Latency    {}", text.join(" · ")));
    let eighty = report
        .seconds_to80_percent
        .map_or_else(|| "never".to_owned(), |s| format!("after {s:.2} s"));
    let all = report.seconds_to_sold_out.map_or_else(
        || "not sold out".to_owned(),
        |s| format!("sold out after {s:.2} s"),
    );
    line(&format!("Stock      80 % taken {eighty} · {all}"));
    let orders = count(report.orders_per_second.max(0.0).round() as u64);
    line(&format!(
        "Orders     {orders} per second · {} in all",
        seconds(report.duration_seconds)
    ));
}

fn verdict(report: &Report, line: &mut impl FnMut(&str)) {
    let longest = report
        .audit
        .checks
        .keys()
        .map(|name| width(name))
        .max()
        .unwrap_or(0)
        .min(40);
    for (name, check) in &report.audit.checks {
        let word = if check.ok { "ok    " } else { "FAILED" };
        line(&format!("{word}  {}  {}", fit(name, longest), check.detail));
    }
    let failed: Vec<(&String, &Check)> = report
        .audit
        .checks
        .iter()
        .filter(|(_, check)| !check.ok)
        .collect();
    if report.audit.ok && failed.is_empty() {
        return line("audit: ok");
    }
    let checks = if failed.len() == 1 { "check" } else { "checks" };
    line(&format!("audit: FAILED ({} {checks})", failed.len()));
    for (name, check) in failed {
        for offender in check.offenders.iter().take(OFFENDERS_MAX) {
            line(&format!("  {name}: {offender}"));
        }
        if check.offenders.len() > OFFENDERS_MAX {
            let more = count((check.offenders.len() - OFFENDERS_MAX) as u64);
            line(&format!("  {name}: and {more} more"));
        }
    }
}
