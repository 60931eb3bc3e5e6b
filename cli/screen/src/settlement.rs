//! The settlement of a sale, in words and one table.

use crate::report::{Check, Report, ReportItem};
use crate::words::{count, fit, grouped, money, money_sum, ms, seconds, width, wrap};

/// No line is wider.
const COLUMNS: usize = 80;
/// Items in the table at most; the rest is summed up in one row.
const ITEMS_MAX: usize = 40;
/// Offenders named for each check that failed, at most.
const OFFENDERS_MAX: usize = 10;

/// The settlement table and the audit's verdict: at most 80 columns, ends with a line break. The last line is
/// `audit: ok`, or `audit: FAILED (n checks)` after the checks that failed with their offending units.
pub fn settlement(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(fit(text, COLUMNS).trim_end());
        out.push('\n');
    };
    let crowd = report.buyers.total > 0;
    let head = format!("Settlement of {}", report.sale);
    let shards = if report.shards == 1 { "shard" } else { "shards" };
    let by = format!("{} {shards}", report.shards);
    let by = if crowd {
        format!("seed {} · {by}", report.seed)
    } else {
        by
    };
    let gap = COLUMNS.saturating_sub(width(&head) + width(&by)).max(2);
    line(&format!("{head}{}{by}", " ".repeat(gap)));
    line("");
    items(report, &mut line);
    line("");
    if crowd {
        buyers(report, &mut line);
    }
    if report.duration_seconds > 0.0 {
        orders(report, &mut line);
        line("");
    }
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
    let text: Vec<String> = buckets
        .iter()
        .map(|(name, n)| format!("{name} {}", count(*n)))
        .collect();
    let text = format!("{}: {}", count(b.total), text.join(" · "));
    paragraph("Buyers     ", &text, line);
    let l = &report.latency_ms;
    let quantiles = [("p50", l.p50), ("p99", l.p99), ("p99.9", l.p999), ("max", l.max)];
    let text: Vec<String> = quantiles
        .iter()
        .map(|(name, value)| format!("{name} {}", ms(*value)))
        .collect();
    line(&format!("Answers    {}", text.join(" · ")));
    let eighty = report.seconds_to80_percent.map_or_else(
        || "less than 80 % taken".to_owned(),
        |s| format!("80 % taken after {s:.2} s"),
    );
    let all = report.seconds_to_sold_out.map_or_else(
        || "not sold out".to_owned(),
        |s| format!("all of it after {s:.2} s"),
    );
    line(&format!("Stock      {eighty} · {all}"));
}

fn orders(report: &Report, line: &mut impl FnMut(&str)) {
    let orders = count(report.orders_per_second.max(0.0).round() as u64);
    line(&format!(
        "Orders     {orders} per second · settled {} after the opening",
        seconds(report.duration_seconds)
    ));
}

/// What failed comes last, in full: the end of the output is what is seen first.
fn verdict(report: &Report, line: &mut impl FnMut(&str)) {
    let (held, failed): (Vec<_>, Vec<_>) = report.audit.checks.iter().partition(|(_, check)| check.ok);
    for (name, check) in &held {
        paragraph("ok  ", &said(name, check), line);
    }
    for (name, check) in &failed {
        paragraph("FAILED  ", &format!("{name}: {}", grouped(&check.detail)), line);
        for offender in check.offenders.iter().take(OFFENDERS_MAX) {
            paragraph("        - ", offender, line);
        }
        if check.offenders.len() > OFFENDERS_MAX {
            let more = count((check.offenders.len() - OFFENDERS_MAX) as u64);
            line(&format!(
                "        and {more} more; the report has them (--report, or audit --json)"
            ));
        }
    }
    if report.audit.ok && failed.is_empty() {
        return line("audit: ok");
    }
    let checks = if failed.len() == 1 { "check" } else { "checks" };
    line(&format!("audit: FAILED ({} {checks})", failed.len()));
}

/// What was compared says it all; the name helps where that is missing.
fn said(name: &str, check: &Check) -> String {
    if check.detail.is_empty() {
        name.to_owned()
    } else {
        grouped(&check.detail)
    }
}

/// A text of any length, its further lines below the first one's text.
fn paragraph(mark: &str, text: &str, line: &mut impl FnMut(&str)) {
    let room = COLUMNS - width(mark);
    for (i, part) in wrap(text, room).into_iter().enumerate() {
        let mark = if i == 0 {
            mark.to_owned()
        } else {
            " ".repeat(width(mark))
        };
        line(&format!("{mark}{part}"));
    }
}
