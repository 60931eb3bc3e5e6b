//! What is written down: unexpected answers, broken promises, the history, and the names needed for it.

use std::sync::atomic::Ordering::Relaxed;

use crate::agent::Agent;
use crate::answer::{Answer, Problem};
use crate::history::{Kind, Line, kind_of};
use crate::plan::write_name;
use crate::schedule::{Op, Step};
use crate::verify::{VIOLATIONS_MAX, Violation, ViolationKind};
use crate::wire::write_key;

/// Kinds of unexpected answers told apart at most.
const UNEXPECTED_MAX: usize = 64;

impl Agent {
    /// Counts an answer nobody expects.
    pub(crate) fn unexpected(&mut self, step: &Step, answer: &Answer<'_>) {
        let problem = Problem::of(answer.body);
        *self.unexpected_entry(format!("{} {} {}", step.op.name(), answer.status, problem.name())) += 1;
    }

    /// Counts bytes that are no answer; the connection is given up.
    pub(crate) fn broken_answer(&mut self, why: &str) {
        *self.unexpected_entry(format!("broken answer: {why}")) += 1;
    }

    pub(crate) fn unexpected_entry(&mut self, what: String) -> &mut u64 {
        let full = self.unexpected.len() >= UNEXPECTED_MAX && !self.unexpected.contains_key(&what);
        self.unexpected
            .entry(if full { "others".to_owned() } else { what })
            .or_default()
    }

    pub(crate) fn violation(&mut self, kind: ViolationKind, step: &Step, detail: String, now_ns: u64) {
        self.progress.violations.fetch_add(1, Relaxed);
        if self.violations.len() < VIOLATIONS_MAX {
            let ticket = self
                .tickets
                .get(step.ticket as usize)
                .map_or("", |t| &t.token)
                .to_owned();
            let buyer = self.name_of(step.buyer);
            self.violations.push(Violation {
                kind,
                buyer,
                ticket,
                detail,
                mono_ns: now_ns,
            });
        }
    }

    /// Writes a line of history for an answer.
    pub(crate) fn note_answer(&mut self, step: &Step, answer: &Answer<'_>, state: &str, now_ns: u64) {
        if self.history.is_some() {
            self.write_names(step);
            self.note(step, kind_of(step.op, answer.status, state), state, now_ns);
        }
    }

    /// Needs `write_names` before.
    pub(crate) fn note(&mut self, step: &Step, kind: Kind, state: &str, now_ns: u64) {
        let Some(history) = &mut self.history else { return };
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        history.write(&Line {
            op: step.op.name(),
            kind,
            buyer: text(&self.name),
            req: if step.op == Op::Buy { text(&self.key) } else { "" },
            ticket: self.tickets.get(step.ticket as usize).map_or("", |t| &t.token),
            state,
            mono_ns: now_ns,
        });
    }

    pub(crate) fn write_names(&mut self, step: &Step) {
        self.name.clear();
        let number = self.number(step.buyer);
        write_name(
            &mut self.name,
            self.config.seed,
            number,
            self.plans[step.buyer as usize].salt,
        );
        self.key.clear();
        write_key(&mut self.key, self.config.seed, number, step.key);
    }

    pub(crate) fn name_of(&self, buyer: u32) -> String {
        let mut name = Vec::new();
        write_name(
            &mut name,
            self.config.seed,
            self.number(buyer),
            self.plans[buyer as usize].salt,
        );
        String::from_utf8_lossy(&name).into_owned()
    }
}
