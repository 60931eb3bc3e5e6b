//! What to do about a lease, from what was seen of it. Pure.

use k8s_openapi::api::coordination::v1::Lease;
use std::time::{Duration, Instant};

/// A lease as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it; nobody if it was given back or was never there.
    holder: Option<String>,
    /// Whether it exists.
    exists: bool,
    /// The version that was seen; each renewal makes a new one.
    version: Option<String>,
    /// When this version was first seen, by this process' clock.
    since: Instant,
}

impl Seen {
    /// What `found` tells, after what was seen before.
    pub(super) fn of(found: Option<&Lease>, before: Option<Self>, now: Instant) -> Self {
        let version = found.and_then(|lease| lease.metadata.resource_version.clone());
        let since = before
            .filter(|seen| seen.version == version)
            .map_or(now, |seen| seen.since);
        let holder = found
            .and_then(|lease| lease.spec.as_ref()?.holder_identity.clone())
            .filter(|holder| !holder.is_empty());
        Self {
            holder,
            exists: found.is_some(),
            version,
            since,
        }
    }
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Make the lease.
    Create,
    /// Write this process into it, with the version that was seen: a renewal or a takeover.
    Write,
    /// Somebody else has it for at least that long.
    Wait {
        /// Who.
        holder: String,
        /// How long.
        left: Duration,
    },
}

/// A lease of somebody else is free once it hasn't changed for `held_for` before this process' own eyes: its times are
/// of another clock.
pub(super) fn decide(seen: &Seen, me: &str, now: Instant, held_for: Duration) -> Move {
    match &seen.holder {
        _ if !seen.exists => Move::Create,
        Some(holder) if holder != me => {
            let left = held_for.saturating_sub(now.saturating_duration_since(seen.since));
            if left.is_zero() {
                return Move::Write;
            }
            Move::Wait {
                holder: holder.clone(),
                left,
            }
        }
        _ => Move::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    const HELD_FOR: Duration = Duration::from_secs(30);

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.resource_version = Some(version.to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            ..LeaseSpec::default()
        });
        lease
    }

    #[test]
    fn a_lease_that_is_renewed_is_never_taken() {
        let start = Instant::now();
        let mut seen = None;
        for renewal in 0..20 {
            let now = start + Duration::from_secs(10) * renewal;
            let of = Seen::of(Some(&lease("other", &renewal.to_string())), seen, now);
            assert!(matches!(decide(&of, "me", now, HELD_FOR), Move::Wait { left, .. } if left == HELD_FOR));
            seen = Some(of);
        }
    }

    #[test]
    fn a_silent_lease_is_taken_when_it_was_watched_for_its_whole_time() {
        let start = Instant::now();
        let dead = lease("other", "7");
        let first = Seen::of(Some(&dead), None, start);
        let late = start + Duration::from_secs(29);
        let then = Seen::of(Some(&dead), Some(first), late);
        assert_eq!(
            decide(&then, "me", late, HELD_FOR),
            Move::Wait {
                holder: "other".into(),
                left: Duration::from_secs(1)
            }
        );
        let over = start + HELD_FOR;
        let then = Seen::of(Some(&dead), Some(then), over);
        assert_eq!(decide(&then, "me", over, HELD_FOR), Move::Write);
    }

    #[test]
    fn what_is_free_missing_or_mine_is_written_at_once() {
        let now = Instant::now();
        let decided = |found: Option<&Lease>| decide(&Seen::of(found, None, now), "me", now, HELD_FOR);
        assert_eq!(decided(None), Move::Create);
        assert_eq!(decided(Some(&lease("", "1"))), Move::Write);
        assert_eq!(decided(Some(&lease("me", "1"))), Move::Write);
        assert_eq!(decided(Some(&Lease::default())), Move::Write);
    }
}
