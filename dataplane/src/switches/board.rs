//! The switches of one process: written when something changes or expires, read by everybody.

use super::document::{Document, Entry, Kept, Source, entries, in_force};
use super::force::InForce;
use arc_swap::{ArcSwap, Guard};
use flashsale_core::ids::Millis;
use flashsale_crds::Switches;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PAUSED: u64 = 1;
const SOLD_OUT: u64 = 1 << 1;
const ONLY_STATIC: u64 = 1 << 2;
const LIMITED: u64 = 1 << 3;
const LIMIT_SHIFT: u32 = 32;

/// What a purchase meets first: one number, so that looking at it costs nothing while nothing is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door(u64);

impl Door {
    fn of(force: &InForce) -> Self {
        let flag = |on, bit| if on { bit } else { 0 };
        let limit = force
            .rate_limit
            .map_or(0, |limit| LIMITED | u64::from(limit) << LIMIT_SHIFT);
        let flags = flag(force.paused, PAUSED)
            | flag(force.sold_out, SOLD_OUT)
            | flag(force.only_static, ONLY_STATIC);
        Self(flags | limit)
    }

    /// Whether no purchase is let in at all.
    #[must_use]
    pub fn shut(self) -> bool {
        self.0 & (PAUSED | SOLD_OUT) != 0
    }

    /// `sale.paused`
    #[must_use]
    pub fn paused(self) -> bool {
        self.0 & PAUSED != 0
    }

    /// `pages.static`
    #[must_use]
    pub fn only_static(self) -> bool {
        self.0 & ONLY_STATIC != 0
    }

    /// `entry.rateLimit`
    #[must_use]
    pub fn limit(self) -> Option<u32> {
        (self.0 & LIMITED != 0).then_some((self.0 >> LIMIT_SHIFT) as u32)
    }
}

/// What is passed on: its number in this process, and the text.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Grows with each change; 0: there is nothing to tell.
    pub(crate) number: u64,
    /// A [`Kept`] as JSON.
    pub(crate) text: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Switchboard {
    kept: Mutex<Kept>,
    in_force: ArcSwap<InForce>,
    door: AtomicU64,
    wire: ArcSwap<Wire>,
}

impl Switchboard {
    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> Guard<Arc<InForce>> {
        self.in_force.load()
    }

    /// What a purchase meets.
    #[must_use]
    pub fn door(&self) -> Door {
        Door(self.door.load(Ordering::Acquire))
    }

    /// Begins with what the sale itself says. The cluster's revisions are higher, so a control sidecar's document takes
    /// its place.
    pub(crate) fn begin(&self, declared: &Switches, now: Millis) {
        let entries = entries(declared, &Entry::nobody(Source::Spec));
        if !entries.is_empty() {
            self.declare(Document { revision: 1, entries }, now);
        }
    }

    /// A document was heard at `now`; whether it was news.
    pub fn declare(&self, document: Document, now: Millis) -> bool {
        let glass = Vec::new();
        self.merge(Kept { document, glass }, now)
    }

    /// What another process knows was heard at `now`; whether it was news.
    pub fn merge(&self, other: Kept, now: Millis) -> bool {
        let mut kept = self.kept();
        let changed = kept.merge(other, now);
        if changed {
            self.reckon(&kept, now);
            let number = self.wire.load().number + 1;
            // Only structs of plain values: they always have a JSON form.
            let text = serde_json::to_string(&*kept).unwrap_or_default();
            self.wire.store(Arc::new(Wire { number, text }));
        }
        changed
    }

    /// It is `now`: whether something has expired since.
    pub fn tick(&self, now: Millis) -> bool {
        let due = self.in_force.load().until.is_some_and(|until| until <= now);
        if due {
            self.reckon(&self.kept(), now);
        }
        due
    }

    /// All that is known, to be kept elsewhere.
    #[must_use]
    pub fn known(&self) -> Kept {
        self.kept().clone()
    }

    /// What is passed on.
    pub(crate) fn wire(&self) -> Guard<Arc<Wire>> {
        self.wire.load()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reckon(&self, kept: &Kept, now: Millis) {
        let all = || kept.document.entries.iter().chain(&kept.glass);
        let ends = all().filter(|entry| entry.counts(now));
        let until = ends.filter_map(|entry: &Entry| entry.expires_ms).min();
        let force = InForce::of(kept.document.revision, &in_force(all(), now), until);
        self.door.store(Door::of(&force).0, Ordering::Release);
        self.in_force.store(Arc::new(force));
    }
}
