//! When what is due. Pure: times and chance are passed in.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What can be queued.
pub(crate) trait Key: Clone + Ord + Hash + Debug + Send + 'static {}
impl<K: Clone + Ord + Hash + Debug + Send + 'static> Key for K {}

/// Changes come in bursts (a pod's status changes several times as it starts): what comes within this time is one look.
const GATHER: Duration = Duration::from_millis(100);
/// Looks at one key in a row before they are slowed down to one per [`SLOW`].
const BURST: u32 = 40;
/// Between looks at a key whose changes never stop; with its own changes, that would be a hot loop.
const SLOW: Duration = Duration::from_secs(1);
/// The first wait after an error.
const ERROR_MIN: Duration = Duration::from_secs(1);
/// The longest wait after an error.
const ERROR_MAX: Duration = Duration::from_secs(5 * 60);

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// After that time: everything went well.
    In(Duration),
    /// Something failed: later each time, 1 s to 5 min.
    Failed,
    /// When something changes.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    /// Something changed while it ran.
    touched: bool,
    failures: u32,
    /// Looks that may follow at once, as of `counted`.
    burst: u32,
    counted: Instant,
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    entries: HashMap<K, Entry>,
    by_time: BTreeSet<(Instant, K)>,
    running: usize,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            by_time: BTreeSet::new(),
            running: 0,
        }
    }
}

impl<K: Key> Schedule<K> {
    /// `key` is due soon.
    pub(super) fn touch(&mut self, key: &K, now: Instant) {
        let entry = self.entry(key, now);
        if entry.running {
            entry.touched = true;
            return;
        }
        // What changed may mend what failed; but a key that fails and is touched all the time is slowed down, too.
        let wait = if entry.burst > 0 { GATHER } else { SLOW };
        self.due_at(key, now + wait);
    }

    /// Removes what is known of `key`. A look that is running goes on.
    pub(super) fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            if let Some(due) = entry.due.take() {
                self.by_time.remove(&(due, key.clone()));
            }
            if !entry.running {
                self.entries.remove(key);
            }
        }
    }

    /// The key that has been due for longest, or how long to wait for one.
    pub(super) fn take(&mut self, now: Instant) -> Result<K, Option<Duration>> {
        match self.by_time.first() {
            Some((due, _)) if *due <= now => {}
            first => return Err(first.map(|(due, _)| *due - now)),
        }
        let Some((_, key)) = self.by_time.pop_first() else {
            return Err(None);
        };
        let entry = self.entry(&key, now);
        (entry.due, entry.running, entry.touched) = (None, true, false);
        let refilled = now.saturating_duration_since(entry.counted).as_secs();
        if refilled > 0 {
            entry.counted = now;
        }
        entry.burst = entry
            .burst
            .saturating_add(u32::try_from(refilled).unwrap_or(BURST))
            .min(BURST)
            .saturating_sub(1);
        self.running += 1;
        Ok(key)
    }

    /// A look has ended. `chance` is any number.
    pub(super) fn done(&mut self, key: &K, again: Again, now: Instant, chance: u64) -> Duration {
        self.running = self.running.saturating_sub(1);
        let entry = self.entry(key, now);
        entry.running = false;
        let wait = match again {
            Again::In(wait) => {
                entry.failures = 0;
                Some(wait.max(GATHER))
            }
            Again::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                Some(backoff(entry.failures, chance))
            }
            Again::Never => {
                entry.failures = 0;
                None
            }
        };
        let (touched, burst) = (entry.touched, entry.burst);
        entry.touched = false;
        let soon = if burst > 0 { GATHER } else { SLOW };
        let wait = match wait {
            // After an error, what it changed itself isn't worth another look at once.
            Some(wait) if touched && again != Again::Failed => Some(wait.min(soon)),
            Some(wait) if touched => Some(wait.min(ERROR_MIN.max(soon))),
            Some(wait) => Some(wait),
            None => touched.then_some(soon),
        };
        match wait {
            Some(wait) => {
                self.due_at(key, now + wait);
                wait
            }
            None => {
                self.entries.remove(key);
                Duration::MAX
            }
        }
    }

    /// How many are due.
    pub(super) fn due(&self, now: Instant) -> usize {
        self.by_time.iter().take_while(|(due, _)| *due <= now).count()
    }

    /// How many are being looked at.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    fn entry(&mut self, key: &K, now: Instant) -> &mut Entry {
        let new = Entry {
            due: None,
            running: false,
            touched: false,
            failures: 0,
            burst: BURST,
            counted: now,
        };
        self.entries.entry(key.clone()).or_insert(new)
    }

    /// Due at `at`, unless it is due sooner.
    fn due_at(&mut self, key: &K, at: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(due) = entry.due {
            if due <= at {
                return;
            }
            self.by_time.remove(&(due, key.clone()));
        }
        entry.due = Some(at);
        self.by_time.insert((at, key.clone()));
    }
}

