//! Points in time as milliseconds since 1970, and as the resources write them.

use crate::api::Timestamp;
use chrono::{DateTime, SecondsFormat};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// The time as the resources write it, cut to whole seconds, as Kubernetes' own times are.
#[must_use]
pub fn timestamp(at: Millis) -> Timestamp {
    let seconds = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let text = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    text.parse()
        .unwrap_or_else(|_| EPOCH.parse().expect("a constant time, read in a test"))
}

const EPOCH: &str = "1970-01-01T00:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_cut_to_its_second_and_nonsense_is_the_epoch() {
        let at = "2026-12-01T12:00:00Z".parse::<Timestamp>().unwrap().millis();
        assert_eq!(timestamp(at + 999).millis(), at);
        assert_eq!(timestamp(u64::MAX).millis(), 0);
    }
}
