//! One readable line when something changed, for a log or a pipe.

use crate::crowd::CrowdProgress;
use crate::live::{Live, LiveItem};
use crate::words::{count, ms, rate, seconds, time_of_day};

/// Without any change there is a line after so long, so that a log shows that somebody is still there.
const SILENCE_MAX_MS: u64 = 10_000;
/// The last seconds before the opening are counted down.
const COUNTDOWN_MS: u64 = 3_000;

/// Decides when there is something to say, and says it.
#[derive(Clone, Debug, Default)]
pub struct PlainLines {
    said: Option<Said>,
}

/// What the last line said, apart from the time and the rates, which always change.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    at_ms: u64,
    phase: String,
    /// Sold, locked, waiting, buyers answered, promises broken.
    figures: [u64; 5],
}

impl PlainLines {
    /// A line (without its end) such as
    /// `12:00:03 Open  sold 4,211 of 10,000  locked 3,120  12,400 requests/s  p99 8.0 ms`; times are UTC. There is
    /// one at once when the phase changed or a promise was broken, at most one a second when other figures changed,
    /// and one every ten seconds while nothing does.
    pub fn next(&mut self, live: &Live, crowd: Option<&CrowdProgress>) -> Option<String> {
        let now = Said {
            at_ms: live.now_ms,
            phase: live.phase.clone(),
            figures: figures(live, crowd),
        };
        if let Some(said) = &self.said
            && !worth_a_line(said, &now, live.open_time_ms)
        {
            return None;
        }
        let line = line(live, crowd, &now);
        self.said = Some(now);
        Some(line)
    }
}

fn worth_a_line(said: &Said, now: &Said, open_time_ms: u64) -> bool {
    if said.phase != now.phase || said.figures[4] != now.figures[4] {
        return true;
    }
    if said.at_ms / 1000 == now.at_ms / 1000 {
        return false;
    }
    let opens_at_once = now.at_ms < open_time_ms && open_time_ms - now.at_ms <= COUNTDOWN_MS;
    said.figures != now.figures || opens_at_once || now.at_ms.saturating_sub(said.at_ms) >= SILENCE_MAX_MS
}

fn figures(live: &Live, crowd: Option<&CrowdProgress>) -> [u64; 5] {
    let sum = |field: fn(&LiveItem) -> u64| live.items.iter().map(field).sum::<u64>();
    [
        sum(|i| i.sold),
        sum(|i| i.locked),
        live.queue.waiting,
        crowd.map_or(0, CrowdProgress::done),
        crowd.map_or(0, |c| c.violations),
    ]
}

fn line(live: &Live, crowd: Option<&CrowdProgress>, said: &Said) -> String {
    let [sold, locked, waiting, done, violations] = said.figures;
    let mut line = format!("{} {}", time_of_day(live.now_ms), live.phase);
    if live.now_ms < live.open_time_ms {
        let left = (live.open_time_ms - live.now_ms) as f64 / 1e3;
        line.push_str(&format!("  opens in {}", seconds(left)));
    }
    let stock: u64 = live.items.iter().map(|i| i.stock).sum();
    line.push_str(&format!("  sold {} of {}", count(sold), count(stock)));
    line.push_str(&format!("  locked {}", count(locked)));
    if waiting > 0 {
        line.push_str(&format!("  waiting {}", count(waiting)));
    }
    line.push_str(&format!("  {} requests/s", rate(live.rates.requests_per_second)));
    if live.latency_ms.p99 > 0.0 {
        line.push_str(&format!("  p99 {}", ms(live.latency_ms.p99)));
    }
    if let Some(crowd) = crowd {
        line.push_str(&format!("  buyers {} of {}", count(done), count(crowd.total)));
    }
    if violations > 0 {
        line.push_str(&format!("  BROKEN PROMISES {}", count(violations)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{LiveLatency, Rates};

    const OPENING_MS: u64 = 1_796_126_400_000;

    fn live(phase: &str, now_ms: u64, sold: u64) -> Live {
        Live {
            phase: phase.to_owned(),
            now_ms,
            open_time_ms: OPENING_MS,
            items: vec![LiveItem {
                stock: 10_000,
                sold,
                locked: 3_120,
                ..LiveItem::default()
            }],
            rates: Rates {
                requests_per_second: 12_400.0,
                ..Rates::default()
            },
            latency_ms: LiveLatency {
                p99: 8.0,
                ..LiveLatency::default()
            },
            ..Live::default()
        }
    }

    #[test]
    fn a_change_is_told_once_a_second_and_one_of_the_phase_at_once() {
        let mut lines = PlainLines::default();
        let mut said = |phase, ms: u64, sold| lines.next(&live(phase, OPENING_MS + ms, sold), None).is_some();
        assert!(said("Armed", 0, 0));
        assert!(!said("Armed", 900, 0));
        assert!(said("Open", 950, 0));
        assert!(!said("Open", 999, 5));
        assert!(said("Open", 1000, 5));
        assert!(!said("Open", 1900, 6));
        assert!(said("Open", 2000, 7));
    }

    #[test]
    fn while_nothing_happens_there_is_a_line_every_ten_seconds() {
        let mut lines = PlainLines::default();
        let seconds = (0..60).filter(|s| {
            lines
                .next(&live("Open", OPENING_MS + s * 1000, 9), None)
                .is_some()
        });
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn the_last_three_seconds_before_the_opening_are_counted_down() {
        let mut lines = PlainLines::default();
        let told = (0..8).filter(|s| {
            let look = live("Armed", OPENING_MS - 8_000 + s * 1000, 0);
            lines.next(&look, None).is_some()
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 5, 6, 7]);
    }

    #[test]
    fn a_broken_promise_is_told_at_once() {
        let mut lines = PlainLines::default();
        let look = live("Open", OPENING_MS + 100, 0);
        let crowd = |violations| CrowdProgress {
            violations,
            ..CrowdProgress::default()
        };
        assert!(lines.next(&look, Some(&crowd(0))).is_some());
        assert!(lines.next(&look, Some(&crowd(1))).is_some());
        assert!(lines.next(&look, Some(&crowd(1))).is_none());
    }

    #[test]
    fn a_line_says_what_matters() {
        let line = PlainLines::default().next(&live("Open", OPENING_MS + 3_100, 4_211), None);
        assert_eq!(
            line.as_deref(),
            Some("12:00:03 Open  sold 4,211 of 10,000  locked 3,120  12,400 requests/s  p99 8.0 ms")
        );
        let crowd = CrowdProgress {
            total: 500,
            won: 2,
            sold_out: 3,
            violations: 1,
            ..CrowdProgress::default()
        };
        let line = PlainLines::default().next(&live("Armed", OPENING_MS - 2_000, 0), Some(&crowd));
        assert_eq!(
            line.as_deref(),
            Some(
                "11:59:58 Armed  opens in 2.0 s  sold 0 of 10,000  locked 3,120  12,400 requests/s  p99 8.0 ms  \
                 buyers 5 of 500  BROKEN PROMISES 1"
            )
        );
    }
}
