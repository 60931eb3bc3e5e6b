//! One readable line a second, for a log or a pipe.

use crate::crowd::CrowdProgress;
use crate::live::Live;
use crate::words::{count, ms, rate, seconds, time_of_day};

/// Decides when there is something to say, and says it.
#[derive(Clone, Debug, Default)]
pub struct PlainLines {
    phase: String,
    second: u64,
}

impl PlainLines {
    /// A line (without its end) if the phase changed or a new second began, such as
    /// `12:00:03 Open  sold 4,211 of 10,000  locked 3,120  12,400 requests/s  p99 8.0 ms`. Times are UTC.
    pub fn next(&mut self, live: &Live, crowd: Option<&CrowdProgress>) -> Option<String> {
        let second = live.now_ms / 1000;
        if self.phase == live.phase && self.second == second {
            return None;
        }
        self.phase.clone_from(&live.phase);
        self.second = second;
        let mut line = format!("{} {}", time_of_day(live.now_ms), live.phase);
        if live.now_ms < live.open_time_ms {
            let left = (live.open_time_ms - live.now_ms) as f64 / 1e3;
            line.push_str(&format!("  opens in {}", seconds(left)));
        }
        let sum = |field: fn(&crate::live::LiveItem) -> u64| live.items.iter().map(field).sum::<u64>();
        line.push_str(&format!(
            "  sold {} of {}",
            count(sum(|i| i.sold)),
            count(sum(|i| i.stock))
        ));
        line.push_str(&format!("  locked {}", count(sum(|i| i.locked))));
        if live.queue.waiting > 0 {
            line.push_str(&format!("  waiting {}", count(live.queue.waiting)));
        }
        line.push_str(&format!("  {} requests/s", rate(live.rates.requests_per_second)));
        line.push_str(&format!("  p99 {}", ms(live.latency_ms.p99)));
        if let Some(crowd) = crowd {
            line.push_str(&format!(
                "  buyers {} of {}",
                count(crowd.done()),
                count(crowd.total)
            ));
            if crowd.violations > 0 {
                line.push_str(&format!("  BROKEN PROMISES {}", count(crowd.violations)));
            }
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{LiveItem, LiveLatency, Rates};

    fn live(phase: &str, now_ms: u64) -> Live {
        Live {
            phase: phase.to_owned(),
            now_ms,
            open_time_ms: 1_796_126_400_000,
            items: vec![LiveItem {
                stock: 10_000,
                sold: 4_211,
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
    fn there_is_a_line_a_second_and_one_for_each_change_of_phase() {
        let mut lines = PlainLines::default();
        let mut said = |phase, ms: u64| lines.next(&live(phase, 1_796_126_400_000 + ms), None).is_some();
        assert!(said("Armed", 0));
        assert!(!said("Armed", 900));
        assert!(said("Open", 950));
        assert!(!said("Open", 999));
        assert!(said("Open", 1000));
    }

    #[test]
    fn a_line_says_what_matters() {
        let line = PlainLines::default().next(&live("Open", 1_796_126_403_100), None);
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
        let line = PlainLines::default().next(&live("Armed", 1_796_126_398_000), Some(&crowd));
        assert_eq!(
            line.as_deref(),
            Some(
                "11:59:58 Armed  opens in 2.0 s  sold 4,211 of 10,000  locked 3,120  12,400 requests/s  p99 8.0 ms  \
                 buyers 5 of 500  BROKEN PROMISES 1"
            )
        );
    }
}
