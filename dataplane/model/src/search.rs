//! Breadth-first search over all states of a model, kept as 64-bit fingerprints.
//!
//! # Guarantees
//! - Every state within the model's bounds is visited once and checked, unless `states_max` is reached;
//!   the report says which of the two it was.
//! - A counterexample is a shortest one.
//!
//! Two states with one fingerprint would be taken for one: at ten million states the chance that this
//! happens anywhere is about 3 in a million (64 bits).

use crate::seen::Seen;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// What is explored.
pub trait Model {
    /// Everything that decides how things go on.
    type State: Clone;
    /// One atomic step.
    type Action: Copy;

    /// Where it begins.
    fn start(&self) -> Self::State;
    /// The steps that may be possible in `state`.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    /// The state behind a step; `None` if the step isn't possible or changes nothing.
    fn step(&self, state: &Self::State, action: Self::Action) -> Option<Self::State>;
    /// Whether a step, by the state behind it, changed nothing.
    fn same(&self, state: &Self::State) -> bool;
    /// Equal for states from which the same can happen.
    fn fingerprint(&self, state: &Self::State) -> u64;
    /// What must hold in every state.
    ///
    /// # Errors
    /// What doesn't hold, in words.
    fn check(&self, state: &Self::State, fingerprint: u64) -> Result<(), String>;
    /// What happened on the way into this state: a bit per thing that must be possible.
    fn seen(&self, state: &Self::State) -> u64;
    /// A step in words, for a counterexample.
    fn describe(&self, state: &Self::State, action: Self::Action) -> String;
}

/// How a search ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// Different states visited.
    pub states: usize,
    /// Steps taken between them, those to known states too.
    pub steps: usize,
    /// The longest of all shortest ways to a state.
    pub depth: usize,
    /// Whether every state within the bounds was visited.
    pub exhausted: bool,
    /// Everything that was seen to happen, as bits.
    pub seen: u64,
    /// The first state in which something didn't hold: what, and the shortest way there.
    pub violation: Option<(String, Vec<String>)>,
}

impl Report {
    /// Everything that was seen to happen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.seen)
    }
}

/// Explores `model` until everything was visited, something doesn't hold, or `states_max` is reached.
pub fn explore<M: Model>(model: &M, states_max: usize) -> Report {
    Search {
        model,
        parents: FxHashMap::default(),
        report: Report {
            states: 0,
            steps: 0,
            depth: 0,
            exhausted: false,
            seen: 0,
            violation: None,
        },
    }
    .run(states_max)
}

struct Search<'a, M: Model> {
    model: &'a M,
    /// Fingerprint of a visited state → of the one that led to it.
    parents: FxHashMap<u64, u64>,
    report: Report,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self, states_max: usize) -> Report {
        let start = self.model.start();
        let root = self.model.fingerprint(&start);
        self.parents.insert(root, root);
        if let Err(problem) = self.model.check(&start, root) {
            self.report.violation = Some((problem, Vec::new()));
            return self.report;
        }
        let mut layer = vec![(root, start)];
        let mut actions = Vec::new();
        while !layer.is_empty() {
            let mut next = Vec::new();
            for (from, state) in layer {
                actions.clear();
                self.model.actions(&state, &mut actions);
                for &action in &actions {
                    let Some(after) = self.model.step(&state, action) else {
                        continue;
                    };
                    self.report.steps += 1;
                    self.report.seen |= self.model.seen(&after);
                    if self.model.same(&after) {
                        continue;
                    }
                    let fingerprint = self.model.fingerprint(&after);
                    let Entry::Vacant(new) = self.parents.entry(fingerprint) else {
                        continue;
                    };
                    new.insert(from);
                    if let Err(problem) = self.model.check(&after, fingerprint) {
                        self.report.violation = Some((problem, self.way_to(fingerprint)));
                        return self.done();
                    }
                    next.push((fingerprint, after));
                }
            }
            if self.parents.len() > states_max {
                return self.done();
            }
            self.report.depth += usize::from(!next.is_empty());
            layer = next;
        }
        self.report.exhausted = true;
        self.done()
    }

    fn done(mut self) -> Report {
        self.report.states = self.parents.len();
        self.report
    }

    /// The steps to a visited state, found again by going the same way.
    fn way_to(&self, mut fingerprint: u64) -> Vec<String> {
        let mut way = Vec::new();
        while self.parents[&fingerprint] != fingerprint {
            way.push(fingerprint);
            fingerprint = self.parents[&fingerprint];
        }
        let mut state = self.model.start();
        let mut steps = Vec::new();
        let mut actions = Vec::new();
        for to in way.into_iter().rev() {
            actions.clear();
            self.model.actions(&state, &mut actions);
            for &action in &actions {
                let after = self.model.step(&state, action);
                if let Some(after) = after.filter(|after| self.model.fingerprint(after) == to) {
                    steps.push(self.model.describe(&state, action));
                    state = after;
                    break;
                }
            }
        }
        steps
    }
}
