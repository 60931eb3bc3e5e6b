//! What a winner does: look, pay, cancel, leave.

use std::sync::atomic::Ordering::Relaxed;

use crate::agent::Agent;
use crate::answer::{Answer, PaymentView, Problem, TicketState, TicketView};
use crate::buyer::{Counted, Word};
use crate::plan::Manner;
use crate::schedule::{NONE, Op, Step};
use crate::verify::ViolationKind;

impl Agent {
    /// Takes in a ticket's state, with all that must be counted.
    pub(crate) fn show(&mut self, step: &Step, view: &TicketView<'_>, sent_ns: u64, now_ns: u64) {
        let ticket = &mut self.tickets[step.ticket as usize];
        let (was_waiting, was) = (ticket.is_waiting(), ticket.states.last().map(|(state, _)| *state));
        let broken = ticket.show(view, sent_ns, now_ns, &self.clock);
        let (is_waiting, is) = (ticket.is_waiting(), ticket.state());
        self.count_waiting(was_waiting, is_waiting);
        if was != Some(is) && is == TicketState::Paid {
            self.progress.paid.fetch_add(1, Relaxed);
        }
        // The answer to the cancellation itself may be lost: then the ticket's next look tells.
        let ticket = &mut self.tickets[step.ticket as usize];
        if view.state == TicketState::Closed && ticket.cancel_sent && !ticket.cancel_counted {
            ticket.cancel_counted = true;
            self.progress.cancelled.fetch_add(1, Relaxed);
        }
        for (kind, detail) in broken {
            self.violation(kind, step, detail, now_ns);
        }
        self.recount(step.buyer);
    }

    fn count_waiting(&self, was: bool, is: bool) {
        self.progress
            .waiting
            .fetch_add(i64::from(is) - i64::from(was), Relaxed);
    }

    /// Counts a buyer as a winner, or no more.
    fn recount(&mut self, buyer: u32) {
        let state = &mut self.buyers[buyer as usize];
        let mut ticket = state.ticket;
        let mut holds = false;
        while ticket != NONE && !holds {
            holds = self.tickets[ticket as usize].counts();
            ticket = self.tickets[ticket as usize].previous;
        }
        let counted = match (holds, state.from_before) {
            (false, _) => Counted::NotYet,
            (true, false) => Counted::Won,
            (true, true) => Counted::Duplicate,
        };
        let before = std::mem::replace(&mut state.counted, counted);
        for (bucket, step) in [(before, -1), (counted, 1)] {
            match bucket {
                Counted::Won => self.progress.won.fetch_add(step, Relaxed),
                Counted::Duplicate => self.progress.duplicate.fetch_add(step, Relaxed),
                Counted::NotYet => 0,
            };
        }
    }

    /// Begins to follow a ticket; repeats of its purchase find it followed already.
    pub(crate) fn follow(&mut self, step: &Step, view: &TicketView<'_>, now_ns: u64) {
        let ticket = &mut self.tickets[step.ticket as usize];
        if !std::mem::replace(&mut ticket.followed, true) {
            let is = ticket.is_waiting();
            self.count_waiting(false, is);
            self.go_on(step, view.wait_seconds, now_ns);
        }
    }

    pub(crate) fn poll_answered(&mut self, step: Step, answer: &Answer<'_>, sent_ns: u64, now_ns: u64) {
        if answer.status == 200
            && let Ok(view) = serde_json::from_slice::<TicketView<'_>>(answer.body)
        {
            self.note_answer(&step, answer, view.state.name(), now_ns);
            self.show(&step, &view, sent_ns, now_ns);
            return self.go_on(&step, view.wait_seconds, now_ns);
        }
        self.not_a_ticket(step, answer, now_ns);
    }

    /// The next thing to do about a ticket, from the state last shown.
    fn go_on(&mut self, step: &Step, wait_seconds: Option<f64>, now_ns: u64) {
        let manner = self.plans[step.buyer as usize].manner;
        let ticket = &self.tickets[step.ticket as usize];
        let (state, promised) = (ticket.state(), ticket.was_promised());
        match (state, manner) {
            (TicketState::Reserved | TicketState::Ordered, Manner::Cancels) => {
                self.send(Op::Cancel, step, now_ns);
            }
            (TicketState::Queued | TicketState::Reserved, _) => self.look_later(step, wait_seconds, now_ns),
            (TicketState::Ordered, Manner::Pays | Manner::PaysLate) => self.pay(step, manner, now_ns),
            (TicketState::Failed, _) if !promised => {
                self.last_word(step.buyer, Word::Failed);
                self.try_again(step.buyer, now_ns);
            }
            _ => {}
        }
    }

