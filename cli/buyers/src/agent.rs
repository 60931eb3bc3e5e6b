//! All buyers of one thread: who does what next. No I/O here; the driver sends what is ready and hands in answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::answer::{Answer, SaleView};
use crate::buyer::{Buyer, Counted, Word};
use crate::clock::Clock;
use crate::config::CrowdConfig;
use crate::history::{History, Kind};
use crate::ledger::Ticket;
use crate::patience::Parked;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::schedule::{NONE, Op, Schedule, Step};
use crate::seed::{mix, unit};
use crate::verify::Violation;
use crate::watch::Watch;
use crate::wire::{Payment, Wire};

/// First pause before a retry, in milliseconds; it doubles …
const BACKOFF_MS_MIN: u64 = 50;
/// … up to this.
const BACKOFF_MS_MAX: u64 = 2_000;
/// A longer `Retry-After` than this is cut.
const RETRY_AFTER_MS_MAX: u64 = 30_000;
/// Keys of ordinary tries lie below; a key with this bit belongs to "asks again with another key".
pub(crate) const OTHER_KEY: u8 = 0x80;

/// The buyers of one thread.
pub(crate) struct Agent {
    pub(crate) config: Arc<CrowdConfig>,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Progress>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) schedule: Schedule,
    pub(crate) plans: Vec<Plan>,
    pub(crate) buyers: Vec<Buyer>,
    pub(crate) tickets: Vec<Ticket>,
    /// When a connection last ended: the server may have died then.
    pub(crate) lost_ns: Option<u64>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) unexpected: BTreeMap<String, u64>,
    pub(crate) accepted_ns: Vec<u64>,
    pub(crate) winners: Vec<u64>,
    pub(crate) history: Option<History>,
    pub(crate) wire: Wire,
    pub(crate) latencies_us: Vec<u64>,
    pub(crate) parked: Vec<Parked>,
    /// This thread's place among `threads`.
    pub(crate) thread: u32,
    threads: u32,
    unfinished: usize,
    pub(crate) watch_due_ns: u64,
    pub(crate) watching: bool,
    pub(crate) name: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Agent {
    /// The buyers `thread`, `thread + threads`, … with their plans in that order.
    pub(crate) fn new(
        config: &Arc<CrowdConfig>,
        (clock, progress, watch): (Clock, &Arc<Progress>, &Arc<Watch>),
        (thread, threads): (u32, u32),
        plans: Vec<Plan>,
        history: Option<History>,
    ) -> Self {
        let at = |plan: &Plan| (clock.opening_ns as i64 + plan.arrival_ns).max(0) as u64;
        let arrivals = plans
            .iter()
            .enumerate()
            .map(|(i, plan)| (at(plan), i as u32))
            .collect();
        Self {
            clock,
            progress: Arc::clone(progress),
            watch: Arc::clone(watch),
            schedule: Schedule::with_arrivals(arrivals),
            buyers: vec![Buyer::new(); plans.len()],
            tickets: Vec::new(),
            lost_ns: None,
            violations: Vec::new(),
            unexpected: BTreeMap::new(),
            accepted_ns: Vec::new(),
            winners: vec![0; config.items.len()],
            history,
            wire: Wire::new(config),
            latencies_us: Vec::with_capacity(1024),
            parked: config.items.iter().map(|_| Parked::default()).collect(),
            thread,
            threads,
            unfinished: plans.len(),
            watch_due_ns: 0,
            watching: false,
            name: Vec::with_capacity(64),
            key: Vec::with_capacity(64),
            config: Arc::clone(config),
            plans,
        }
    }

    /// Everybody has gone home.
    pub(crate) fn is_done(&self) -> bool {
        self.unfinished == 0
    }

    /// Lets those arrive whose time has come, and makes due steps ready.
    pub(crate) fn release(&mut self, now_ns: u64) {
        let mut arrived = 0;
        while let Some((at_ns, buyer)) = self.schedule.pop_arrival(now_ns) {
            arrived += 1;
            let step = Step::new(Op::Buy, buyer, at_ns);
            self.push_ready(step);
            if self.plans[buyer as usize].duplicates {
                self.push_ready(Step { copy: true, ..step });
            }
        }
        if arrived > 0 {
            self.progress.arrived.fetch_add(arrived, Relaxed);
        }
        self.schedule.release(now_ns);
    }

    /// A new click within the next second; being a new one, it carries a new key.
    pub(crate) fn buy_anew(&mut self, buyer: u32, now_ns: u64) {
        let state = &mut self.buyers[buyer as usize];
        state.key = (state.key + 1).min(OTHER_KEY - 1);
        let key = state.key;
        let at_ns = now_ns + (self.random(buyer, u64::from(key)) * 1e9) as u64;
        self.push_at(
            at_ns,
            Step {
                key,
                ..Step::new(Op::Buy, buyer, at_ns)
            },
        );
    }

    /// Writes a step's request; sets what must be known about the moment of sending.
    pub(crate) fn render(&mut self, step: &mut Step, out: &mut Vec<u8>, now_ns: u64) {
        self.progress.sent.fetch_add(1, Relaxed);
        if step.op == Op::Watch {
            self.wire.watch(out);
            return;
        }
        self.write_names(step);
        match step.op {
            Op::Buy => {
                let item = usize::from(self.plans[step.buyer as usize].item);
                self.wire.buy(out, &self.name, &self.key, item);
                let known = self.ticket_of_key(step.buyer, step.key);
                step.had_promise = known.is_some_and(|t| self.tickets[t as usize].was_promised());
                let sends = &mut self.buyers[step.buyer as usize].sends;
                *sends = sends.saturating_add(1);
            }
            Op::Poll => self
                .wire
                .ticket(out, "GET", &self.name, &self.tickets[step.ticket as usize].token),
            Op::Cancel => {
                let ticket = &mut self.tickets[step.ticket as usize];
                ticket.cancel_goes_out(now_ns);
                self.wire.ticket(out, "DELETE", &self.name, &ticket.token);
            }
            Op::Pay => self.render_payment(step, out, now_ns),
            Op::Watch => {}
        }
        self.note(step, Kind::Invoke, "", now_ns);
    }

    fn render_payment(&mut self, step: &Step, out: &mut Vec<u8>, now_ns: u64) {
        let ticket = &mut self.tickets[step.ticket as usize];
        if ticket.paid_sent_ns == 0 {
            ticket.paid_sent_ns = now_ns;
        }
        let Some(order) = &ticket.order else { return };
        let payment_id = format!("pay-{}", order.id);
        let payment = Payment {
            payment_id: &payment_id,
            order_id: &order.id,
            amount: &order.amount,
            currency: &order.currency,
        };
        self.wire.pay(out, &payment, self.clock.wall_ms(now_ns) / 1000);
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self, step: Step, answer: &Answer<'_>, sent_ns: u64, now_ns: u64) {
        self.progress.answered.fetch_add(1, Relaxed);
        match step.op {
            Op::Buy => self.purchase_answered(step, answer, sent_ns, now_ns),
            Op::Poll => self.poll_answered(step, answer, sent_ns, now_ns),
            Op::Cancel => self.cancel_answered(step, answer, sent_ns, now_ns),
            Op::Pay => self.payment_answered(step, answer, now_ns),
            Op::Watch => {
                if let Ok(sale) = serde_json::from_slice::<SaleView<'_>>(answer.body) {
                    self.watch.saw(&sale, &self.config.items);
                }
                self.watch_ended(now_ns);
                return;
            }
        }
        self.step_done(step.buyer);
    }

    /// The connection broke, or the answer took too long.
    pub(crate) fn lost(&mut self, step: Step, now_ns: u64) {
        if step.op == Op::Watch {
            self.watch_ended(now_ns);
            return;
        }
        if self.history.is_some() {
            self.write_names(&step);
            self.note(&step, Kind::Info, "lost", now_ns);
        }
        self.retry(step, None, Word::Failed, now_ns);
        self.step_done(step.buyer);
    }

    /// Sends a step again later, or gives up on it.
    pub(crate) fn retry(&mut self, step: Step, wait_ms: Option<u64>, word: Word, now_ns: u64) {
        let attempt = step.attempt + 1;
        if attempt >= self.config.attempts_max {
            *self.unexpected_entry(format!("{} given up after {attempt} tries", step.op.name())) += 1;
            self.last_word(step.buyer, word);
            return;
        }
        self.progress.retries.fetch_add(1, Relaxed);
        let jitter = self.random(step.buyer, u64::from(attempt) << 8 | step.op as u64);
        let pause_ms = match wait_ms {
            // Not all at the very moment the server named.
            Some(wait) => wait.min(RETRY_AFTER_MS_MAX) as f64 + jitter * 100.0,
            None => {
                let ceiling = (BACKOFF_MS_MIN << attempt.min(10)).min(BACKOFF_MS_MAX);
                ceiling as f64 * (0.5 + 0.5 * jitter)
            }
        };
        self.push_at(
            now_ns + (pause_ms * 1e6) as u64,
            Step {
                attempt,
                copy: false,
                ..step
            },
        );
    }

    /// Schedules a step of a buyer.
    pub(crate) fn push_at(&mut self, at_ns: u64, step: Step) {
        self.buyers[step.buyer as usize].pending += 1;
        self.schedule.push(at_ns, step);
    }

    /// A step of a buyer that is due now.
    pub(crate) fn push_ready(&mut self, step: Step) {
        self.buyers[step.buyer as usize].pending += 1;
        self.schedule.push_ready(step);
    }

    pub(crate) fn step_done(&mut self, buyer: u32) {
        let state = &mut self.buyers[buyer as usize];
        state.pending -= 1;
        if state.pending == 0 {
            self.go_home(buyer);
        }
    }

    pub(crate) fn last_word(&mut self, buyer: u32, word: Word) {
        self.buyers[buyer as usize].word = word;
    }

    /// Counts a buyer's final bucket, once.
    fn go_home(&mut self, buyer: u32) {
        let state = &mut self.buyers[buyer as usize];
        if state.gone_home {
            return;
        }
        state.gone_home = true;
        self.unfinished -= 1;
        if state.counted == Counted::NotYet {
            let counter = match state.word {
                Word::SoldOut => &self.progress.sold_out,
                Word::Limited => &self.progress.limited,
                Word::Failed => &self.progress.failed,
            };
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Everybody goes home as they are.
    pub(crate) fn close(&mut self) {
        let unfinished = self.unfinished as u64;
        if unfinished > 0 {
            *self.unexpected_entry("stopped before the buyer was done".to_owned()) += unfinished;
        }
        for parked in &mut self.parked {
            let waiting = std::mem::take(&mut parked.waiting).len();
            self.progress.patient.fetch_sub(waiting as i64, Relaxed);
        }
        for buyer in 0..self.buyers.len() {
            self.go_home(buyer as u32);
        }
        self.progress.record(&mut self.latencies_us);
    }

    pub(crate) fn record_latency(&mut self, step: &Step, now_ns: u64) {
        self.latencies_us
            .push(now_ns.saturating_sub(step.intended_ns) / 1_000);
    }

    /// A buyer's number in the whole crowd.
    pub(crate) fn number(&self, buyer: u32) -> u32 {
        buyer * self.threads + self.thread
    }

    /// A number in `0.0..1.0` that belongs to a buyer and an occasion, whatever else happens.
    pub(crate) fn random(&self, buyer: u32, occasion: u64) -> f64 {
        unit(mix(
            self.config.seed ^ mix(u64::from(self.number(buyer)) << 20 | (occasion & 0xF_FFFF))
        ))
    }

    pub(crate) fn ticket_of_key(&self, buyer: u32, key: u8) -> Option<u32> {
        let mut ticket = self.buyers[buyer as usize].ticket;
        while ticket != NONE {
            if self.tickets[ticket as usize].key == key {
                return Some(ticket);
            }
            ticket = self.tickets[ticket as usize].previous;
        }
        None
    }
}
