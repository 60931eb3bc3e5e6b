//! One shard's order database: durable, transactional; what it says is the truth about orders and money.

use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, ItemIx, Millis};
use flashsale_core::order::{self, OrderEffect, OrderEvent, OrderRefusal, State};
use flashsale_core::row::Row;
use flashsale_core::units::Units;
use smallvec::SmallVec;

/// An order's row.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) ticket: TicketNo,
    pub(crate) buyer: BuyerKey,
    pub(crate) item: ItemIx,
    pub(crate) units: Units,
    pub(crate) place: u32,
    pub(crate) at: Millis,
    pub(crate) state: State,
    pub(crate) deadline: Millis,
    /// Ids of the payments that were recorded.
    pub(crate) known: SmallVec<[u32; 2]>,
    /// Payments accepted and payments to give back; an id per entry.
    pub(crate) accepted: SmallVec<[u32; 1]>,
    pub(crate) refunds: SmallVec<[u32; 2]>,
    /// How many `Released` events of it were applied.
    pub(crate) released: u32,
}

/// The database of one shard.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) down: bool,
    pub(crate) row: Row,
    /// The applied events, in order.
    pub(crate) list: Vec<Event>,
    pub(crate) orders: Vec<Order>,
    /// The local message table: units to be freed.
    pub(crate) releases: Vec<(TicketNo, ReleaseReason)>,
    /// What the unique index and the foreign keys refused; a real one would have failed the transaction.
    pub(crate) refused: Vec<(Refused, String)>,
}

/// Why the database's constraints refuse an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    LiveUnit,
    ReleaseOfOpen,
    ReleaseOfNothing,
}

impl Database {
    pub(crate) fn order(&self, ticket: TicketNo) -> Option<&Order> {
        self.orders.iter().find(|o| o.ticket == ticket)
    }

    pub(crate) fn order_mut(&mut self, ticket: TicketNo) -> Option<&mut Order> {
        self.orders.iter_mut().find(|o| o.ticket == ticket)
    }

    pub(crate) fn is_closed(&self, ticket: TicketNo) -> bool {
        self.order(ticket)
            .is_some_and(|o| matches!(o.state, State::Closed(_)))
    }

    pub(crate) fn has_load(&self, load: u32, item: ItemIx) -> bool {
        self.list
            .iter()
            .any(|e| matches!(&e.change, Change::Loaded { load: l, item: i, .. } if (*l, *i) == (load, item)))
    }

    /// Applies one event's effects, in the transaction that moved the cursor.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Reserved(reservation) => self.reserved(event, reservation),
            Change::Released { ticket, .. } => {
                let order = self.orders.iter_mut().find(|o| o.ticket == *ticket);
                let refused = match order {
                    None => Some(Refused::ReleaseOfNothing),
                    Some(order) => {
                        order.released += 1;
                        (!matches!(order.state, State::Closed(_))).then_some(Refused::ReleaseOfOpen)
                    }
                };
                if let Some(refused) = refused {
                    self.refused.push((refused, format!("{event:?}")));
                }
                self.releases.retain(|(t, _)| t != ticket);
            }
            Change::Loaded { .. }
            | Change::Registered { .. }
            | Change::TransferOut { .. }
            | Change::TransferIn { .. } => {}
        }
        self.list.push(event.clone());
    }

    /// Inserts the reservation's order; the ticket is its primary key.
    pub(crate) fn reserved(&mut self, event: &Event, reservation: &Reservation) {
        if self.order(event.ticket()).is_some() {
            return;
        }
        let holds = |o: &&Order| {
            let both = o
                .units
                .iter()
                .flat_map(|a| reservation.units.iter().map(move |b| (a, b)));
            o.item == reservation.item
                && o.released == 0
                && both
                    .into_iter()
                    .any(|(a, b)| a.first < b.end() && b.first < a.end())
        };
        if let Some(other) = self.orders.iter().find(holds) {
            let what = format!("{:?} and {:?} hold the same unit", other.ticket, event.ticket());
            self.refused.push((Refused::LiveUnit, what));
        }
        self.orders.push(Order {
            ticket: event.ticket(),
            buyer: reservation.buyer,
            item: reservation.item,
            units: reservation.units.clone(),
            place: reservation.place,
            at: reservation.at,
            state: State::Reserved,
            deadline: 0,
            known: SmallVec::new(),
            accepted: SmallVec::new(),
            refunds: SmallVec::new(),
            released: 0,
        });
    }

    /// One transaction on one order's row, with what has to be done in the same.
    pub(crate) fn step(
        &mut self,
        ticket: TicketNo,
        event: OrderEvent,
        deadline: Millis,
        payment: u32,
    ) -> Option<Result<State, OrderRefusal>> {
        let order = self.orders.iter_mut().find(|o| o.ticket == ticket)?;
        let (state, effects) = match order::step(order.state, event) {
            Ok(next) => next,
            Err(refusal) => return Some(Err(refusal)),
        };
        order.state = state;
        for effect in effects {
            match effect {
                OrderEffect::StartDeadline => order.deadline = deadline,
                OrderEffect::FollowUp => order.accepted.push(payment),
                OrderEffect::RefundDue => order.refunds.push(payment),
                OrderEffect::Release(reason) => self.releases.push((ticket, *reason)),
                OrderEffect::HandOver => {}
            }
        }
        if matches!(event, OrderEvent::Pay { .. }) && !order.known.contains(&payment) {
            order.known.push(payment);
        }
        Some(Ok(state))
    }
}
