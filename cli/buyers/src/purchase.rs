//! Answers to a purchase.

use std::sync::atomic::Ordering::Relaxed;

use crate::agent::{Agent, OTHER_KEY};
use crate::answer::{Answer, Problem, TicketState, TicketView};
use crate::buyer::{Counted, Word};
use crate::ledger::Ticket;
use crate::schedule::{NONE, Op, Step};
use crate::verify::ViolationKind;

/// A purchase accepted this long before the opening is not explained by two clocks.
const EARLY_DOUBT_NS: u64 = 50_000_000;
/// New tries after a ticket failed, at most.
const NEW_TRIES_MAX: u8 = 20;

impl Agent {
    pub(crate) fn purchase_answered(&mut self, step: Step, answer: &Answer<'_>, sent_ns: u64, now_ns: u64) {
        if matches!(answer.status, 200 | 202) {
            match serde_json::from_slice::<TicketView<'_>>(answer.body) {
                Ok(view) => return self.got_ticket(step, answer, &view, sent_ns, now_ns),
                Err(_) => self.unexpected(&step, answer),
            }
            return self.last_word(step.buyer, Word::Failed);
        }
        let problem = Problem::of(answer.body);
        self.note_answer(&step, answer, problem.name(), now_ns);
        let retry_after_ms = answer.retry_after.map(|s| u64::from(s) * 1_000);
        match (answer.status, problem.name()) {
            (425, _) => self.too_early(step, problem.wait_ms.or(retry_after_ms), now_ns),
            (429, _) => self.retry(step, retry_after_ms, Word::Limited, now_ns),
            (503, _) => self.retry(step, retry_after_ms, Word::Failed, now_ns),
            (500 | 502 | 504, _) => {
                self.unexpected(&step, answer);
                self.retry(step, retry_after_ms, Word::Failed, now_ns);
            }
            (410, _) => self.definite(
                step,
                Word::SoldOut,
                ViolationKind::SoldOutToHolder,
                problem.name(),
                now_ns,
            ),
            (422, _) => self.definite(
                step,
                Word::Limited,
                ViolationKind::RepeatRefused,
                problem.name(),
                now_ns,
            ),
            (409, "key-conflict") => {
                let detail = "one key, one body, called a conflict".to_owned();
                self.violation(ViolationKind::KeyConflict, &step, detail, now_ns);
                self.definite(
                    step,
                    Word::Failed,
                    ViolationKind::RepeatRefused,
                    problem.name(),
                    now_ns,
                );
            }
            _ => {
                self.unexpected(&step, answer);
                self.definite(
                    step,
                    Word::Failed,
                    ViolationKind::RepeatRefused,
                    problem.name(),
                    now_ns,
                );
            }
        }
    }

    /// Early birds meant to come at the opening from here on; others keep their intended time.
    fn too_early(&mut self, mut step: Step, wait_ms: Option<u64>, now_ns: u64) {
        if self.plans[step.buyer as usize].early {
            step.intended_ns = step.intended_ns.max(self.clock.opening_ns);
        }
        self.retry(step, Some(wait_ms.unwrap_or(200)), Word::Failed, now_ns);
    }

    /// A refusal that ends this purchase.
    fn definite(&mut self, step: Step, word: Word, broken: ViolationKind, problem: &str, now_ns: u64) {
        let holding = self.tickets_alive(step.buyer, now_ns);
        let (sold_out, same_key) = (word == Word::SoldOut, step.had_promise);
        // Who may hold more asks for another unit with another key, and can rightly be told that none is left.
        let item = usize::from(self.plans[step.buyer as usize].item);
        let has_all = holding && self.config.items[item].limit_per_buyer == 1;
        if same_key || (sold_out && has_all && step.key & OTHER_KEY != 0 && self.was_alive_when_sent(&step)) {
            let ticket = self.buyers[step.buyer as usize].ticket;
            let detail = format!("told {problem} while holding the ticket");
            self.violation(broken, &Step { ticket, ..step }, detail, now_ns);
        }
        if self.loses_this_answer(&step) {
            return self.retry(step, None, word, now_ns);
        }
        self.last_word(step.buyer, word);
        self.first_answer(&step, now_ns);
        let plan = &self.plans[step.buyer as usize];
        let state = &self.buyers[step.buyer as usize];
        let may_wait = sold_out && problem == "sold-out" && !self.watch.is_over();
        if may_wait
            && plan.patient
            && !state.parked
            && state.counted == Counted::NotYet
            && state.tries < self.config.patient_tries_max
            && step.key == state.key
        {
            self.park(step.buyer, now_ns);
        }
    }

    fn got_ticket(
        &mut self,
        mut step: Step,
        answer: &Answer<'_>,
        view: &TicketView<'_>,
        sent_ns: u64,
        now_ns: u64,
    ) {
        let new = self.find_or_take(&mut step, answer.status, view, now_ns);
        self.note_answer(&step, answer, view.state.name(), now_ns);
        if now_ns + EARLY_DOUBT_NS < self.clock.opening_ns && new {
            let detail = format!(
                "accepted {} ms before the opening",
                (self.clock.opening_ns - now_ns) / 1_000_000
            );
            self.violation(ViolationKind::SoldEarly, &step, detail, now_ns);
        }
        self.show(&step, view, sent_ns, now_ns);
        if self.loses_this_answer(&step) {
            return self.retry(step, None, Word::Failed, now_ns);
        }
        self.first_answer(&step, now_ns);
        self.follow(&step, view, now_ns);
    }

    /// Finds the ticket among the buyer's own or takes it as a new one; says whether it is new.
    fn find_or_take(&mut self, step: &mut Step, status: u16, view: &TicketView<'_>, now_ns: u64) -> bool {
        let known = self.ticket_of_key(step.buyer, step.key).filter(|known| {
            let ticket = &self.tickets[*known as usize];
            // Queued was no promise: once it failed, the key is free, and may get the ticket bought since. A server that
            // has died meanwhile may have forgotten it before anybody could say that it failed.
            let failed = ticket
                .states
                .iter()
                .any(|(state, _)| *state == TicketState::Failed);
            let shown = ticket.states.first().map(|(_, at)| *at);
            let forgotten = shown.is_some_and(|shown| self.lost_ns.is_some_and(|lost| lost >= shown));
            let promised = ticket.states.iter().any(|(state, _)| state.is_promise());
            *ticket.token == *view.ticket || promised || !(failed || forgotten)
        });
        if let Some(known) = known {
            step.ticket = known;
            let token = &self.tickets[known as usize].token;
            if **token != *view.ticket {
                let detail = format!("the same key got {token} before and {} now", view.ticket);
                self.violation(ViolationKind::AnotherTicket, step, detail, now_ns);
            }
            self.progress.repeats.fetch_add(1, Relaxed);
            return false;
        }
        let mut ticket = self.buyers[step.buyer as usize].ticket;
        while ticket != NONE {
            if *self.tickets[ticket as usize].token == *view.ticket {
                step.ticket = ticket;
                self.progress.repeats.fetch_add(1, Relaxed);
                return false;
            }
            ticket = self.tickets[ticket as usize].previous;
        }
        let buyer = &mut self.buyers[step.buyer as usize];
        // Nothing of this buyer was under way, and still the server knew: it was taken before this run.
        buyer.from_before = status == 200 && buyer.ticket == NONE && buyer.sends == 1;
        step.ticket = self.tickets.len() as u32;
        self.tickets
            .push(Ticket::new(&view.ticket, step.buyer, buyer.ticket, step.key));
        buyer.ticket = step.ticket;
        if !buyer.from_before {
            self.accepted_ns.push(now_ns);
            self.winners[usize::from(self.plans[step.buyer as usize].item)] += 1;
        }
        true
    }

    /// Whether this is the answer that the buyer was going to lose.
    fn loses_this_answer(&mut self, step: &Step) -> bool {
        let state = &mut self.buyers[step.buyer as usize];
        let loses = self.plans[step.buyer as usize].loses_answer && !state.lost_one && !step.copy;
        state.lost_one |= loses;
        loses
    }

    /// What the first definite answer brings about: its latency counts, and some buyers ask again.
    fn first_answer(&mut self, step: &Step, now_ns: u64) {
        if !std::mem::replace(&mut self.buyers[step.buyer as usize].answered, true) {
            self.record_latency(step, now_ns);
        }
        if std::mem::replace(&mut self.buyers[step.buyer as usize].repeated, true) {
            return;
        }
        let (replays, other_key) = {
            let plan = &self.plans[step.buyer as usize];
            (plan.replays, plan.other_key)
        };
        let keys = [(replays, step.key), (other_key, step.key | OTHER_KEY)];
        for (_, key) in keys.into_iter().filter(|(wanted, _)| *wanted) {
            let at_ns =
                now_ns + 1_000_000_000 + (self.random(step.buyer, 0x300 | u64::from(key)) * 2e9) as u64;
            self.push_at(
                at_ns,
                Step {
                    key,
                    ..Step::new(Op::Buy, step.buyer, at_ns)
                },
            );
        }
    }

    /// A ticket failed or vanished without ever having been a promise: nothing is owed, so the buyer tries again.
    pub(crate) fn try_again(&mut self, buyer: u32, now_ns: u64) {
        let state = &mut self.buyers[buyer as usize];
        if state.counted == Counted::NotYet && state.tries < NEW_TRIES_MAX {
            state.tries += 1;
            self.buy_anew(buyer, now_ns);
        }
    }

    fn tickets_alive(&self, buyer: u32, now_ns: u64) -> bool {
        let ticket = self.buyers[buyer as usize].ticket;
        ticket != NONE && self.tickets[ticket as usize].surely_alive(now_ns)
    }

    fn was_alive_when_sent(&self, step: &Step) -> bool {
        // Another key is only ever sent after the first answer, so a ticket that is alive now was known then
        // if it is older than this request's intended time.
        let ticket = self.buyers[step.buyer as usize].ticket;
        self.tickets[ticket as usize]
            .states
            .first()
            .is_some_and(|(_, at)| *at <= step.intended_ns)
    }
}
