//! All shards that one process serves: batches in, answers out; buyers whose shard is empty wait here
//! for units of other shards.
//!
//! # Guarantees
//! - "Sold out" is said only at an instant at which every shard is open and none has a free unit, nor
//!   is one on its way.
//! - Nobody waits but for units that exist somewhere; the number of waiting attempts is bounded.

use crate::attempt::{Answer, Attempt, Refusal, Registered, Verdict};
use crate::engine::Engine;
use crate::event::{Record, ReleaseReason, TicketNo};
use crate::ids::{BuyerKey, ItemIx, Millis, Seq, ShardId};
use crate::owner::{Effect, Owner};
use crate::transfer::{self, Situation};
use crate::units::UnitRange;
use std::collections::{BTreeMap, VecDeque};

/// All shards of one process. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    owners: Vec<Option<Owner>>,
    items: usize,
    waiting: BTreeMap<(ItemIx, ShardId), Queue>,
    waiting_len: usize,
    waiting_max: usize,
}

/// Attempts that wait in one shard for units of one item.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Queue {
    attempts: VecDeque<Attempt>,
    /// The sum of their quantities.
    wanted: u32,
}

impl Queue {
    fn push(&mut self, attempt: Attempt) {
        self.wanted += attempt.quantity;
        self.attempts.push_back(attempt);
    }

    fn pop(&mut self) -> Option<Attempt> {
        let attempt = self.attempts.pop_front()?;
        self.wanted -= attempt.quantity;
        Some(attempt)
    }
}

/// An answer and the token of the attempt that it answers.
pub type Answered = (u64, Answer);

/// An effect and the shard whose owner wants it.
pub type ShardEffect = (ShardId, Effect);

impl Room {
    /// A room of `shards` shards without owners, selling `items` items, in which at most
    /// `waiting_max` attempts wait for units.
    #[must_use]
    pub fn new(shards: u16, items: usize, waiting_max: usize) -> Self {
        Self {
            owners: vec![None; usize::from(shards)],
            items,
            waiting: BTreeMap::new(),
            waiting_len: 0,
            waiting_max,
        }
    }

    /// A new owner took a shard over. Attempts that waited at the old one are answered "unavailable".
    pub fn own(&mut self, owner: Owner, answers: &mut Vec<Answered>) {
        let shard = owner.shard();
        self.owners[shard.ix()] = Some(owner);
        self.refuse_waiting(shard, answers);
    }

