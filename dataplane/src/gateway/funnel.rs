//! How attempts reach the host: at most one call per shard at a time, and no more attempts on an item than can
//! still get a unit of it.
//!
//! Whatever arrives while a shard's call is under way forms its next call, so that batches grow with the load and no
//! timer is needed. Of an item with few units left, only half as many more attempts than units (and a few) are sent;
//! the others wait here and are answered from memory once the item is sold out, without any call.

use crate::counters::add;
use crate::host::{Message, Port, slot_of, token};
use crate::shared::Shared;
use crate::switches::Door;
use flashsale_core::attempt::{Answer, Attempt, Refusal, Registered};
use flashsale_core::ids::{BuyerKey, ItemIx, ShardId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Attempts in one call.
const BATCH_MAX: usize = 512;
/// An attempt that the host hasn't answered for so long is answered "outcome unknown".
pub(super) const HOST_ANSWER_MAX: Duration = Duration::from_secs(3);
/// An attempt that waited here for so long without being sent is answered "busy".
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// Attempts on an item under way beside those in proportion to what is free.
const SPARE_ATTEMPTS: u32 = 16;

/// What became of a waiting request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// The host's answer to an attempt.
    Answered(Answer),
    /// The host's answer to a registration.
    Registered(Registered),
    /// Nothing is free any more; never sent.
    SoldOut,
    /// Never sent.
    Busy,
    /// Never sent: meanwhile the sale was switched.
    Shut(Door),
    /// Sent, and not answered.
    Unknown,
}

/// Names a waiting request; stays good when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    ix: u32,
    generation: u32,
}

/// 24 bits of index and 32 of generation make the slot of a [`token`].
const IX_BITS: u32 = 24;

impl Key {
    fn slot(self) -> u64 {
        u64::from(self.generation) << IX_BITS | u64::from(self.ix)
    }

    fn of_slot(slot: u64) -> Self {
        Self {
            ix: (slot & ((1 << IX_BITS) - 1)) as u32,
            generation: (slot >> IX_BITS) as u32,
        }
    }
}

/// Where a waiting request stands.
#[derive(Debug)]
enum Stage {
    /// For its turn among those who want the same item.
    Waits,
    /// In the next call to its shard.
    Admitted,
    /// With the host, as part of the call of this number.
    Sent { call: u32 },
    /// Answered; the request hasn't taken the answer yet.
    Done(Outcome),
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    stage: Stage,
    /// The attempt until it is sent; `None` for a registration.
    attempt: Option<Attempt>,
    buyer: BuyerKey,
    shard: ShardId,
    /// `None` for a registration.
    item: Option<ItemIx>,
    arrived: Instant,
    /// When it got into its stage.
    since: Instant,
    waker: Option<Waker>,
    /// Whether nobody waits for the answer any more.
    gone: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    waiting: Option<Waiting>,
}

#[derive(Debug, Default)]
struct ItemLane {
    /// Admitted or sent.
    under_way: u32,
    waits: VecDeque<Key>,
}

#[derive(Debug, Default)]
struct ShardLane {
    next: VecDeque<Key>,
    /// The number of the call under way, until the first answer of it.
    call: Option<u32>,
}

/// All waiting requests of one thread.
pub(super) struct Funnel {
    gateway: u8,
    port: Port,
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    slots_max: usize,
    items: Vec<ItemLane>,
    shards: Vec<ShardLane>,
    calls: u32,
}

impl Funnel {
    pub(super) fn new(gateway: u8, port: Port, shared: Arc<Shared>, slots_max: usize) -> Self {
        Self {
            gateway,
            port,
            slots: Vec::new(),
            free: Vec::new(),
            slots_max: slots_max.min(1 << IX_BITS),
            items: shared.sale.items.iter().map(|_| ItemLane::default()).collect(),
            shards: (0..shared.sale.shards).map(|_| ShardLane::default()).collect(),
            shared,
            calls: 0,
        }
    }

    /// Takes an attempt in; its token is set here. `None` if too many wait.
    pub(super) fn purchase(&mut self, attempt: Attempt, shard: ShardId, arrived: Instant) -> Option<Key> {
        let item = attempt.item;
        let key = self.insert(Waiting {
            stage: Stage::Waits,
            buyer: attempt.buyer,
            attempt: Some(attempt),
            shard,
            item: Some(item),
            arrived,
            since: arrived,
            waker: None,
            gone: false,
        })?;
        self.items[item.ix()].waits.push_back(key);
        self.admit(item, arrived);
        self.call(shard, arrived);
        Some(key)
    }

