//! One ticket as its buyer has seen it, and the promises that can be judged from it alone.

use smallvec::SmallVec;

use crate::answer::{TicketState, TicketView};
use crate::clock::Clock;
use crate::verify::ViolationKind;

/// Polling begins at this pace …
const POLL_MS_MIN: u16 = 200;
/// … and slows down to this.
const POLL_MS_MAX: u16 = 2_000;
/// A longer `waitSeconds` than this is not believed blindly: the buyer looks in between.
const POLL_WAIT_SECONDS_MAX: f64 = 30.0;
/// Clocks of crowd and server may differ by this much before a deadline counts as surely not reached.
const DEADLINE_DOUBT_NS: u64 = 100_000_000;

/// What is needed to pay.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
}

/// A ticket, by the number it has within its thread.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) token: Box<str>,
    pub(crate) buyer: u32,
    /// The buyer's ticket before this one, or `NONE`.
    pub(crate) previous: u32,
    /// The key that got it.
    pub(crate) key: u8,
    pub(crate) pace_ms: u16,
    pub(crate) followed: bool,
    /// The server said that it knows no such ticket.
    pub(crate) gone: bool,
    pub(crate) cancel_sent: bool,
    /// Whether it was counted as cancelled.
    pub(crate) cancel_counted: bool,
    /// The payment was first sent at this moment; 0 is never.
    pub(crate) paid_sent_ns: u64,
    /// `Some(true)`: answered `paid`; `Some(false)`: answered `refundDue`.
    pub(crate) payment: Option<bool>,
    pub(crate) pay_by_ms: u64,
    pub(crate) order: Option<Box<Order>>,
    pub(crate) states: SmallVec<[(TicketState, u64); 3]>,
    position: u64,
    /// When the last answer about it came; only requests sent later can be compared with that answer.
    last_answer_ns: u64,
    pub(crate) sure_until_ns: u64,
}

/// A broken promise and its words.
pub(crate) type Broken = (ViolationKind, String);

impl Ticket {
    pub(crate) fn new(token: &str, buyer: u32, previous: u32, key: u8) -> Self {
        Self {
            token: token.into(),
            buyer,
            previous,
            key,
            pace_ms: POLL_MS_MIN,
            followed: false,
            gone: false,
            cancel_sent: false,
            cancel_counted: false,
            paid_sent_ns: 0,
            payment: None,
            pay_by_ms: 0,
            order: None,
            states: SmallVec::new(),
            position: u64::MAX,
            last_answer_ns: 0,
            sure_until_ns: 0,
        }
    }

    /// The state last shown.
    pub(crate) fn state(&self) -> TicketState {
        self.states
            .last()
            .map_or(TicketState::Queued, |(state, _)| *state)
    }

    /// The buyer holds something: it neither failed nor vanished.
    pub(crate) fn counts(&self) -> bool {
        !self.gone && self.state() != TicketState::Failed
    }

    /// The buyer was once shown `reserved` or more.
    pub(crate) fn was_promised(&self) -> bool {
        self.states.iter().any(|(state, _)| state.is_promise())
    }

    /// The ticket surely is alive at this moment, whatever the server does rightfully.
    pub(crate) fn surely_alive(&self, now_ns: u64) -> bool {
        self.state() == TicketState::Paid
            || (self.was_promised() && !self.cancel_sent && now_ns < self.sure_until_ns)
    }

    /// Waits for something that is going to happen by itself.
    pub(crate) fn is_waiting(&self) -> bool {
        self.followed && !self.gone && self.state().rank() < 2
    }

    /// Takes in what an answer showed; `sent_ns` is when its request went out.
    pub(crate) fn show(
        &mut self,
        view: &TicketView<'_>,
        sent_ns: u64,
        now_ns: u64,
        clock: &Clock,
    ) -> Vec<Broken> {
        let mut broken = Vec::new();
        // Two requests may overtake each other on the way; only one that left after the last answer is later.
        let later = sent_ns >= self.last_answer_ns || self.states.is_empty();
        if later {
            self.compare(view, now_ns, clock, &mut broken);
        }
        self.last_answer_ns = self.last_answer_ns.max(now_ns);
        if let (None, Some(id)) = (&self.order, &view.order_id) {
            let text =
                |field: &Option<std::borrow::Cow<'_, str>>| field.as_deref().unwrap_or_default().to_owned();
            let (amount, currency) = (text(&view.amount), text(&view.currency));
            self.order = Some(Box::new(Order {
                id: id.as_ref().to_owned(),
                amount,
                currency,
            }));
        }
        self.pay_by_ms = view.pay_by_ms.unwrap_or(self.pay_by_ms);
        if self.states.is_empty() || (later && self.state() != view.state) {
            self.states.push((view.state, now_ns));
        }
        self.note_certainty(view.state, sent_ns, now_ns, clock);
        broken
    }