    /// A shard's owner.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Option<&Owner> {
        self.owners[shard.ix()].as_ref()
    }

    /// A shard's owner, to be driven directly (bypass). Follow with [`Room::settle`].
    pub fn owner_mut(&mut self, shard: ShardId) -> Option<&mut Owner> {
        self.owners[shard.ix()].as_mut()
    }

    /// All owners, in order of shard.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.iter().flatten()
    }

    /// Reads the next record of a shard's partition.
    pub fn read(&mut self, shard: ShardId, record: &Record, out: &mut Vec<ShardEffect>) {
        let mut effects = Vec::new();
        if let Some(owner) = self.owner_mut(shard) {
            owner.read(record, &mut effects);
        }
        self.route(shard, effects, out);
    }

    /// Hands transfers and acknowledgements to the owners they are for, the rest to the caller.
    pub fn route(&mut self, from: ShardId, effects: Vec<Effect>, out: &mut Vec<ShardEffect>) {
        let mut queue: VecDeque<ShardEffect> = effects.into_iter().map(|e| (from, e)).collect();
        while let Some((from, effect)) = queue.pop_front() {
            match effect {
                Effect::Send { to, transfer } => {
                    let mut effects = Vec::new();
                    if let Some(owner) = self.owner_mut(to) {
                        owner.transfer_arrived(from, &transfer, &mut effects);
                    }
                    queue.extend(effects.into_iter().map(|e| (to, e)));
                }
                Effect::Ack { to, number } => {
                    if let Some(owner) = self.owner_mut(to) {
                        owner.acked(from, number);
                    }
                }
                other => out.push((from, other)),
            }
        }
    }

    /// Decides a batch of attempts of buyers whose home is `shard`. Answers may come later, by
    /// [`Room::settle`].
    pub fn purchase(
        &mut self,
        now: Millis,
        shard: ShardId,
        attempts: Vec<Attempt>,
        answers: &mut Vec<Answered>,
    ) {
        let places = self.places(shard, &attempts);
        let Some(owner) = self.owners[shard.ix()].as_mut() else {
            answers.extend(attempts.iter().map(|a| (a.token, UNAVAILABLE)));
            return;
        };
        let mut verdicts = Vec::with_capacity(attempts.len());
        owner.purchase(now, &places, &attempts, &mut verdicts);
        let mut empty = None;
        for (attempt, verdict) in attempts.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Answer(answer) => answers.push((attempt.token, answer)),
                Verdict::Empty => {
                    let (item, available) = *empty
                        .filter(|(item, _)| *item == attempt.item)
                        .get_or_insert_with(|| (attempt.item, self.available(attempt.item)));
                    empty = Some((item, available));
                    self.wait(shard, attempt, available, answers);
                }
            }
        }
    }

    fn wait(
        &mut self,
        shard: ShardId,
        attempt: Attempt,
        available: Option<u32>,
        answers: &mut Vec<Answered>,
    ) {
        if available.is_some_and(|units| units < attempt.quantity) {
            answers.push((attempt.token, SOLD_OUT));
        } else if self.waiting_len >= self.waiting_max {
            answers.push((attempt.token, UNAVAILABLE));
        } else {
            self.waiting_len += 1;
            self.waiting
                .entry((attempt.item, shard))
                .or_default()
                .push(attempt);
        }
    }

    /// Serves waiting attempts whose units have come, tells those for whom none is left, and starts
    /// transfers for the rest. Call after each burst of inputs.
    pub fn settle(&mut self, now: Millis, answers: &mut Vec<Answered>) {
        if self.waiting_len == 0 {
            return;
        }
        let keys: Vec<(ItemIx, ShardId)> = self.waiting.keys().copied().collect();
        for &(item, shard) in &keys {
            self.serve_waiting(now, item, shard, answers);
        }
        self.waiting.retain(|_, queue| !queue.attempts.is_empty());
        let mut items: Vec<ItemIx> = self.waiting.keys().map(|(item, _)| *item).collect();
        items.dedup();
        for item in items {
            self.start_transfers(item);
        }
    }

    fn serve_waiting(&mut self, now: Millis, item: ItemIx, shard: ShardId, answers: &mut Vec<Answered>) {
        loop {
            let front = self.waiting.get(&(item, shard)).and_then(|q| q.attempts.front());
            let Some(quantity) = front.map(|a| a.quantity) else {
                return;
            };
            let here = self
                .owner(shard)
                .filter(|o| o.takes())
                .map(|o| o.engine().free(item));
            let stuck = here.is_some_and(|free| free < quantity)
                && self.available(item).is_none_or(|units| units >= quantity);
            if stuck {
                return;
            }
            // Either its units are here, or nobody has any, or the shard is gone: in each case the
            // ordinary path knows the answer.
            let queue = self.waiting.get_mut(&(item, shard));
            if let Some(attempt) = queue.and_then(Queue::pop) {
                self.waiting_len -= 1;
                self.purchase(now, shard, vec![attempt], answers);
            }
        }
    }

    fn start_transfers(&mut self, item: ItemIx) {
        let mut shards: Vec<Situation> = Vec::with_capacity(self.owners.len());
        for (ix, owner) in self.owners.iter().enumerate() {
            let free = owner
                .as_ref()
                .filter(|o| o.takes())
                .map_or(0, |o| o.engine().free(item));
            let queue = self.waiting.get(&(item, ShardId(ix as u16)));
            let wanted = queue.map_or(0, |q| q.wanted);
            shards.push(Situation {
                free,
                wanted,
                arriving: 0,
            });
        }
        for owner in self.owners() {
            for (to, units) in owner.leaving(item) {
                shards[to.ix()].arriving += units;
            }
        }
        for ask in transfer::plan(item, &shards) {
            if let Some(owner) = self.owner_mut(ask.donor) {
                owner.transfer_out(ask.to, ask.item, ask.units);
            }
        }
    }

    fn refuse_waiting(&mut self, shard: ShardId, answers: &mut Vec<Answered>) {
        let mut refused = 0;
        for (_, queue) in self.waiting.iter_mut().filter(|((_, at), _)| *at == shard) {
            refused += queue.attempts.len();
            queue.wanted = 0;
            answers.extend(queue.attempts.drain(..).map(|a| (a.token, UNAVAILABLE)));
        }
        self.waiting_len -= refused;
    }

    /// How many units of `item` are free or on their way, an upper bound; `None` while a shard isn't
    /// open, since nobody knows then.
    #[must_use]
    pub fn available(&self, item: ItemIx) -> Option<u32> {
        self.owners.iter().try_fold(0, |sum, owner| {
            let owner = owner.as_ref().filter(|o| o.takes())?;
            Some(sum + owner.engine().free(item) + owner.in_transfer(item))
        })
    }

    /// How many attempts wait for units.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting_len
    }

    /// How many places of each item other shards than `shard` have given out; only the items of
    /// `attempts` are filled in.
    fn places(&self, shard: ShardId, attempts: &[Attempt]) -> Vec<u32> {
        let mut places = vec![u32::MAX; self.items];
        for attempt in attempts {
            let place = &mut places[attempt.item.ix()];
            if *place == u32::MAX {
                let others = self.owners().filter(|o| o.shard() != shard);
                *place = others.map(|o| o.engine().reservations(attempt.item)).sum();
            }
        }
        places
    }

    /// The next batches to publish, at most one per shard.
    pub fn publish(&mut self, events_max: usize, out: &mut Vec<(ShardId, Record)>) {
        for owner in self.owners.iter_mut().flatten() {
            out.extend(owner.publish(events_max).map(|record| (owner.shard(), record)));
        }
    }

    /// The database has applied a shard's events up to `n`.
    pub fn applied(&mut self, shard: ShardId, n: Seq) {
        if let Some(owner) = self.owner_mut(shard) {
            owner.applied(n);
        }
    }

    /// Frees the units of a reservation that the database has closed. See [`Owner::release`].
    pub fn release(&mut self, shard: ShardId, ticket: TicketNo, reason: ReleaseReason) -> bool {
        self.owner_mut(shard)
            .is_some_and(|owner| owner.release(ticket, reason))
    }

    /// Loads stock into a shard. See [`Owner::load`].
    pub fn load(&mut self, shard: ShardId, load: u32, item: ItemIx, units: UnitRange) -> bool {
        self.owner_mut(shard)
            .is_some_and(|owner| owner.load(load, item, units))
    }

    /// Registers a buyer whose home is `shard`.
    pub fn register(&mut self, shard: ShardId, buyer: BuyerKey) -> Registered {
        self.owner_mut(shard)
            .map_or(Registered::Unavailable, |owner| owner.register(buyer))
    }

    /// Sends what wasn't answered or read back again: after a while without progress.
    pub fn resend(&mut self, out: &mut Vec<ShardEffect>) {
        for ix in 0..self.owners.len() {
            let mut effects = Vec::new();
            if let Some(owner) = self.owners[ix].as_mut() {
                owner.republish(&mut effects);
                owner.resend_transfers(&mut effects);
            }
            self.route(ShardId(ix as u16), effects, out);
        }
    }

    /// The shards' states, in order of shard; `None` where a shard has no owner.
    pub fn engines(&self) -> impl Iterator<Item = Option<&Engine>> {
        self.owners.iter().map(|o| o.as_ref().map(Owner::engine))
    }
}

const UNAVAILABLE: Answer = Answer::Refused(Refusal::Unavailable);
const SOLD_OUT: Answer = Answer::Refused(Refusal::SoldOut);