/// Doubles from error to error; between half of it and all of it, so that what failed together isn't tried together.
fn backoff(failures: u32, chance: u64) -> Duration {
    let doubled = ERROR_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(ERROR_MAX);
    let half = doubled / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    (half + Duration::from_millis(chance % spread)).max(ERROR_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn changes_in_a_burst_are_one_look() {
        let (start, mut schedule) = (Instant::now(), Schedule::default());
        for ms in 0..50 {
            schedule.touch(&"a", start + Duration::from_millis(ms));
        }
        assert_eq!(schedule.take(start + GATHER), Ok("a"));
        assert_eq!(schedule.take(start + SEC), Err(None));
    }

    #[test]
    fn a_key_is_never_taken_twice_and_a_change_meanwhile_isnt_lost() {
        let (start, mut schedule) = (Instant::now(), Schedule::default());
        schedule.touch(&"a", start);
        assert_eq!(schedule.take(start + SEC), Ok("a"));
        schedule.touch(&"a", start + SEC);
        assert_eq!(schedule.take(start + SEC * 2), Err(None));
        schedule.done(&"a", Again::In(SEC * 3600), start + SEC * 2, 0);
        assert_eq!(schedule.take(start + SEC * 2 + GATHER), Ok("a"));
    }

    #[test]
    fn whatever_changes_itself_with_each_look_is_slowed_down() {
        let (mut now, mut schedule, mut looks) = (Instant::now(), Schedule::default(), 0);
        let end = now + SEC * 60;
        schedule.touch(&"a", now);
        while now < end {
            match schedule.take(now) {
                Ok(key) => {
                    looks += 1;
                    schedule.touch(&key, now);
                    schedule.done(&key, Again::In(SEC), now, 0);
                }
                Err(wait) => now += wait.unwrap_or(SEC),
            }
        }
        assert!(looks < 60 + 2 * BURST, "{looks} looks within a minute");
    }

    #[test]
    fn errors_wait_from_a_second_to_five_minutes_and_success_forgets_them() {
        for chance in [0, 1, 499, 12_345, u64::MAX] {
            let waits: Vec<_> = (1..20).map(|n| backoff(n, chance)).collect();
            assert_eq!(waits[0], SEC);
            assert!(waits.iter().all(|wait| (ERROR_MIN..=ERROR_MAX).contains(wait)));
            assert!(waits[18] >= ERROR_MAX / 2);
        }
        let (now, mut schedule) = (Instant::now(), Schedule::default());
        schedule.touch(&"a", now);
        let mut at = now + SEC;
        for _ in 0..6 {
            let key = schedule.take(at).unwrap();
            at += schedule.done(&key, Again::Failed, at, 7);
        }
        assert!(at - now > SEC * 20);
        let key = schedule.take(at).unwrap();
        schedule.done(&key, Again::In(SEC), at, 7);
        let key = schedule.take(at + SEC).unwrap();
        assert_eq!(schedule.done(&key, Again::Failed, at + SEC, 7), SEC);
    }

    #[test]
    fn a_sooner_look_replaces_a_later_one_and_not_the_other_way() {
        let (now, mut schedule) = (Instant::now(), Schedule::default());
        schedule.touch(&"a", now);
        assert_eq!(schedule.take(now + SEC), Ok("a"));
        schedule.done(&"a", Again::In(SEC * 600), now + SEC, 0);
        schedule.touch(&"a", now + SEC * 2);
        assert_eq!(schedule.take(now + SEC * 2 + GATHER), Ok("a"));
        schedule.done(&"a", Again::Never, now + SEC * 3, 0);
        assert_eq!(schedule.take(now + SEC * 600), Err(None));
    }
}
