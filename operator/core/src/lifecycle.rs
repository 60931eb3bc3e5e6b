//! A sale's phases as a function from a state and an event to the next state and what has to be done first.

use crate::api::{LockLevel, Outcome, Phase};

/// Where a sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its phase.
    pub phase: Phase,
    /// How much of its spec is fixed.
    pub level: LockLevel,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Something that moves a sale on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is accepted and its time has come.
    Due,
    /// What it needs is there, and nothing speaks against loading its stock.
    PartsReady,
    /// Its gateways are warm while its registration is open.
    RegistrationOpened,
    /// All blocking gates hold.
    GatesGreen,
    /// The data plane sells.
    Opened,
    /// The grace after the opening is over, and it doesn't sell.
    MissedOpening,
    /// It is called off, or being deleted, before any of its stock can have been loaded.
    Withdrawn,
    /// It is called off, or being deleted, and its stock is in the shards or may come to be.
    CalledOff,
    /// Its end has come.
    Closed,
    /// No reservation waits for its order any more.
    BacklogGone,
    /// The audit found all in order.
    BooksAgree,
    /// The audit found something.
    BooksDisagree,
}

/// What has to be done before the next state is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fix this much of the spec.
    Lock(LockLevel),
    /// Keep the data plane closed for good.
    CallOff,
}

impl State {
    fn to(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    fn ended(self, phase: Phase, outcome: Outcome) -> Self {
        Self {
            phase,
            outcome: Some(self.outcome.unwrap_or(outcome)),
            ..self
        }
    }
}

/// The next state, and what has to be done for it, in order. An event that means nothing in a state changes nothing.
///
/// # Guarantees
/// The level never falls; what ended stays ended.
#[must_use]
pub fn step(state: State, event: Event) -> (State, Vec<Effect>) {
    let (next, effects) = transition(state, event);
    let mut level = state.level;
    let mut kept = Vec::new();
    for effect in effects {
        match effect {
            Effect::Lock(to) if to <= level => {}
            Effect::Lock(to) => {
                level = to;
                kept.push(effect);
            }
            Effect::CallOff => kept.push(effect),
        }
    }
    (State { level, ..next }, kept)
}

fn transition(state: State, event: Event) -> (State, Vec<Effect>) {
    use Event as E;
    use Phase as P;
    let lock = |level| vec![Effect::Lock(level)];
    match (state.phase, event) {
        (P::Pending, E::Due) => (state.to(P::Provisioning), lock(LockLevel::Provisioned)),
        (P::Provisioning, E::PartsReady) => (state.to(P::Warming), lock(LockLevel::Loading)),
        (P::Warming, E::RegistrationOpened) => (state.to(P::Registering), vec![]),
        (P::Warming | P::Registering, E::GatesGreen) => (state.to(P::Armed), lock(LockLevel::Armed)),
        (P::Warming | P::Registering | P::Armed, E::Opened) => (state.to(P::Open), lock(LockLevel::Open)),
        (P::Pending, E::MissedOpening) => (state.ended(P::Failed, Outcome::Failed), vec![]),
        (P::Provisioning | P::Warming | P::Registering, E::MissedOpening) => {
            let effects = vec![Effect::Lock(LockLevel::Closed), Effect::CallOff];
            (state.ended(P::Failed, Outcome::Failed), effects)
        }
        // Nothing is loaded: nobody is owed anything.
        (P::Pending, E::Withdrawn) => (state.ended(P::Settled, Outcome::Cancelled), vec![]),
        (P::Provisioning, E::Withdrawn) => (
            state.ended(P::Settled, Outcome::Cancelled),
            lock(LockLevel::Closed),
        ),
        (P::Provisioning | P::Warming | P::Registering | P::Armed | P::Open, E::CalledOff) => {
            let effects = vec![Effect::Lock(LockLevel::Closed), Effect::CallOff];
            (state.ended(P::Draining, Outcome::Cancelled), effects)
        }
        (P::Warming | P::Registering | P::Armed | P::Open, E::Closed) => {
            (state.to(P::Draining), lock(LockLevel::Closed))
        }
        (P::Draining, E::BacklogGone) => (state.to(P::Settling), vec![]),
        (P::Settling, E::BooksAgree) => (state.ended(P::Settled, Outcome::Completed), vec![]),
        (P::Settling, E::BooksDisagree) => (state.ended(P::Failed, Outcome::Failed), vec![]),
        _ => (state, vec![]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 12] = [
        Event::Due,
        Event::PartsReady,
        Event::RegistrationOpened,
        Event::GatesGreen,
        Event::Opened,
        Event::MissedOpening,
        Event::Withdrawn,
        Event::CalledOff,
        Event::Closed,
        Event::BacklogGone,
        Event::BooksAgree,
        Event::BooksDisagree,
    ];

    fn begin() -> State {
        State {
            phase: Phase::Pending,
            level: LockLevel::Pending,
            outcome: None,
        }
    }

    #[test]
    fn a_sale_that_all_goes_well_for_locks_each_level_once_and_in_order() {
        let way = [
            Event::Due,
            Event::PartsReady,
            Event::GatesGreen,
            Event::Opened,
            Event::Closed,
            Event::BacklogGone,
            Event::BooksAgree,
        ];
        let (mut state, mut locked) = (begin(), Vec::new());
        for event in way {
            let (next, effects) = step(state, event);
            assert_ne!(next.phase, state.phase, "{event:?} moves it on");
            locked.extend(effects);
            state = next;
        }
        assert_eq!(
            locked,
            LockLevel::ALL[1..]
                .iter()
                .map(|level| Effect::Lock(*level))
                .collect::<Vec<_>>()
        );
        assert_eq!(
            (state.phase, state.outcome),
            (Phase::Settled, Some(Outcome::Completed))
        );
    }

    #[test]
    fn a_sale_withdrawn_before_loading_owes_nobody_anything_whatever_was_locked_before_a_crash() {
        for level in LockLevel::ALL {
            let (due, _) = step(begin(), Event::Due);
            let (state, effects) = step(State { level, ..due }, Event::Withdrawn);
            assert_eq!(
                (state.phase, state.level, state.outcome),
                (Phase::Settled, LockLevel::Closed, Some(Outcome::Cancelled))
            );
            assert_eq!(effects.len(), usize::from(level < LockLevel::Closed));
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_in_whatever_order_levels_never_fall_and_what_ended_stays_ended(
            order in prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..40)
        ) {
            let mut state = begin();
            for event in order {
                let (next, effects) = step(state, event);
                prop_assert!(next.level >= state.level);
                if let Some(outcome) = state.outcome
                    && next.phase != Phase::Failed {
                    prop_assert_eq!(next.outcome, Some(outcome));
                }
                if matches!(state.phase, Phase::Settled | Phase::Failed) {
                    prop_assert_eq!(next, state);
                }
                if next.phase == Phase::Open {
                    prop_assert!(next.level >= LockLevel::Open);
                }
                // Again, the same event moves nothing on by itself.
                let (again, effects_again) = step(next, event);
                prop_assert!(again == next || event == Event::CalledOff, "{:?} {:?}", effects, effects_again);
                state = next;
            }
        }
    }
}