    fn compare(&mut self, view: &TicketView<'_>, now_ns: u64, clock: &Clock, broken: &mut Vec<Broken>) {
        let reason = view.reason.as_deref().unwrap_or_default();
        if let Some((old, _)) = self.states.last().copied()
            && old != view.state
        {
            if old.is_final() || view.state.rank() < old.rank() {
                let detail = format!("was {}, now {} ({reason})", old.name(), view.state.name());
                broken.push((ViolationKind::StateWentBack, detail));
            } else if view.state == TicketState::Failed && old.is_promise() {
                broken.push((
                    ViolationKind::PromiseBroken,
                    format!("was {}, now failed ({reason})", old.name()),
                ));
            } else if view.state == TicketState::Closed {
                broken.extend(self.closed_wrongly(reason, now_ns, clock));
            }
        }
        if let Some(position) = view.position {
            if position > self.position {
                let detail = format!("was {}, now {position}", self.position);
                broken.push((ViolationKind::PositionGrew, detail));
            }
            self.position = position;
        }
    }

    fn closed_wrongly(&self, reason: &str, now_ns: u64, clock: &Clock) -> Option<Broken> {
        let deadline_ns = clock.mono_ns(self.pay_by_ms);
        let detail = match reason {
            "" => "closed without a reason".to_owned(),
            "cancelled" if !self.cancel_sent => {
                "closed as cancelled, but its buyer never cancelled".to_owned()
            }
            "unpaid" if self.payment == Some(true) => {
                "closed as unpaid after the payment was taken".to_owned()
            }
            "unpaid" if self.pay_by_ms > 0 && now_ns + DEADLINE_DOUBT_NS < deadline_ns => {
                format!(
                    "closed as unpaid {} ms before the deadline",
                    (deadline_ns - now_ns) / 1_000_000
                )
            }
            _ => return None,
        };
        Some((ViolationKind::ClosedWrongly, detail))
    }

    fn note_certainty(&mut self, state: TicketState, sent_ns: u64, now_ns: u64, clock: &Clock) {
        match state {
            TicketState::Reserved if !self.cancel_sent => {
                self.sure_until_ns = self.sure_until_ns.max(sent_ns);
            }
            TicketState::Ordered if !self.cancel_sent => {
                let deadline = clock.mono_ns(self.pay_by_ms).saturating_sub(DEADLINE_DOUBT_NS);
                self.sure_until_ns = self.sure_until_ns.max(sent_ns).max(deadline);
            }
            TicketState::Closed | TicketState::Failed => self.sure_until_ns = self.sure_until_ns.min(now_ns),
            _ => {}
        }
    }

    /// From here on the unit may be somebody else's at any moment.
    pub(crate) fn cancel_goes_out(&mut self, now_ns: u64) {
        self.cancel_sent = true;
        self.sure_until_ns = self.sure_until_ns.min(now_ns);
    }

    /// Takes in the answer to a payment.
    pub(crate) fn payment_answered(&mut self, paid: bool, now_ns: u64, clock: &Clock) -> Option<Broken> {
        let in_time = self.pay_by_ms > 0 && now_ns + DEADLINE_DOUBT_NS < clock.mono_ns(self.pay_by_ms);
        let broken = match self.payment {
            Some(before) if before != paid => {
                let word = |paid| if paid { "paid" } else { "refundDue" };
                let detail = format!("was {}, now {}", word(before), word(paid));
                Some((ViolationKind::PaymentAnswerChanged, detail))
            }
            None if !paid && in_time && !self.cancel_sent => Some((
                ViolationKind::PaymentRefused,
                "paid before the deadline, answered refundDue".to_owned(),
            )),
            _ => None,
        };
        self.payment.get_or_insert(paid);
        broken
    }

