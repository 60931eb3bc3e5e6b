//! The purchase: refused from memory if it can be, else sent to the buyer's home shard.

use super::funnel::{Funnel, Key, Outcome};
use super::identity::NotKnown;
use super::problem::Problem;
use super::thread::{Arrival, Thread};
use super::ticket::{Held, Standing};
use crate::counters::add;
use crate::shared::{SalePhase, Shared};
use crate::switches::Door;
use flashsale_core::attempt::{Answer, Attempt, Refusal, Ticketed};
use flashsale_core::ids::{BuyerKey, ItemIx};
use flashsale_core::ticket::Ticket;
use flashsale_http::{Reply, Request, StatusCode};
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::RefMut;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

/// Bytes of an `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    item: Cow<'a, str>,
    quantity: u32,
}

impl Thread {
    pub(super) fn purchase(
        self: &Rc<Self>,
        sale: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        let result = self.try_purchase(sale, request, arrival);
        if let Err(NotKnown::Problem(problem)) = &result {
            // What was sent is counted when it is answered.
            add(counter(self.shared(), problem), 1);
            let micros = arrival.at.elapsed().as_micros();
            self.shared().counters.latency.record(micros as u64);
        }
        result
    }

    fn try_purchase(
        self: &Rc<Self>,
        sale: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        self.check_sale(sale)?;
        let shared = self.shared();
        if arrival.ms < shared.sale.opens {
            let (opens, now) = (shared.sale.opens, arrival.ms);
            return Err(Problem::NotOpen { opens, now }.into());
        }
        let door = shared.switches.door();
        if door.shut() && shared.phase(arrival.ms) < SalePhase::Draining {
            return Err(switched(door).into());
        }
        let buyer = self.identify(request, arrival)?;
        let (item, quantity) = parse(request.body, shared)?;
        let key = idempotency_key(request)?;
        add(&shared.counters.attempts, 1);
        // Whoever may hold a ticket is asked to the host, so that a retry gets it whatever has happened since.
        let may_hold = || shared.winners.may_contain(buyer.key);
        if shared.phase(arrival.ms) >= SalePhase::Draining && !may_hold() {
            return Err(Problem::SaleClosed.into());
        }
        let shard = buyer.key.home(shared.sale.shards);
        let limit = shared.sale.items[item.ix()].limit;
        if quantity > limit {
            return Err(Problem::LimitExceeded { limit }.into());
        }
        match shared.available(item) {
            Some(0) if !may_hold() => return Err(Problem::SoldOut.into()),
            // While a shard is closed nobody knows what is left; the buyer's own shard may be open all the same.
            None if !shared.takes(shard) => return Err(Problem::Busy.into()),
            None | Some(_) => {}
        }
        // Only now: an answer from memory costs no more than "too many requests" would.
        self.limit(&buyer, arrival)?;
        if door
            .limit()
            .is_some_and(|limit| !self.all.throttle.lets_in(limit, arrival.at))
        {
            return Err(Problem::Busy.into());
        }
        let attempt = Attempt {
            token: 0,
            buyer: buyer.key,
            buyer_id: (*buyer.id).into(),
            item,
            quantity,
            // Hashed only now: who is told "sold out" from memory doesn't pay for it.
            key: key.map(|key| self.all.keys.request(buyer.key, key)),
        };
        let key = self.funnel.borrow_mut().purchase(attempt, shard, arrival.at);
        let key = key.ok_or(Problem::Busy)?;
        Ok(Reply::Later(Box::pin(Answered::new(self, key, buyer.key))))
    }

    /// The reply to a request that waited.
    pub(super) fn outcome(&self, buyer: BuyerKey, outcome: Outcome) -> Reply {
        let problem = match outcome {
            Outcome::Answered(Answer::Taken(taken)) => {
                return self.ticketed(StatusCode::ACCEPTED, buyer, &taken);
            }
            Outcome::Answered(Answer::Existing(has)) => return self.ticketed(StatusCode::OK, buyer, &has),
            Outcome::Registered(registered) => return self.registered(buyer, registered),
            Outcome::Answered(Answer::Refused(refusal)) => self.refusal(refusal),
            Outcome::SoldOut => Problem::SoldOut,
            Outcome::Busy => Problem::Busy,
            Outcome::Shut(door) => switched(door),
            Outcome::Unknown => Problem::OutcomeUnknown,
        };
        self.answers.refuse(&problem)
    }

