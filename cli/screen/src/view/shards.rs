//! The shards: those in trouble first, folded to the room there is.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Theme, put, section};
use crate::live::{Live, LiveShard};
use crate::words::{count, fit, width};

/// Columns of one shard.
const CELL: usize = 26;

/// Rows for all shards, without the title.
pub(super) fn rows_wanted(live: &Live, columns: u16) -> u16 {
    let cells = (usize::from(columns).saturating_sub(1) / CELL).max(1);
    live.shards.len().div_ceil(cells).try_into().unwrap_or(u16::MAX)
}

/// A sum in the title, and as many shards as fit.
pub(super) fn shards(frame: &mut Frame<'_>, area: Rect, live: &Live, theme: Theme) {
    let open = live.shards.iter().filter(|s| s.state == "Open").count();
    let behind: u64 = live.shards.iter().map(backlog).sum();
    let title = format!(
        "Shards {} of {} open · {} events behind · free units of each",
        open,
        live.shards.len(),
        count(behind)
    );
    let rest = section(frame, area, &title, "q leaves", theme);
    let columns = usize::from(rest.width).saturating_sub(1) / CELL;
    let room = columns * usize::from(rest.height);
    if room == 0 {
        return;
    }
    let mut order: Vec<&LiveShard> = live.shards.iter().collect();
    let folds = order.len() > room;
    if folds {
        order.sort_by_key(|s| (s.state == "Open", std::cmp::Reverse(backlog(s)), s.id));
    }
    let shown = if folds { room - 1 } else { order.len() };
    let mut cells: Vec<Span<'_>> = order.iter().take(shown).map(|s| cell(s, theme)).collect();
    if folds {
        let free: u64 = order[shown..].iter().map(|s| s.free).sum();
        let text = format!("   {} more {}", order.len() - shown, count(free));
        cells.push(Span::styled(fit(&text, CELL), theme.faint()));
    }
    for (row, cells) in cells.chunks(columns).enumerate() {
        let mut spans = vec![Span::raw(" ")];
        spans.extend(cells.iter().cloned());
        put(
            frame,
            Line::from(spans),
            Rect {
                y: rest.y + row as u16,
                height: 1,
                ..rest
            },
        );
    }
}

/// Events promised but not applied yet.
fn backlog(shard: &LiveShard) -> u64 {
    shard.promised.saturating_sub(shard.applied)
}

fn cell<'a>(shard: &LiveShard, theme: Theme) -> Span<'a> {
    let id = format!("{:>2} ", shard.id);
    let free = format!(" e{} {}", shard.epoch, count(shard.free));
    let state = fit(&shard.state, CELL.saturating_sub(1 + width(&id) + width(&free)));
    let text = format!("{id}{}{free}", state.trim_end());
    let style = if shard.state == "Open" {
        ratatui::style::Style::new()
    } else {
        theme.busy().patch(theme.strong())
    };
    Span::styled(fit(&text, CELL), style)
}
