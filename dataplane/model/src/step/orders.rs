//! Orders in the database: payments, closing, and releases until they are applied.

use super::{Action, Kind, Turn};
use crate::broken::Broken;
use crate::config::Config;
use crate::seen::Seen;
use crate::world::{Order, World};
use flashsale_core::event::{Change, Event, ReleaseReason};
use flashsale_core::order::{self, OrderEffect, OrderEvent, State};
use std::rc::Rc;

pub(super) fn actions(config: &Config, world: &World, shard: usize, actions: &mut Vec<Action>) {
    let here = &world.shards[shard];
    let mut put = |kind, node, arg| {
        actions.push(Action {
            kind,
            shard,
            node,
            arg,
        });
    };
    for (at, order) in here.orders.iter().enumerate() {
        if config.late_money || order.state == State::Pending {
            (0..usize::from(config.payments)).for_each(|payment| put(Kind::Pay, 0, at * 4 + payment));
        }
        put(Kind::Close, 0, at * 2);
        if config.cancels {
            put(Kind::Close, 0, at * 2 + 1);
        }
        if order.release.is_some() {
            let takers = here.nodes.iter().enumerate().filter(|(_, n)| n.owner.takes());
            takers.for_each(|(node, _)| put(Kind::Release, node, at));
        }
    }
}

impl Turn<'_> {
    /// In the transaction that applies an event: its order, or the end of its release message. Orders are
    /// made at once: while an order waits in its queue nothing can happen to it but being closed.
    pub(super) fn applied_to_orders(&mut self, event: &Event) {
        let orders = Rc::make_mut(&mut self.here().orders);
        match &event.change {
            Change::Reserved(reservation) => {
                orders.push(Order {
                    ticket: event.ticket(),
                    unit: reservation.units[0].first,
                    state: State::Reserved,
                    payments: 0,
                    accepted: 0,
                    refunds: 0,
                    release: None,
                });
                let at = orders.len() - 1;
                self.order(at, OrderEvent::Make);
            }
            Change::Released { ticket, .. } => {
                if let Some(order) = orders.iter_mut().find(|o| o.ticket == *ticket) {
                    order.release = None;
                }
                self.world.seen.put(Seen::RELEASED);
            }
            _ => {}
        }
    }

    /// One transaction on an order's row.
    fn order(&mut self, at: usize, event: OrderEvent) -> Option<()> {
        let order = &mut Rc::make_mut(&mut self.here().orders)[at];
        let (state, effects) = order::step(order.state, event).ok()?;
        order.state = state;
        let mut seen = Seen::default();
        for effect in effects {
            match effect {
                OrderEffect::FollowUp => {
                    order.accepted += 1;
                    seen.put(Seen::PAID);
                }
                OrderEffect::RefundDue => {
                    order.refunds += 1;
                    seen.put(Seen::REFUND);
                }
                OrderEffect::Release(reason) => order.release = Some(*reason),
                OrderEffect::StartDeadline | OrderEffect::HandOver => {}
            }
        }
        self.world.seen.put(seen);
        Some(())
    }

    /// A payment comes in, or comes in again.
    pub(super) fn pay(&mut self, at: usize, payment: usize) -> Option<()> {
        let order = &mut Rc::make_mut(&mut self.here().orders)[at];
        let again = order.payments & (1 << payment) != 0;
        order.payments |= 1 << payment;
        self.order(at, OrderEvent::Pay { again })
    }

    /// The deadline has passed, or the buyer cancels.
    pub(super) fn close(&mut self, at: usize, cancelled: bool) -> Option<()> {
        if self.config.lacks(Broken::CloseWithoutCompare) {
            // What the closer read a while ago: the order was pending then.
            let order = &mut Rc::make_mut(&mut self.here().orders)[at];
            if order.state == State::Paid {
                order.state = State::Pending;
            }
        }
        let reason = if cancelled {
            ReleaseReason::Cancelled
        } else {
            ReleaseReason::Unpaid
        };
        self.order(at, OrderEvent::Close(reason))
    }

    /// The release message reaches an owner.
    pub(super) fn release(&mut self, node: usize, at: usize) -> Option<()> {
        if self.is_doomed(node) {
            return None;
        }
        let order = self.here().orders.get(at)?.clone();
        let reason = order.release?;
        let mut ticket = order.ticket;
        let by_unit = self.config.lacks(Broken::ReleaseByUnit);
        let owner = &self.here().nodes[node].owner;
        if by_unit {
            let holder = owner.engine().live().find(|(_, _, u)| u[0].first == order.unit);
            ticket = holder.map_or(ticket, |(t, _, _)| t);
        }
        let later = owner.epoch() > ticket.made;
        let released = self.drive(node, |owner, _| owner.release(ticket, reason));
        if released && later {
            self.world.seen.put(Seen::RELEASED_LATER);
        }
        if released && self.config.lacks(Broken::ReleaseForgotten) {
            Rc::make_mut(&mut self.here().orders)[at].release = None;
        }
        Some(())
    }
}
