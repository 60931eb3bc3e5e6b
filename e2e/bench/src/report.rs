//! What a benchmark found: figures with all their rounds, as a table, as Markdown and as JSON.

use serde::Serialize;
use std::fmt::Write as _;

/// One measured quantity: a value for each round, and the goal for their median if there is one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// Of what one value counts.
    pub(crate) unit: &'static str,
    /// One value for each round.
    pub(crate) rounds: Vec<f64>,
    /// What the median should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
}

/// What a median should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Goal {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
    /// Exactly this, in every round.
    Exactly(f64),
    /// Within these bounds.
    Within(f64, f64),
}

impl Goal {
    fn is_met(self, figure: &Figure) -> bool {
        let value = figure.median();
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            // Counts are whole numbers, which a float holds as they are.
            Self::Exactly(count) => figure.rounds.iter().all(|round| *round == count),
            Self::Within(low, high) => (low..=high).contains(&value),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
            Self::Exactly(count) => format!("= {}", number(count)),
            Self::Within(low, high) => format!("{}–{}", number(low), number(high)),
        }
    }
}

impl Figure {
    /// A figure without a goal.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, rounds: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            rounds,
            goal: None,
        }
    }

    /// The ratio of two figures, round by round: whatever slows the machine down slows both.
    pub(crate) fn ratio(name: impl Into<String>, over: &[f64], under: &[f64]) -> Self {
        let rounds = over.iter().zip(under).map(|(a, b)| a / b).collect();
        Self::new(name, "×", rounds)
    }

    /// With a goal.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// The middle value; the lower one of two.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
            .get(sorted.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn spread(&self) -> String {
        let least = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{}–{}", number(least), number(most))
    }

    fn goal_text(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(goal) if goal.is_met(self) => format!("{} met", goal.text()),
            Some(goal) => format!("{} MISSED", goal.text()),
        }
    }

    fn cells(&self) -> [String; 6] {
        [
            self.name.clone(),
            number(self.median()),
            self.unit.to_owned(),
            self.spread(),
            self.rounds.len().to_string(),
            self.goal_text(),
        ]
    }
}

/// One benchmark's result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Section {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What was done, in a sentence or two.
    pub(crate) method: String,
    /// What came out.
    pub(crate) figures: Vec<Figure>,
    /// What one should know beside the figures.
    pub(crate) notes: Vec<String>,
}

const HEAD: [&str; 6] = ["", "median", "", "min–max", "rounds", "goal"];

/// All results as a table for the terminal.
pub(crate) fn table(sections: &[Section]) -> String {
    let rows: Vec<[String; 6]> = sections
        .iter()
        .flat_map(|s| &s.figures)
        .map(Figure::cells)
        .collect();
    let mut widths = HEAD.map(|h| h.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; 6]| {
        let mut text = String::from(" ");
        for (ix, (cell, width)) in cells.iter().zip(widths).enumerate() {
            // Numbers to the right, words to the left.
            let padding = " ".repeat(width - cell.chars().count());
            let (before, behind) = if ix == 1 || ix == 4 {
                (padding.as_str(), "")
            } else {
                ("", padding.as_str())
            };
            // Writing to a String can't fail.
            let _ = write!(text, " {before}{cell}{behind} ");
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = line(&HEAD.map(str::to_owned));
    let mut rows = rows.iter();
    for section in sections {
        let _ = writeln!(text, "\n{}", section.name);
        rows.by_ref()
            .take(section.figures.len())
            .for_each(|row| text.push_str(&line(row)));
        for note in &section.notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

/// All results as a page of Markdown. `machine` says where they were measured, `repeat` the command that does it again.
pub(crate) fn markdown(title: &str, repeat: &str, sections: &[&Section], machine: &str) -> String {
    let mut text = format!(
        "# {title}\n\nMeasured by `make bench` on {machine}, clients included; `{repeat}` measures again and writes \
         this page.\nEach figure is the median of its rounds, with the least and the most. What is compared takes \
         turns in the same run; ratios are made round by round.\n"
    );
    for section in sections {
        let _ = write!(text, "\n## {}\n\n{}\n\n", section.name, section.method);
        text.push_str("| figure | median | unit | min–max | rounds | goal |\n|---|---:|---|---|---:|---|\n");
        for figure in &section.figures {
            let _ = writeln!(text, "| {} |", figure.cells().join(" | "));
        }
        for note in &section.notes {
            let _ = write!(text, "\n{note}\n");
        }
    }
    text
}

/// A number with as many digits as one looks at: three significant ones below 1000, whole ones above.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => thousands(value.round()),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (ix, digit) in digits.chars().enumerate() {
        if ix > 0 && (digits.len() - ix).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_of_a_round() {
        assert_eq!(Figure::new("", "", vec![9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(Figure::new("", "", vec![9.0, 1.0]).median(), 1.0);
    }

    #[test]
    fn a_ratio_compares_what_ran_in_the_same_round() {
        let ratio = Figure::ratio("", &[10.0, 40.0], &[5.0, 10.0]);
        assert_eq!(ratio.rounds, [2.0, 4.0]);
    }

    #[test]
    fn a_goal_that_is_missed_is_called_missed() {
        let figure = |value| Figure::new("", "", vec![value]).goal(Goal::AtLeast(1.0));
        assert!(figure(0.99).goal_text().contains("MISSED"));
        assert!(figure(1.0).goal_text().contains("met"));
        let within = Figure::new("", "", vec![10_600.0]).goal(Goal::Within(9_500.0, 10_500.0));
        assert_eq!(within.goal_text(), "9,500–10,500 MISSED");
        let sold = |rounds| Figure::new("", "", rounds).goal(Goal::Exactly(5.0));
        assert_eq!(sold(vec![5.0, 5.0]).goal_text(), "= 5.00 met");
        assert_eq!(sold(vec![5.0, 5.0, 6.0]).goal_text(), "= 5.00 MISSED");
        let most = |value| Figure::new("", "", vec![value]).goal(Goal::AtMost(600.0));
        assert_eq!(most(600.0).goal_text(), "≤ 600 met");
        assert_eq!(most(601.0).goal_text(), "≤ 600 MISSED");
    }

    #[test]
    fn the_table_and_the_page_show_every_figure_and_note() {
        let section = Section {
            name: "engine",
            method: "How.".to_owned(),
            figures: vec![Figure::new("accepted", "attempts/s", vec![1_234_567.0])],
            notes: vec!["By the way.".to_owned()],
        };
        let sections = [section];
        let page = markdown("Title", "again", &sections.each_ref(), "a machine");
        for text in [table(&sections), page] {
            assert!(
                text.contains("1,234,567") && text.contains("By the way."),
                "{text}"
            );
        }
    }
}