    fn send(&mut self, op: Op, about: &Step, at_ns: u64) {
        self.push_at(
            at_ns,
            Step {
                ticket: about.ticket,
                ..Step::new(op, about.buyer, at_ns)
            },
        );
    }

    fn look_later(&mut self, step: &Step, wait_seconds: Option<f64>, now_ns: u64) {
        let unit = self.random(step.buyer, u64::from(self.tickets[step.ticket as usize].pace_ms));
        let pause = self.tickets[step.ticket as usize].next_look_ns(wait_seconds, unit);
        self.send(Op::Poll, step, now_ns + pause);
    }

    fn pay(&mut self, step: &Step, manner: Manner, now_ns: u64) {
        let ticket = &self.tickets[step.ticket as usize];
        if !self.wire.can_pay() || ticket.order.is_none() {
            return;
        }
        // After the payment was taken, only the page has yet to say so.
        if ticket.payment.is_some() {
            return self.look_later(step, None, now_ns);
        }
        let at_ns = match manner {
            Manner::PaysLate => {
                let after = (self.random(step.buyer, 0x400) * 2e9) as u64;
                now_ns.max(self.clock.mono_ns(ticket.pay_by_ms)) + after
            }
            _ => now_ns,
        };
        self.send(Op::Pay, step, at_ns);
        if self.plans[step.buyer as usize].pays_twice {
            let twice = Step {
                ticket: step.ticket,
                copy: true,
                ..Step::new(Op::Pay, step.buyer, at_ns)
            };
            self.push_at(at_ns, twice);
        }
    }

    pub(crate) fn payment_answered(&mut self, step: Step, answer: &Answer<'_>, now_ns: u64) {
        if answer.status == 200
            && let Ok(view) = serde_json::from_slice::<PaymentView<'_>>(answer.body)
        {
            self.note_answer(&step, answer, &view.result, now_ns);
            let ticket = &mut self.tickets[step.ticket as usize];
            let first = ticket.payment.is_none();
            let broken = ticket.payment_answered(view.result == "paid", now_ns, &self.clock);
            if let Some((kind, detail)) = broken {
                self.violation(kind, &step, detail, now_ns);
            }
            if first {
                self.look_later(&step, None, now_ns);
            }
            return;
        }
        if answer.status == 404 {
            let detail = "the order on the ticket is unknown to the payment callback".to_owned();
            self.violation(ViolationKind::PaymentRefused, &step, detail, now_ns);
        }
        self.not_a_ticket(step, answer, now_ns);
    }

    pub(crate) fn cancel_answered(&mut self, step: Step, answer: &Answer<'_>, sent_ns: u64, now_ns: u64) {
        if answer.status == 200
            && let Ok(view) = serde_json::from_slice::<TicketView<'_>>(answer.body)
        {
            self.note_answer(&step, answer, view.state.name(), now_ns);
            self.show(&step, &view, sent_ns, now_ns);
            return;
        }
        self.not_a_ticket(step, answer, now_ns);
    }

    /// Answers about a ticket that do not show it.
    fn not_a_ticket(&mut self, step: Step, answer: &Answer<'_>, now_ns: u64) {
        let problem = Problem::of(answer.body);
        self.note_answer(&step, answer, problem.name(), now_ns);
        let retry_after_ms = answer.retry_after.map(|s| u64::from(s) * 1_000);
        match answer.status {
            429 | 503 => self.retry(step, retry_after_ms, Word::Failed, now_ns),
            500 | 502 | 504 => {
                self.unexpected(&step, answer);
                self.retry(step, retry_after_ms, Word::Failed, now_ns);
            }
            404 if step.op != Op::Pay => self.unknown_ticket(step, now_ns),
            _ => self.unexpected(&step, answer),
        }
    }

    fn unknown_ticket(&mut self, step: Step, now_ns: u64) {
        let ticket = &mut self.tickets[step.ticket as usize];
        let (was_waiting, promised, state) = (ticket.is_waiting(), ticket.was_promised(), ticket.state());
        ticket.gone = true;
        self.count_waiting(was_waiting, false);
        self.recount(step.buyer);
        if promised {
            self.violation(
                ViolationKind::Forgotten,
                &step,
                format!("was {}, now unknown", state.name()),
                now_ns,
            );
        } else {
            self.last_word(step.buyer, Word::Failed);
            self.try_again(step.buyer, now_ns);
        }
    }
}
