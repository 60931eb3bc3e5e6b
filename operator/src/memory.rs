//! What the operator remembers of a sale between two looks. Nothing of it has to survive the process.

use crate::drift::Reverts;
use flashsale_operator_core::Millis;
use flashsale_operator_core::observed::{
    Answer, Audit, Child, ClockOffset, Closing, Databases, Figures, Kind, LogState, PagesServed, Purged,
    Reference, Setback,
};
use flashsale_operator_core::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// A kind and a name.
pub(crate) type Named = (Kind, String);

/// What somebody answered, and when they were last asked.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    /// The answer.
    pub(crate) answer: Answer<T>,
    asked: Option<Instant>,
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self {
            answer: Answer::NotAsked,
            asked: None,
        }
    }
}

impl<T> Asked<T> {
    /// Whether it is time to ask, if an answer may be this old.
    pub(crate) fn is_due(&self, age_max: Duration) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= age_max)
    }

    /// Whoever looks next asks anew.
    pub(crate) fn expire(&mut self) {
        self.asked = None;
    }

    /// They have answered, or haven't. `since` of a failure is when the first one in a row was.
    pub(crate) fn take(&mut self, answer: Result<T, String>, now: Millis) {
        self.asked = Some(Instant::now());
        self.answer = match (answer, &self.answer) {
            (Ok(value), _) => Answer::Told { at: now, value },
            (Err(error), Answer::Failed { since, .. }) => Answer::Failed { error, since: *since },
            (Err(error), _) => Answer::Failed { error, since: now },
        };
    }
}

/// What is remembered of one sale.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The uid of the object: another one is another sale.
    pub(crate) uid: String,
    /// Whether its class counts it.
    pub(crate) counted: Option<bool>,
    /// When kinds that aren't watched were last listed.
    pub(crate) listed: Option<Instant>,
    /// The sale's objects of those kinds.
    pub(crate) unwatched: BTreeMap<Named, Child>,
    /// The digests of objects as they were when last applied or first seen.
    pub(crate) prints: HashMap<Named, String>,
    /// Changes of others that were taken back.
    pub(crate) reverts: Reverts,
    /// Names that are taken by somebody else's objects.
    pub(crate) foreign: BTreeSet<Named>,
    /// Objects that the sale names, with the time they were looked at.
    pub(crate) references: BTreeMap<Named, (Instant, Reference)>,
    /// Whether the operator may write in the namespace, and when that was asked.
    pub(crate) enabled: Option<(Instant, bool)>,
    /// The order log.
    pub(crate) log: Asked<LogState>,
    /// The databases; errors are in each of them.
    pub(crate) databases: Databases,
    /// When they were asked.
    pub(crate) databases_asked: Option<Instant>,
    /// The worker.
    pub(crate) figures: Asked<Figures>,
    /// Clocks of the sale's processes.
    pub(crate) clocks: Asked<Vec<ClockOffset>>,
    /// The last audit.
    pub(crate) audit: Asked<Audit>,
    /// How far closing from the log has come.
    pub(crate) closing: Asked<Closing>,
    /// What gateways serve as pages.
    pub(crate) pages: Asked<Vec<PagesServed>>,
    /// Why the shop's pages can't be published.
    pub(crate) publishing: Option<Setback>,
    /// How far the CDN was told.
    pub(crate) purge: Purged,
    /// Whether the shop has taken the report.
    pub(crate) told: Asked<()>,
    /// Where the last plan stopped.
    pub(crate) failure: Option<Failure>,
    /// Objects as the last writes have answered, until the caches show them.
    pub(crate) written: HashMap<Named, (Instant, Child)>,
    /// The resourceVersions of the sale that the last writes replaced: a cache that still has one is behind.
    pub(crate) replaced: Vec<String>,
}

impl Memory {
    /// Nothing is known of this sale yet.
    pub(crate) fn of(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            ..Self::default()
        }
    }

    /// A step failed. The same one again keeps the time of the first failure.
    pub(crate) fn failed(&mut self, step: String, kind: FailureKind, error: String, now: Millis) {
        let since = match &self.failure {
            Some(before) if before.step == step => before.since,
            _ => now,
        };
        self.failure = Some(Failure {
            kind,
            step,
            error,
            since,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_a_row_keeps_the_time_of_the_first() {
        let mut asked = Asked::<u8>::default();
        assert!(asked.is_due(Duration::MAX));
        asked.take(Err("down".into()), 10);
        asked.take(Err("still down".into()), 20);
        assert_eq!(
            asked.answer,
            Answer::Failed {
                error: "still down".into(),
                since: 10
            }
        );
        assert!(!asked.is_due(Duration::from_secs(60)));
        asked.take(Ok(1), 30);
        asked.take(Err("down".into()), 40);
        assert!(matches!(asked.answer, Answer::Failed { since: 40, .. }));
        asked.expire();
        assert!(asked.is_due(Duration::from_secs(60)));

        let mut memory = Memory::of("1");
        for (step, at, since) in [("a", 1, 1), ("a", 2, 1), ("b", 3, 3)] {
            memory.failed(step.into(), FailureKind::Other, "no".into(), at);
            assert_eq!(memory.failure.as_ref().map(|f| f.since), Some(since));
        }
    }
}