    /// When to look again, in nanoseconds from now: slower each time, not before the server's own estimate, and
    /// spread by a tenth so that waiters do not march in step.
    pub(crate) fn next_look_ns(&mut self, wait_seconds: Option<f64>, unit: f64) -> u64 {
        let pace_ms = f64::from(self.pace_ms);
        self.pace_ms = (self.pace_ms + self.pace_ms / 2).min(POLL_MS_MAX);
        let wait_ms = wait_seconds.unwrap_or(0.0).clamp(0.0, POLL_WAIT_SECONDS_MAX) * 1e3;
        (pace_ms.max(wait_ms) * (0.9 + 0.2 * unit) * 1e6) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NONE;

    fn view(json: &str) -> TicketView<'_> {
        serde_json::from_str(json).unwrap()
    }

    /// Shows one body after the other, each asked for after the last was answered, and returns what broke.
    fn shown(bodies: &[&str]) -> Vec<ViolationKind> {
        let clock = Clock::start(0);
        let mut ticket = Ticket::new("t", 0, NONE, 0);
        let mut at = 0;
        let mut kinds = Vec::new();
        for body in bodies {
            at += 10;
            kinds.extend(
                ticket
                    .show(&view(body), at, at + 5, &clock)
                    .into_iter()
                    .map(|(kind, _)| kind),
            );
        }
        kinds
    }

    const QUEUED: &str = r#"{"ticket":"t","state":"queued","position":7}"#;
    const RESERVED: &str = r#"{"ticket":"t","state":"reserved","position":5}"#;
    const PAID: &str = r#"{"ticket":"t","state":"paid"}"#;

    #[test]
    fn the_usual_way_breaks_nothing() {
        let ordered =
            r#"{"ticket":"t","state":"ordered","orderId":"o","amount":"1","currency":"EUR","payByMs":99}"#;
        assert_eq!(shown(&[QUEUED, RESERVED, ordered, PAID, PAID]), []);
    }

    #[test]
    fn a_reserved_ticket_that_fails_is_a_broken_promise_but_a_queued_one_is_not() {
        let lost = r#"{"ticket":"t","state":"failed","reason":"lost"}"#;
        assert_eq!(shown(&[QUEUED, RESERVED, lost]), [ViolationKind::PromiseBroken]);
        assert_eq!(shown(&[QUEUED, lost]), []);
    }

    #[test]
    fn going_back_growing_and_leaving_a_final_state_are_seen() {
        assert_eq!(
            shown(&[RESERVED, QUEUED]),
            [ViolationKind::StateWentBack, ViolationKind::PositionGrew]
        );
        assert_eq!(
            shown(&[PAID, r#"{"ticket":"t","state":"closed","reason":"unpaid"}"#]),
            [ViolationKind::StateWentBack]
        );
        assert_eq!(
            shown(&[
                RESERVED,
                r#"{"ticket":"t","state":"closed","reason":"cancelled"}"#
            ]),
            [ViolationKind::ClosedWrongly]
        );
    }

    #[test]
    fn an_answer_that_was_overtaken_proves_nothing() {
        let clock = Clock::start(0);
        let mut ticket = Ticket::new("t", 0, NONE, 0);
        assert!(ticket.show(&view(RESERVED), 10, 30, &clock).is_empty());
        // Asked at 20, before the answer above came: an older view of the line.
        assert!(ticket.show(&view(QUEUED), 20, 40, &clock).is_empty());
        assert_eq!(ticket.state(), TicketState::Reserved);
    }

    #[test]
    fn polling_slows_down_and_honours_the_servers_estimate() {
        let mut ticket = Ticket::new("t", 0, NONE, 0);
        let looks: Vec<u64> = (0..8)
            .map(|_| ticket.next_look_ns(None, 0.5) / 1_000_000)
            .collect();
        assert_eq!(looks, [200, 300, 450, 675, 1012, 1518, 2000, 2000]);
        assert_eq!(ticket.next_look_ns(Some(7.0), 0.5) / 1_000_000, 7_000);
        assert_eq!(ticket.next_look_ns(Some(9e9), 0.5) / 1_000_000, 30_000);
    }

    #[test]
    fn money_in_time_may_not_be_due_for_refund_and_answers_may_not_change() {
        let clock = Clock::start(0);
        let mut ticket = Ticket::new("t", 0, NONE, 0);
        ticket.pay_by_ms = clock.wall_ms(0) + 60_000;
        assert_eq!(
            ticket.payment_answered(false, 10, &clock).unwrap().0,
            ViolationKind::PaymentRefused
        );
        assert_eq!(
            ticket.payment_answered(true, 11, &clock).unwrap().0,
            ViolationKind::PaymentAnswerChanged
        );
    }
}
