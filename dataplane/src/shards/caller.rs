//! A gateway's calls to one shard in Redis.
//!
//! At most [`CALLS_MAX`] calls are under way; what arrives meanwhile forms the next ones, so batches grow with the load
//! and no timer is needed. A call whose answer doesn't come is "outcome unknown", never repeated.

use super::Ask;
use super::keeper::Gate;
use super::waits::{Turn, Waits, Wanted};
use crate::counters::add;
use crate::host::{HostReply, ReplySender};
use crate::shared::Shared;
use flashsale_core::attempt::{Answer, Attempt, Refusal, Registered, Verdict};
use flashsale_core::ids::{BuyerKey, ItemIx, ShardId};
use flashsale_core::view;
use flashsale_redis::{ATTEMPTS_MAX, BuyerShard, CallError, Options, ShardName};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Calls to one shard under way at once.
const CALLS_MAX: usize = 4;
/// At most so many attempts are queued for one shard; one more is answered "busy".
const QUEUE_MAX: usize = 100_000;
/// How often those who wait for units are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After a connection failed, before the next try.
const PAUSE: Duration = Duration::from_millis(50);
/// How long connecting may take: whoever waits for it got nothing yet, and is told so in time.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long a call may take; then its outcome is unknown.
const ANSWER_MAX: Duration = Duration::from_secs(2);

const UNAVAILABLE: Answer = Answer::Refused(Refusal::Unavailable);
const SOLD_OUT: Answer = Answer::Refused(Refusal::SoldOut);

/// What one call was about, and what came of it.
enum Called {
    Purchase(Vec<Attempt>, Result<Vec<Verdict>, CallError>),
    Register(Vec<(u64, BuyerKey)>, Result<Vec<Registered>, CallError>),
}

type Call = Pin<Box<dyn Future<Output = Called> + Send>>;

/// The calls of one shard. See the module.
pub(super) struct Caller {
    shard: ShardId,
    shared: Arc<Shared>,
    redis: Options,
    gate: watch::Receiver<Option<Gate>>,
    wanted: Arc<Wanted>,
    gateways: Vec<ReplySender>,
    replies: Vec<Vec<HostReply>>,
    connection: Option<(Gate, BuyerShard)>,
    /// Not before this a connection is tried again.
    connect_at: Instant,
    attempts: VecDeque<Attempt>,
    registrations: VecDeque<(u64, BuyerKey)>,
    waits: Waits,
    calls: FuturesUnordered<Call>,
}

impl Caller {
    pub(super) fn new(
        shard: ShardId,
        shared: Arc<Shared>,
        mut redis: Options,
        gate: watch::Receiver<Option<Gate>>,
        wanted: Arc<Wanted>,
        gateways: Vec<ReplySender>,
    ) -> Self {
        redis.connect_timeout = CONNECT_MAX;
        redis.response_timeout = ANSWER_MAX;
        Self {
            waits: Waits::new(shard, shared.sale.items.len()),
            replies: gateways.iter().map(|_| Vec::new()).collect(),
            shard,
            shared,
            redis,
            gate,
            wanted,
            gateways,
            connection: None,
            connect_at: Instant::now(),
            attempts: VecDeque::new(),
            registrations: VecDeque::new(),
            calls: FuturesUnordered::new(),
        }
    }

