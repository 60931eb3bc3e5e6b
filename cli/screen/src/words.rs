//! Figures as people read them.

use ratatui::text::Span;

/// `1234567` as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    group(&n.to_string())
}

/// A rate as a whole number with separators.
pub(crate) fn rate(r: f64) -> String {
    count(r.max(0.0).round() as u64)
}

/// Puts separators into the digits of a whole number.
fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `6990000.00` as `6,990,000.00`; what is no decimal number stays as it is.
pub(crate) fn money(amount: &str) -> String {
    let (sign, rest) = amount.strip_prefix('-').map_or(("", amount), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|f| !digits(f)) {
        return amount.to_owned();
    }
    let fraction = fraction.map_or_else(String::new, |f| format!(".{f}"));
    format!("{sign}{}{fraction}", group(whole))
}

/// The sum of decimal numbers, with the most decimal places of any; `None` if one is no such number.
pub(crate) fn money_sum<'a>(amounts: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let places = amounts
        .clone()
        .map(|a| a.split_once('.').map_or(0, |(_, f)| f.len()))
        .max()?;
    let mut sum: i128 = 0;
    for amount in amounts {
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
        sum = sum.checked_add(format!("{whole}{fraction:0<places$}").parse().ok()?)?;
    }
    let digits = format!("{:0>1$}", sum.unsigned_abs(), places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let point = if places > 0 { "." } else { "" };
    Some(format!(
        "{}{whole}{point}{fraction}",
        if sum < 0 { "-" } else { "" }
    ))
}

/// A time in milliseconds with a unit that suits it: `40 µs`, `0.4 ms`, `8.0 ms`, `1.25 s`; `–` if nothing was measured.
pub(crate) fn ms(ms: f64) -> String {
    match ms {
        ms if ms <= 0.0 => "–".to_owned(),
        ms if ms < 0.0995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_500.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{} s", rate(ms / 1e3)),
    }
}

/// A number of seconds: `0.4 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`.
pub(crate) fn seconds(s: f64) -> String {
    let whole = s.max(0.0) as u64;
    match whole {
        0..60 => format!("{:.1} s", s.max(0.0)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days", whole / 86_400),
    }
}

/// The time of day (UTC) of a moment in milliseconds of the Unix epoch.
pub(crate) fn time_of_day(ms: u64) -> String {
    let s = ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// Columns a text takes up in a terminal.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Cuts or fills a text to exactly `columns` columns; a cut shows as `…`.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let cut = width(text) > columns;
    let room = if cut { columns.saturating_sub(1) } else { columns };
    for c in text.chars().filter(|c| !c.is_control()) {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if used + wide > room {
            break;
        }
        out.push(c);
        used += wide;
    }
    if cut && columns > 0 {
        out.push('…');
        used += 1;
    }
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// Puts separators into whole numbers that stand alone in a text.
pub(crate) fn grouped(text: &str) -> String {
    let word = |word: &str| match word.parse::<u64>() {
        Ok(n) => count(n),
        Err(_) => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Breaks a text between words into lines of at most `columns` columns; a longer word is broken where it must be.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        if used > 0 && used + 1 + width(word) > columns {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            push(&mut lines, ' ');
            used += 1;
        }
        for c in word.chars().filter(|c| !c.is_control()) {
            let wide = width(c.encode_utf8(&mut [0; 4]));
            if used + wide > columns {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c);
            used += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], c: char) {
    if let Some(line) = lines.last_mut() {
        line.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [ms(0.0), ms(0.04), ms(7.96), ms(12.4), ms(1250.0)],
            ["–", "40 µs", "8.0 ms", "12 ms", "1.25 s"]
        );
        assert_eq!(
            [seconds(3.25), seconds(245.0), seconds(7380.0)],
            ["3.2 s", "4 min 05 s", "2 h 03 min"]
        );
        assert_eq!(time_of_day(1_796_126_403_000), "12:00:03");
    }

    #[test]
    fn money_keeps_its_places_and_adds_up_exactly() {
        assert_eq!(money("6990000.00"), "6,990,000.00");
        assert_eq!(money("-1234"), "-1,234");
        assert_eq!(money("n/a"), "n/a");
        assert_eq!(
            money_sum(["0.10", "0.2", "3"].into_iter()).as_deref(),
            Some("3.30")
        );
        assert_eq!(money_sum(["0.01", "0.02"].into_iter()).as_deref(), Some("0.03"));
        assert_eq!(money_sum(["1", "x"].into_iter()), None);
    }

    #[test]
    fn a_long_text_is_broken_between_words_and_nothing_of_it_is_lost() {
        assert_eq!(wrap("two of 5 units", 7), ["two of", "5 units"]);
        assert_eq!(wrap("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
        assert_eq!(wrap("手机手机", 5), ["手机", "手机"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(
            grouped("2 of 5322 tickets in 1.5 s"),
            "2 of 5,322 tickets in 1.5 s"
        );
    }

    #[test]
    fn a_text_is_cut_and_filled_by_columns_not_by_letters() {
        assert_eq!(fit("Phone 15", 6), "Phone…");
        assert_eq!(fit("手机手机", 6), "手机… ");
        assert_eq!(fit("a\u{1b}[31mb", 8), "a[31mb  ");
    }
}
