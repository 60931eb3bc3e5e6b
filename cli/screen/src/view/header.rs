//! Which sale, which phase, how long; and how far the buyers are.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::{Theme, WIDE, put, section};
use crate::crowd::CrowdProgress;
use crate::live::Live;
use crate::words::{count, seconds, time_of_day, width};

/// The sale on the left, the phase and the clock on the right.
pub(super) fn header(frame: &mut Frame<'_>, area: Rect, live: &Live, theme: Theme) {
    let style = match live.phase.as_str() {
        "Open" => theme.good(),
        "Settled" => theme.accent(),
        _ => theme.busy(),
    };
    let clock = Line::from(vec![
        Span::styled(format!("● {}", live.phase), style.patch(theme.strong())),
        Span::raw(format!(" {}", since(live))),
        Span::styled(format!("  {} ", time_of_day(live.now_ms)), theme.faint()),
    ]);
    let room = usize::from(area.width).saturating_sub(clock.width() + 1);
    let mut name = vec![
        Span::styled(" flashsale ", theme.faint()),
        Span::styled(live.sale.clone(), theme.strong()),
    ];
    let namespace = format!(" in {}", live.namespace);
    if 11 + width(&live.sale) + width(&namespace) <= room {
        name.push(Span::styled(namespace, theme.faint()));
    }
    // The name is cut rather than the clock.
    put(
        frame,
        Line::from(name),
        Rect {
            width: (room as u16).min(area.width),
            ..area
        },
    );
    put(frame, clock.alignment(Alignment::Right), area);
}

/// The time to the opening, since it, or since the end.
fn since(live: &Live) -> String {
    let between = |from: u64, to: u64| seconds(to.saturating_sub(from) as f64 / 1e3);
    if live.now_ms < live.open_time_ms {
        return format!("opens in {}", between(live.now_ms, live.open_time_ms));
    }
    if live.phase == "Open" {
        let open = between(live.open_time_ms, live.now_ms);
        return format!(
            "for {open}, closes in {}",
            between(live.now_ms, live.close_time_ms)
        );
    }
    format!("opened {} ago", between(live.open_time_ms, live.now_ms))
}

/// A bar over all buyers, and what became of them.
pub(super) fn buyers(frame: &mut Frame<'_>, area: Rect, crowd: &CrowdProgress, theme: Theme) {
    let note = format!(
        "{} of {} answered · {} paid",
        count(crowd.done()),
        count(crowd.total),
        count(crowd.paid)
    );
    let rest = section(frame, area, "Buyers", &note, theme);
    if crowd.violations > 0 {
        let promises = if crowd.violations == 1 {
            "PROMISE"
        } else {
            "PROMISES"
        };
        let text = format!(" {} BROKEN {promises} ", count(crowd.violations));
        let columns = (width(&text) as u16).min(area.width.saturating_sub(10));
        // On the rule, where nothing pushes it out of sight.
        put(
            frame,
            Line::styled(text, theme.bad().remove_modifier(Modifier::DIM)),
            Rect {
                x: area.x + 10,
                width: columns,
                height: 1,
                ..area
            },
        );
    }
    if rest.height < 2 {
        return;
    }
    let columns = usize::from(rest.width).saturating_sub(2);
    let part = |n: u64| (n as f64 / crowd.total.max(1) as f64 * columns as f64) as usize;
    let (won, done, here) = (part(crowd.won), part(crowd.done()), part(crowd.arrived));
    let bar = Line::from(vec![
        Span::raw(" "),
        Span::styled("█".repeat(won), theme.good()),
        Span::styled("▓".repeat(done.saturating_sub(won)), theme.accent()),
        Span::styled("▒".repeat(here.saturating_sub(done)), theme.busy()),
        Span::styled("░".repeat(columns.saturating_sub(here.max(done))), theme.faint()),
    ]);
    put(frame, bar, Rect { height: 1, ..rest });
    let bad = |n: u64| if n > 0 { theme.bad() } else { theme.strong() };
    let mut figures = vec![
        ("█ won", crowd.won, theme.good()),
        ("▓ sold out", crowd.sold_out, theme.accent()),
        (
            "▒ trying",
            crowd.arrived.saturating_sub(crowd.done()),
            theme.busy(),
        ),
        ("limited", crowd.limited, theme.strong()),
        ("failed", crowd.failed, bad(crowd.failed)),
    ];
    if rest.width >= WIDE {
        figures.push(("cancelled", crowd.cancelled, theme.strong()));
        figures.push(("patient", crowd.patient, theme.strong()));
        figures.push(("retries", crowd.retries, theme.strong()));
    }
    let mut spans = Vec::new();
    for (name, n, style) in figures {
        spans.push(Span::styled(format!(" {name} "), theme.faint()));
        spans.push(Span::styled(count(n), style));
    }
    frame.render_widget(
        Line::from(spans),
        Rect {
            y: rest.y + 1,
            height: 1,
            ..rest
        },
    );
}