    /// Calls until nobody asks any more and what is under way is answered.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = true;
        while asked || !self.calls.is_empty() {
            let idle = self.waits.is_empty() && self.attempts.is_empty() && self.registrations.is_empty();
            tokio::select! {
                Some(called) = self.calls.next(), if !self.calls.is_empty() => self.settle(called),
                ask = asks.recv(), if asked => match ask {
                    Some(ask) => {
                        self.take(ask);
                        while let Ok(ask) = asks.try_recv() {
                            self.take(ask);
                        }
                    }
                    None => asked = false,
                },
                _ = looks.tick(), if !idle => self.look(),
            }
            self.connect().await;
            self.call();
            self.answer();
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Purchase(attempts) => {
                let room = QUEUE_MAX.saturating_sub(self.attempts.len());
                let mut attempts = attempts.into_iter();
                self.attempts.extend(attempts.by_ref().take(room));
                attempts.for_each(|a| self.reply(a.token, HostReply::Purchase(a.token, UNAVAILABLE)));
            }
            Ask::Register { token, buyer } => self.registrations.push_back((token, buyer)),
        }
    }

    /// Connects if the gate is open and there is something to ask; turns everybody away if it is closed.
    async fn connect(&mut self) {
        let gate = self.gate.borrow_and_update().clone();
        let Some(gate) = gate else {
            self.connection = None;
            return self.turn_away();
        };
        let same = self.connection.as_ref().is_some_and(|(of, _)| *of == gate);
        if same
            || (self.attempts.is_empty() && self.registrations.is_empty())
            || Instant::now() < self.connect_at
        {
            return;
        }
        let name = ShardName::new(self.shared.sale.uid, self.shard);
        match BuyerShard::connect(&self.redis, name, &gate.login).await {
            Ok(connected) => self.connection = Some((gate, connected)),
            Err(error) => {
                tracing::debug!(shard = self.shard.0, %error, "no connection to the shard");
                self.connection = None;
                self.connect_at = Instant::now() + PAUSE;
                self.turn_away();
            }
        }
    }

    /// Nothing was sent: everybody may come back.
    fn turn_away(&mut self) {
        for attempt in std::mem::take(&mut self.attempts) {
            self.reply(attempt.token, HostReply::Purchase(attempt.token, UNAVAILABLE));
        }
        for (token, _) in std::mem::take(&mut self.registrations) {
            self.reply(token, HostReply::Register(token, Registered::Unavailable));
        }
    }

    fn call(&mut self) {
        let Some((Gate { epoch, .. }, connection)) = &self.connection else {
            return;
        };
        let epoch = *epoch;
        while self.calls.len() < CALLS_MAX && !self.attempts.is_empty() {
            let size = self.attempts.len().min(ATTEMPTS_MAX);
            let attempts: Vec<Attempt> = self.attempts.drain(..size).collect();
            let views = self.shared.views();
            let items = (0..self.shared.sale.items.len()).map(|ix| ItemIx(ix as u16));
            let places: Vec<u32> = items
                .map(|item| view::places_elsewhere(&views, self.shard, item))
                .collect();
            add(&self.shared.counters.core_calls, 1);
            add(&self.shared.counters.core_attempts, attempts.len() as u64);
            self.shared.calls_under_way.fetch_add(1, Ordering::SeqCst);
            let connection = connection.clone();
            self.calls.push(Box::pin(async move {
                let answered = connection.purchase(epoch, &places, &attempts).await;
                Called::Purchase(attempts, answered)
            }));
        }
        while self.calls.len() < CALLS_MAX && !self.registrations.is_empty() {
            let size = self.registrations.len().min(ATTEMPTS_MAX);
            let asked: Vec<_> = self.registrations.drain(..size).collect();
            self.shared.calls_under_way.fetch_add(1, Ordering::SeqCst);
            let connection = connection.clone();
            self.calls.push(Box::pin(async move {
                let buyers: Vec<BuyerKey> = asked.iter().map(|(_, buyer)| *buyer).collect();
                let answered = connection.register(epoch, &buyers).await;
                Called::Register(asked, answered)
            }));
        }
    }

    fn settle(&mut self, called: Called) {
        match called {
            Called::Purchase(attempts, Ok(verdicts)) => {
                for (attempt, verdict) in attempts.into_iter().zip(verdicts) {
                    self.decided(attempt, verdict);
                }
            }
            Called::Purchase(attempts, Err(error)) => {
                self.lost(&error);
                for attempt in attempts {
                    let token = attempt.token;
                    let reply = if error.nothing_written() {
                        HostReply::Purchase(token, UNAVAILABLE)
                    } else {
                        // Its winner may exist: asked again with the same key, the shard says so.
                        self.shared.winners.insert(attempt.buyer);
                        HostReply::Unknown(token)
                    };
                    self.reply(token, reply);
                }
            }
            Called::Register(asked, Ok(answers)) => {
                for ((token, _), registered) in asked.into_iter().zip(answers) {
                    self.reply(token, HostReply::Register(token, registered));
                }
            }
            Called::Register(asked, Err(error)) => {
                self.lost(&error);
                for (token, _) in asked {
                    // Registering twice registers once, so "come back" is true either way.
                    self.reply(token, HostReply::Register(token, Registered::Unavailable));
                }
            }
        }
        self.shared.calls_under_way.fetch_sub(1, Ordering::SeqCst);
    }

    fn decided(&mut self, attempt: Attempt, verdict: Verdict) {
        match verdict {
            Verdict::Answer(answer) => {
                if matches!(answer, Answer::Taken(_) | Answer::Existing(_)) {
                    self.shared.winners.insert(attempt.buyer);
                }
                self.reply(attempt.token, HostReply::Purchase(attempt.token, answer));
            }
            Verdict::Empty => {
                let available = self.shared.available(attempt.item);
                if available.is_some_and(|units| units < attempt.quantity) {
                    self.reply(attempt.token, HostReply::Purchase(attempt.token, SOLD_OUT));
                } else if let Err(attempt) = self.waits.push(attempt, Instant::now(), &self.wanted) {
                    self.reply(attempt.token, HostReply::Purchase(attempt.token, UNAVAILABLE));
                }
            }
        }
    }

    fn lost(&mut self, error: &CallError) {
        tracing::debug!(shard = self.shard.0, %error, "a call failed");
        if !matches!(error, CallError::Refused { .. }) {
            self.connection = None;
            self.connect_at = Instant::now() + PAUSE;
        }
    }

    /// Calls again for those whose units have come, and answers those for whom there are none.
    fn look(&mut self) {
        let here = self.shared.shards[self.shard.ix()].load_full();
        let free = |item: ItemIx| here.free.get(item.ix()).copied().unwrap_or(0);
        let shared = Arc::clone(&self.shared);
        let turns = self
            .waits
            .turns(Instant::now(), &self.wanted, free, |item| shared.available(item));
        for turn in turns {
            let (attempt, answer) = match turn {
                Turn::Call(attempt) => {
                    self.attempts.push_back(attempt);
                    continue;
                }
                Turn::SoldOut(attempt) => (attempt, SOLD_OUT),
                Turn::Late(attempt) => (attempt, UNAVAILABLE),
            };
            self.reply(attempt.token, HostReply::Purchase(attempt.token, answer));
        }
    }

    fn reply(&mut self, token: u64, reply: HostReply) {
        if let Some(replies) = self.replies.get_mut((token >> 56) as usize) {
            replies.push(reply);
        }
    }

    fn answer(&mut self) {
        for (gateway, replies) in self.gateways.iter().zip(&mut self.replies) {
            if !replies.is_empty() {
                // A gateway that has ended needs no answers.
                let _ = gateway.send(std::mem::take(replies));
            }
        }
    }
}
