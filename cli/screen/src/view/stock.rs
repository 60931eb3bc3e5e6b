//! A stacked bar for each item.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Theme, put, section};
use crate::live::{Live, LiveItem};
use crate::words::{count, fit, width};

/// Items with a bar of their own, at most.
const ITEMS_MAX: usize = 8;
/// What is said behind each bar.
const WORDS: [&str; 3] = ["sold", "locked", "free"];

/// Rows for the items, without the title.
pub(super) fn rows_wanted(live: &Live) -> u16 {
    // At most nine, so it fits.
    (live.items.len().clamp(1, ITEMS_MAX) + usize::from(live.items.len() > ITEMS_MAX)) as u16
}

/// The items, those with the largest stock first; what does not fit is summed up in the last row.
pub(super) fn stock(frame: &mut Frame<'_>, area: Rect, live: &Live, theme: Theme) {
    let rest = section(
        frame,
        area,
        "Stock",
        "█ sold  ▓ locked  ▒ in transfer  ░ free",
        theme,
    );
    let rows = usize::from(rest.height);
    if rows == 0 {
        return;
    }
    let mut items: Vec<&LiveItem> = live.items.iter().collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.stock));
    let shown = if items.len() > rows.min(ITEMS_MAX) {
        rows.min(ITEMS_MAX + 1) - 1
    } else {
        items.len()
    };
    let (first, others) = items.split_at(shown);
    let mut lines: Vec<(String, LiveItem)> = first
        .iter()
        .map(|i| (title(i).to_owned(), (*i).clone()))
        .collect();
    if !others.is_empty() {
        lines.push((format!("{} more", count(others.len() as u64)), sum(others)));
    }
    let longest = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let widest = |field: fn(&LiveItem) -> u64| {
        lines
            .iter()
            .map(|(_, i)| count(field(i)).len())
            .max()
            .unwrap_or(0)
    };
    let widths = [widest(|i| i.sold), widest(|i| i.locked), widest(|i| i.sellable)];
    let columns = usize::from(rest.width);
    let title_width = longest.clamp(8, (columns / 4).max(8));
    // Each figure has a space before it, and a space and a word behind it.
    let words = WORDS.iter().map(|word| 2 + width(word)).sum::<usize>();
    let bar_width = columns.saturating_sub(title_width + 2 + widths.iter().sum::<usize>() + words + 1);
    for (row, (name, item)) in lines.iter().enumerate() {
        let line = item_line(&fit(name, title_width), item, bar_width, widths, theme);
        put(
            frame,
            line,
            Rect {
                y: rest.y + row as u16,
                height: 1,
                ..rest
            },
        );
    }
}

fn title(item: &LiveItem) -> &str {
    if item.title.is_empty() {
        &item.id
    } else {
        &item.title
    }
}

fn sum(items: &[&LiveItem]) -> LiveItem {
    let of = |field: fn(&LiveItem) -> u64| items.iter().map(|i| field(i)).sum();
    LiveItem {
        stock: of(|i| i.stock),
        sellable: of(|i| i.sellable),
        in_transfer: of(|i| i.in_transfer),
        locked: of(|i| i.locked),
        sold: of(|i| i.sold),
        waiting: of(|i| i.waiting),
        ..LiveItem::default()
    }
}

fn item_line<'a>(
    name: &str,
    item: &LiveItem,
    bar_width: usize,
    widths: [usize; 3],
    theme: Theme,
) -> Line<'a> {
    let mut spans = vec![Span::raw(format!(" {name} "))];
    let parts = [item.sold, item.locked, item.in_transfer, item.sellable];
    let styles = [theme.good(), theme.busy(), theme.accent(), theme.faint()];
    for ((columns, glyph), style) in split(parts, bar_width)
        .into_iter()
        .zip(["█", "▓", "▒", "░"])
        .zip(styles)
    {
        spans.push(Span::styled(glyph.repeat(columns), style));
    }
    let figures = [
        (item.sold, theme.good()),
        (item.locked, theme.busy()),
        (item.sellable, theme.faint()),
    ];
    for ((name, (n, style)), width) in WORDS.into_iter().zip(figures).zip(widths) {
        spans.push(Span::styled(format!(" {:>width$}", count(n)), theme.strong()));
        spans.push(Span::styled(format!(" {name}"), style));
    }
    Line::from(spans)
}

/// Shares out columns in proportion: what is not 0 shows if there is room, and the sum is exact.
fn split(parts: [u64; 4], columns: usize) -> [usize; 4] {
    let total = parts.iter().sum::<u64>().max(1);
    let mut shares = parts.map(|part| ((u128::from(part) * columns as u128) / u128::from(total)) as usize);
    for i in 0..4 {
        if parts[i] > 0 && shares[i] == 0 {
            shares[i] = 1;
        }
    }
    // The largest part gives or takes what rounding left.
    let Some(largest) = (0..4).max_by_key(|i| parts[*i]) else {
        return shares;
    };
    let used: usize = shares.iter().sum();
    shares[largest] = (shares[largest] + columns).saturating_sub(used);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_and_hides_no_part() {
        assert_eq!(split([50, 25, 0, 25], 20), [10, 5, 0, 5]);
        assert_eq!(split([1, 0, 0, 9_999], 20), [1, 0, 0, 19]);
        assert_eq!(split([1, 1, 1, 0], 20).iter().sum::<usize>(), 20);
        assert_eq!(split([0, 0, 0, 0], 20).iter().sum::<usize>(), 20);
    }
}
