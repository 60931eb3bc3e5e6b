//! The live view: sections that share the height they are given.

mod figures;
mod header;
mod shards;
mod stock;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

use crate::run::Snapshot;
use crate::trend::Trend;
use crate::words::width;

/// From this width on there is room for more than the most important.
const WIDE: u16 = 120;
/// Rows of the funnel and the rates where room is scarce.
const FIGURES_ROWS: u16 = 7;
/// Rows of the same at most.
const FIGURES_ROWS_TALL: u16 = 16;

/// How things are marked. Without colour, bold and glyphs say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether to use colours at all.
    pub color: bool,
}

impl Theme {
    /// Colours, unless the environment has a `NO_COLOR` that is not empty.
    pub fn from_env() -> Self {
        Self {
            color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    fn paint(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    fn good(self) -> Style {
        self.paint(Color::Green)
    }

    fn busy(self) -> Style {
        self.paint(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.paint(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn accent(self) -> Style {
        self.paint(Color::Cyan)
    }

    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Draws a look at the sale; `None` says that there is nothing to see yet.
pub fn draw(frame: &mut Frame<'_>, snapshot: Option<&Snapshot>, trend: &Trend, theme: Theme) {
    let area = frame.area();
    let Some(snapshot) = snapshot else {
        return frame.render_widget(Paragraph::new(" waiting for the sale … (q leaves)"), area);
    };
    let live = &snapshot.live;
    let buyers_rows = if snapshot.crowd.is_some() { 3 } else { 0 };
    // Header, three section titles, one row of shards: the rest belongs to the stock, then to all shards, and what is
    // left after that makes the sparklines taller.
    let scarce = 1 + buyers_rows + 1 + 1 + FIGURES_ROWS + 1 + 1;
    let stock_rows = stock::rows_wanted(live).min(area.height.saturating_sub(scarce).max(1));
    let shards_more = shards::rows_wanted(live, area.width).saturating_sub(1);
    let spare = area
        .height
        .saturating_sub(scarce + stock_rows)
        .saturating_sub(shards_more);
    let figures_rows = (FIGURES_ROWS + spare).min(FIGURES_ROWS_TALL);
    let [header, buyers, stock, figures, shards] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(buyers_rows),
        Constraint::Length(1 + stock_rows),
        Constraint::Length(1 + figures_rows),
        Constraint::Min(0),
    ])
    .areas(area);
    header::header(frame, header, live, theme);
    if let Some(crowd) = &snapshot.crowd {
        header::buyers(frame, buyers, crowd, theme);
    }
    stock::stock(frame, stock, live, theme);
    figures::figures(frame, figures, snapshot, trend, theme);
    shards::shards(frame, shards, live, theme);
}

/// A section's title with a rule to the right edge, and what is left below it.
fn section(frame: &mut Frame<'_>, area: Rect, title: &str, note: &str, theme: Theme) -> Rect {
    if area.height == 0 {
        return area;
    }
    let note = if note.is_empty() {
        String::new()
    } else {
        format!(" {note} ─")
    };
    let rule = usize::from(area.width).saturating_sub(width(title) + 4 + width(&note));
    let line = Line::from(vec![
        ratatui::text::Span::styled("─ ", theme.faint()),
        ratatui::text::Span::styled(title.to_owned(), theme.strong()),
        ratatui::text::Span::styled(format!(" ─{}{note}", "─".repeat(rule)), theme.faint()),
    ]);
    frame.render_widget(line, Rect { height: 1, ..area });
    Rect {
        y: area.y + 1,
        height: area.height - 1,
        ..area
    }
}

/// Draws what of a widget lies on the screen: on a tiny terminal sections reach beyond it.
fn put(frame: &mut Frame<'_>, widget: impl Widget, area: Rect) {
    let area = area.intersection(frame.area());
    if !area.is_empty() {
        frame.render_widget(widget, area);
    }
}
