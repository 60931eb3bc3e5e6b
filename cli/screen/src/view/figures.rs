//! The funnel on the left; rates, waiting and latency on the right.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{RenderDirection, Sparkline};

use super::{Theme, WIDE, put, section};
use crate::run::Snapshot;
use crate::trend::Trend;
use crate::words::{count, ms, rate, seconds};

/// Rows of waiting and latency.
const TIMES_ROWS: u16 = 4;

/// All figures of the sale.
pub(super) fn figures(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, trend: &Trend, theme: Theme) {
    if area.width >= WIDE {
        let columns = Layout::horizontal([
            Constraint::Length(40),
            Constraint::Fill(1),
            Constraint::Length(40),
        ])
        .spacing(1);
        let [left, middle, right] = columns.areas(area);
        funnel(frame, left, snapshot, theme);
        let middle = section(frame, middle, "Rates per second", "", theme);
        rates(frame, middle, snapshot, trend, theme);
        let right = section(frame, right, "Waiting and latency", "", theme);
        times(frame, right, snapshot, theme);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Length(40), Constraint::Fill(1)])
        .spacing(1)
        .areas(area);
    funnel(frame, left, snapshot, theme);
    let right = section(frame, right, "Rates per second", "", theme);
    let times_rows = TIMES_ROWS.min(right.height);
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(times_rows)]).areas(right);
    rates(frame, top, snapshot, trend, theme);
    times(frame, bottom, snapshot, theme);
}

/// Two columns: what became of the attempts, and of the tickets.
fn funnel(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: Theme) {
    let rest = section(frame, area, "Funnel", "", theme);
    let f = &snapshot.live.funnel;
    let rows = [
        [("requests", f.requests), ("reserved", f.reserved)],
        [("attempts", f.attempts), ("ordered", f.ordered)],
        [("won", f.won), ("paid", f.paid)],
        [("sold out", f.sold_out), ("closed", f.closed)],
        [("duplicate", f.duplicate), ("refund due", f.refund_due)],
        [("too early", f.not_open), ("busy", f.busy)],
        [("limited", f.limited), ("failed", f.failed)],
    ];
    for (i, row) in rows.iter().enumerate().take(usize::from(rest.height)) {
        let mut spans = Vec::new();
        for (name, n) in row {
            let bad = *n > 0 && matches!(*name, "failed" | "busy");
            spans.push(Span::styled(format!(" {name:<10}"), theme.faint()));
            let width = if *name == row[0].0 { 9 } else { 8 };
            spans.push(Span::styled(
                format!("{:>width$}", count(*n)),
                if bad { theme.bad() } else { Style::new() },
            ));
        }
        put(frame, Line::from(spans), line_at(rest, i));
    }
}

fn rates(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, trend: &Trend, theme: Theme) {
    let r = &snapshot.live.rates;
    let [peak_requests, peak_won, peak_orders] = trend.peaks;
    let rows = [
        (
            "requests",
            r.requests_per_second,
            (&trend.requests, peak_requests),
            theme.accent(),
        ),
        ("won", r.won_per_second, (&trend.won, peak_won), theme.good()),
        (
            "orders",
            r.orders_per_second,
            (&trend.orders, peak_orders),
            theme.busy(),
        ),
    ];
    // Each rate gets the same number of rows; the sparkline fills them.
    let each = (area.height / 3).max(1);
    for (i, (name, value, past, style)) in rows.into_iter().enumerate() {
        let y = area.y + i as u16 * each;
        if y + each > area.bottom() {
            break;
        }
        let band = Rect {
            y,
            height: each,
            ..area
        };
        let words = Line::from(vec![
            Span::styled(format!(" {name:<8}"), theme.faint()),
            Span::styled(format!("{:>9} ", rate(value)), theme.strong()),
        ]);
        put(
            frame,
            words,
            Rect {
                y: y + (each - 1) / 2,
                height: 1,
                ..band
            },
        );
        spark(
            frame,
            Rect {
                x: band.x + 19,
                width: band.width.saturating_sub(20),
                // One below another, each with its own scale: where there is room they don't touch.
                height: if each > 2 { each - 1 } else { each },
                ..band
            },
            past,
            style,
        );
    }
}

/// The newest sample at the right edge; full height is the highest rate since the start.
fn spark(frame: &mut Frame<'_>, area: Rect, (past, peak): (&VecDeque<u64>, u64), style: Style) {
    let newest_first: Vec<u64> = past.iter().rev().take(usize::from(area.width)).copied().collect();
    let sparkline = Sparkline::default()
        .data(newest_first)
        .max(peak.max(1))
        .direction(RenderDirection::RightToLeft)
        .style(style);
    put(frame, sparkline, area);
}

fn times(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: Theme) {
    let live = &snapshot.live;
    let line = |name: &str, text: String| {
        Line::from(vec![
            Span::styled(format!(" {name:<9}"), theme.faint()),
            Span::raw(text),
        ])
    };
    let quantiles = |p50, p99, p999| format!("{:<10}{:<10}{:<10}", ms(p50), ms(p99), ms(p999));
    let queue = &live.queue;
    let (oldest, moving) = (seconds(queue.oldest_seconds), count(queue.rate_per_minute));
    let l = &live.latency_ms;
    let mut lines = vec![
        line(
            "in line",
            format!("{} · {oldest} · {moving}/min", count(queue.waiting)),
        ),
        Line::styled(
            format!(" {:<9}{:<10}{:<10}{:<10}", "latency", "p50", "p99", "p99.9"),
            theme.faint(),
        ),
        line("server", quantiles(l.p50, l.p99, l.p999)),
    ];
    if let Some(crowd) = &snapshot.crowd {
        let l = &crowd.latency_ms;
        lines.push(line("buyers", quantiles(l.p50, l.p99, l.p999)));
    }
    for (i, line) in lines.into_iter().enumerate().take(usize::from(area.height)) {
        put(frame, line, line_at(area, i));
    }
}

fn line_at(area: Rect, row: usize) -> Rect {
    Rect {
        y: area.y + row as u16,
        height: 1,
        ..area
    }
}