    fn ticketed(&self, status: StatusCode, buyer: BuyerKey, ticketed: &Ticketed) -> Reply {
        let shared = self.shared();
        let ticket = Ticket {
            shard: buyer.home(shared.sale.shards),
            no: ticketed.ticket,
            item: ticketed.item,
            // Within one buyer's limit, which is far below.
            quantity: u16::try_from(ticketed.quantity).unwrap_or(u16::MAX),
            place: ticketed.place,
        };
        let held = Held::sign(&self.all.signer, ticket, buyer);
        self.ticket(status, &held, Standing::of(&held.ticket, shared))
    }

    fn refusal(&self, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::SoldOut => Problem::SoldOut,
            Refusal::LimitExceeded { limit, .. } => Problem::LimitExceeded { limit },
            Refusal::KeyConflict => Problem::KeyConflict,
            Refusal::NotOpen { opens } => Problem::NotOpen {
                opens,
                now: crate::clock::now_ms(),
            },
            Refusal::Closed => Problem::SaleClosed,
            Refusal::NotEntitled => Problem::NotEntitled,
            Refusal::Unavailable => Problem::Busy,
        }
    }
}

/// What is said at a door that is shut.
fn switched(door: Door) -> Problem {
    if door.paused() {
        Problem::SalePaused
    } else {
        Problem::SwitchedSoldOut
    }
}

/// A request that waits for its answer.
pub(super) struct Answered {
    thread: Rc<Thread>,
    key: Key,
    buyer: BuyerKey,
    done: bool,
}

impl Answered {
    pub(super) fn new(thread: &Rc<Thread>, key: Key, buyer: BuyerKey) -> Self {
        Self {
            thread: thread.clone(),
            key,
            buyer,
            done: false,
        }
    }

    fn funnel(&self) -> RefMut<'_, Funnel> {
        self.thread.funnel.borrow_mut()
    }
}

impl Future for Answered {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let Some(outcome) = self.funnel().take(self.key, cx.waker()) else {
            return Poll::Pending;
        };
        self.done = true;
        Poll::Ready(self.thread.outcome(self.buyer, outcome))
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if !self.done {
            self.funnel().abandon(self.key);
        }
    }
}

fn parse(body: &[u8], shared: &Shared) -> Result<(ItemIx, u32), Problem> {
    let Body { item, quantity } = serde_json::from_slice(body).map_err(|e| invalid_body(&e))?;
    if quantity == 0 {
        return Err(Problem::InvalidRequest(
            "quantity: at least 1; nothing was taken.".to_owned(),
        ));
    }
    let item = shared.sale.item(&item).ok_or(Problem::UnknownItem)?;
    Ok((item, quantity))
}

/// What is wrong with a body; the words may repeat a part of it, so they are cut.
pub(super) fn invalid_body(error: &serde_json::Error) -> Problem {
    let words: String = error.to_string().chars().take(160).collect();
    Problem::InvalidRequest(format!(
        "The body is not as described in /openapi.json: {words}; nothing was taken."
    ))
}

/// Where a purchase that was refused here is counted.
fn counter<'a>(shared: &'a Shared, problem: &Problem) -> &'a AtomicU64 {
    let counters = &shared.counters;
    match problem {
        Problem::SoldOut | Problem::SwitchedSoldOut => &counters.sold_out,
        Problem::NotOpen { .. } | Problem::SaleClosed => &counters.not_open,
        Problem::LimitExceeded { .. } => &counters.limited,
        Problem::TooManyRequests { .. } => &counters.too_fast,
        Problem::Busy | Problem::SalePaused => &counters.busy,
        _ => &counters.failed,
    }
}

/// The request's idempotency key, if it has one.
fn idempotency_key<'a>(request: &Request<'a>) -> Result<Option<&'a [u8]>, Problem> {
    let refused = |why: &str| {
        Err(Problem::InvalidRequest(format!(
            "Idempotency-Key: {why}; nothing was taken."
        )))
    };
    match request.headers.get_once("idempotency-key") {
        Ok(None) => Ok(None),
        Ok(Some(key))
            if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.iter().all(u8::is_ascii_graphic) =>
        {
            refused("send 1 to 64 visible ASCII characters")
        }
        Ok(Some(key)) => Ok(Some(key)),
        Err(_) => refused("send it once"),
    }
}