    /// Takes a registration in and sends it. `None` if too many wait or the host is busy.
    pub(super) fn register(&mut self, buyer: BuyerKey, shard: ShardId, arrived: Instant) -> Option<Key> {
        let key = self.insert(Waiting {
            stage: Stage::Sent { call: 0 },
            attempt: None,
            buyer,
            shard,
            item: None,
            arrived,
            since: arrived,
            waker: None,
            gone: false,
        })?;
        let token = token(self.gateway, key.slot());
        if self
            .port
            .try_send(Message::Register { token, shard, buyer })
            .is_err()
        {
            self.remove(key);
            return None;
        }
        Some(key)
    }

    /// The answer, taken out, or nothing yet: then the waker is told when it is there.
    pub(super) fn take(&mut self, key: Key, waker: &Waker) -> Option<Outcome> {
        let Some(waiting) = self.get(key) else {
            // Can't be: only this call and `abandon` remove what is still wanted.
            return Some(Outcome::Unknown);
        };
        if let Stage::Done(outcome) = waiting.stage {
            self.remove(key);
            return Some(outcome);
        }
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Nobody waits for this answer any more. What was sent still counts once it is answered.
    pub(super) fn abandon(&mut self, key: Key) {
        match self.get(key) {
            Some(waiting) if matches!(waiting.stage, Stage::Done(_)) => self.remove(key),
            Some(waiting) => {
                waiting.gone = true;
                waiting.waker = None;
            }
            None => {}
        }
    }

    /// The host's answers: `replies` are tokens and outcomes.
    pub(super) fn settle(&mut self, replies: impl Iterator<Item = (u64, Outcome)>) {
        let now = Instant::now();
        for (token, outcome) in replies {
            let key = Key::of_slot(slot_of(token));
            let Some(&mut Waiting { shard, ref stage, .. }) = self.get(key) else {
                // It was told "outcome unknown" already.
                continue;
            };
            if let Stage::Sent { call } = *stage
                && self.shards[shard.ix()].call == Some(call)
            {
                self.shards[shard.ix()].call = None;
            }
            self.complete(key, outcome, now);
        }
        self.go_on(now);
    }

    /// Called a few times a second: answers those who waited too long, and those of items that sold out.
    pub(super) fn tick(&mut self, now: Instant) {
        let door = self.shared.switches.door();
        for ix in 0..self.slots.len() {
            let Slot {
                generation,
                waiting: Some(waiting),
            } = &self.slots[ix]
            else {
                continue;
            };
            let key = Key {
                ix: ix as u32,
                generation: *generation,
            };
            let (age, shard) = (now.saturating_duration_since(waiting.since), waiting.shard);
            match waiting.stage {
                Stage::Waits | Stage::Admitted if door.shut() && waiting.item.is_some() => {
                    self.complete(key, Outcome::Shut(door), now);
                }
                Stage::Waits if age > WAIT_MAX => self.complete(key, Outcome::Busy, now),
                Stage::Admitted if age > WAIT_MAX => self.complete(key, Outcome::Busy, now),
                Stage::Sent { call } if age > HOST_ANSWER_MAX => {
                    if self.shards[shard.ix()].call == Some(call) {
                        self.shards[shard.ix()].call = None;
                    }
                    self.complete(key, Outcome::Unknown, now);
                }
                _ => {}
            }
        }
        self.go_on(now);
    }

    /// Lets everybody move on who can.
    fn go_on(&mut self, now: Instant) {
        for item in 0..self.items.len() {
            self.admit(ItemIx(item as u16), now);
        }
        for shard in 0..self.shards.len() {
            self.call(ShardId(shard as u16), now);
        }
    }

    /// Admits as many of those who wait for an item as may be under way, and answers those who can't win any more.
    fn admit(&mut self, item: ItemIx, now: Instant) {
        let available = self.shared.available(item);
        if self.items[item.ix()].waits.is_empty() {
            return;
        }
        if available == Some(0) {
            self.answer_losers(item, now);
        }
        // While nobody knows what is left, whoever comes is sent to their shard if that is open.
        let units = available.unwrap_or(u32::MAX);
        let most = units
            .saturating_add(units.div_ceil(2))
            .saturating_add(SPARE_ATTEMPTS);
        while self.items[item.ix()].under_way < most
            && let Some(key) = self.items[item.ix()].waits.pop_front()
        {
            let Some(waiting) = self.get(key).filter(|w| matches!(w.stage, Stage::Waits)) else {
                continue;
            };
            if waiting.gone {
                self.complete(key, Outcome::Busy, now);
                continue;
            }
            let shard = waiting.shard;
            self.enter(key, Stage::Admitted, now);
            self.items[item.ix()].under_way += 1;
            self.shards[shard.ix()].next.push_back(key);
        }
    }

    /// Answers everybody who waits for a sold-out item, but those who may hold a ticket: they are asked to the host.
    fn answer_losers(&mut self, item: ItemIx, now: Instant) {
        let waits = std::mem::take(&mut self.items[item.ix()].waits);
        let mut left = VecDeque::new();
        for key in waits {
            let Some(buyer) = self.get(key).map(|waiting| waiting.buyer) else {
                continue;
            };
            if self.shared.winners.may_contain(buyer) {
                left.push_back(key);
            } else {
                self.complete(key, Outcome::SoldOut, now);
            }
        }
        self.items[item.ix()].waits = left;
    }

    /// Calls the shard with what is admitted, unless a call is under way.
    fn call(&mut self, shard: ShardId, now: Instant) {
        if self.shards[shard.ix()].call.is_some() || self.shards[shard.ix()].next.is_empty() {
            return;
        }
        self.calls = self.calls.wrapping_add(1);
        let (call, gateway) = (self.calls, self.gateway);
        let mut attempts = Vec::with_capacity(self.shards[shard.ix()].next.len().min(BATCH_MAX));
        while attempts.len() < BATCH_MAX
            && let Some(key) = self.shards[shard.ix()].next.pop_front()
        {
            let Some(waiting) = self.get(key).filter(|w| matches!(w.stage, Stage::Admitted)) else {
                continue;
            };
            match waiting.attempt.take() {
                Some(mut attempt) if !waiting.gone => {
                    attempt.token = token(gateway, key.slot());
                    self.enter(key, Stage::Sent { call }, now);
                    attempts.push(attempt);
                }
                _ => self.complete(key, Outcome::Busy, now),
            }
        }
        if attempts.is_empty() {
            return;
        }
        match self.port.try_send(Message::Purchase { shard, attempts }) {
            Ok(()) => self.shards[shard.ix()].call = Some(call),
            Err(Message::Purchase { attempts, .. }) => {
                for attempt in attempts {
                    self.complete(Key::of_slot(slot_of(attempt.token)), Outcome::Busy, now);
                }
            }
            Err(_) => {}
        }
    }

    fn enter(&mut self, key: Key, stage: Stage, now: Instant) {
        if let Some(waiting) = self.get(key) {
            waiting.stage = stage;
            waiting.since = now;
        }
    }

    /// Answers a waiting request, which is counted here: also when nobody waits for the answer any more.
    fn complete(&mut self, key: Key, outcome: Outcome, now: Instant) {
        let Some(waiting) = self.get(key).filter(|w| !matches!(w.stage, Stage::Done(_))) else {
            return;
        };
        let counted = matches!(waiting.stage, Stage::Admitted | Stage::Sent { .. });
        let (item, arrived, gone, waker) =
            (waiting.item, waiting.arrived, waiting.gone, waiting.waker.take());
        waiting.stage = Stage::Done(outcome);
        if let Some(item) = item {
            let lane = &mut self.items[item.ix()];
            lane.under_way = lane.under_way.saturating_sub(u32::from(counted));
            add(counter(&self.shared, outcome), 1);
            let micros = now.saturating_duration_since(arrived).as_micros();
            self.shared.counters.latency.record(micros as u64);
        }
        if gone {
            self.remove(key);
        } else if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn get(&mut self, key: Key) -> Option<&mut Waiting> {
        let slot = self.slots.get_mut(key.ix as usize)?;
        slot.waiting
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }

    fn insert(&mut self, waiting: Waiting) -> Option<Key> {
        let ix = match self.free.pop() {
            Some(ix) => ix,
            None if self.slots.len() < self.slots_max => {
                self.slots.push(Slot::default());
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let slot = &mut self.slots[ix as usize];
        slot.waiting = Some(waiting);
        Some(Key {
            ix,
            generation: slot.generation,
        })
    }

    fn remove(&mut self, key: Key) {
        if self.get(key).is_some() {
            let slot = &mut self.slots[key.ix as usize];
            slot.waiting = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(key.ix);
        }
    }
}

/// Where an answered purchase is counted.
fn counter(shared: &Shared, outcome: Outcome) -> &AtomicU64 {
    let counters = &shared.counters;
    match outcome {
        Outcome::Answered(Answer::Taken(_)) => &counters.won,
        Outcome::Answered(Answer::Existing(_)) => &counters.duplicate,
        Outcome::Answered(Answer::Refused(refusal)) => match refusal {
            Refusal::SoldOut => &counters.sold_out,
            Refusal::LimitExceeded { .. } | Refusal::KeyConflict | Refusal::NotEntitled => &counters.limited,
            Refusal::NotOpen { .. } | Refusal::Closed => &counters.not_open,
            Refusal::Unavailable => &counters.busy,
        },
        Outcome::SoldOut => &counters.sold_out,
        Outcome::Shut(door) if !door.paused() => &counters.sold_out,
        Outcome::Shut(_) | Outcome::Busy | Outcome::Unknown | Outcome::Registered(_) => &counters.busy,
    }
}

#[cfg(test)]
mod tests;
