//! Patient buyers: told "sold out", they wait until stock shows up again, all behind one shared look at the sale.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use crate::agent::Agent;
use crate::buyer::Counted;
use crate::schedule::{NONE, Op, Step};
use crate::watch::WATCH_NS;

/// Patient buyers who wait for stock of one item.
#[derive(Default)]
pub(crate) struct Parked {
    /// How many looks had found stock when these began to wait.
    pub(crate) sightings: u64,
    /// Each with the end of their patience, the first to lose it in front.
    pub(crate) waiting: VecDeque<(u32, u64)>,
}

impl Agent {
    /// The slow part of a tick: latencies to everybody's view, patient buyers, the shared look.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.progress.record(&mut self.latencies_us);
        for item in 0..self.parked.len() {
            let (sightings, over) = (self.watch.sightings(item), self.watch.is_over());
            let new_sighting = std::mem::replace(&mut self.parked[item].sightings, sightings) != sightings;
            let wakes = |&mut (_, until_ns): &mut (u32, u64)| new_sighting || over || until_ns <= now_ns;
            while let Some((buyer, _)) = self.parked[item].waiting.pop_front_if(wakes) {
                self.wake(buyer, new_sighting && !over, now_ns);
            }
        }
        let anybody = self.progress.patient.load(Relaxed) > 0;
        if self.thread == 0 && anybody && !self.watching && now_ns >= self.watch_due_ns {
            self.watching = true;
            self.schedule.push_ready(Step::new(Op::Watch, NONE, now_ns));
        }
    }

    /// A patient buyer waits for stock.
    pub(crate) fn park(&mut self, buyer: u32, now_ns: u64) {
        let until_ns = now_ns + self.config.patience.as_nanos() as u64;
        let item = usize::from(self.plans[buyer as usize].item);
        let state = &mut self.buyers[buyer as usize];
        state.parked = true;
        state.pending += 1;
        if self.parked[item].waiting.is_empty() {
            self.parked[item].sightings = self.watch.sightings(item);
        }
        self.parked[item].waiting.push_back((buyer, until_ns));
        self.progress.patient.fetch_add(1, Relaxed);
    }

    fn wake(&mut self, buyer: u32, tries: bool, now_ns: u64) {
        self.progress.patient.fetch_sub(1, Relaxed);
        let state = &mut self.buyers[buyer as usize];
        state.parked = false;
        let has_ticket = state.counted != Counted::NotYet;
        if tries && !has_ticket {
            state.tries += 1;
            self.buy_anew(buyer, now_ns);
        }
        self.step_done(buyer);
    }

    /// The shared look was answered or lost; the next one is a second away.
    pub(crate) fn watch_ended(&mut self, now_ns: u64) {
        self.watching = false;
        self.watch_due_ns = now_ns + WATCH_NS;
    }
}
