//! Transfers between two shards: what is sent may arrive at any time, any number of times, or never.

use super::sale::ITEM;
use super::{Kind, Turn};
use crate::broken::Broken;
use crate::seen::Seen;
use crate::world::{Transfer, World};
use flashsale_core::engine::Outgoing;
use flashsale_core::event::Change;
use flashsale_core::ids::{Seq, ShardId};
use std::rc::Rc;

pub(super) fn actions(world: &World, shard: usize, node: usize, put: &mut impl FnMut(Kind, usize)) {
    if world.shards.len() < 2 || !world.shards[shard].nodes[node].owner.takes() {
        return;
    }
    if world.transfers > 0 {
        put(Kind::TransferOut, 0);
    }
    let here = ShardId(shard as u16);
    let arriving = world.sends.iter().enumerate().filter(|(_, s)| s.to == here);
    arriving.for_each(|(send, _)| put(Kind::Arrive, send));
    let acked = world.acks.iter().enumerate().filter(|(_, a)| a.1 == here);
    acked.for_each(|(ack, _)| put(Kind::Acked, ack));
}

impl Turn<'_> {
    /// The owner decides to send one unit: whenever it may, not only when somebody waits for it.
    pub(super) fn transfer_out(&mut self, node: usize) -> Option<()> {
        let to = ShardId(1 - self.shard as u16);
        if self.is_doomed(node) || !self.drive(node, |owner, _| owner.transfer_out(to, ITEM, 1)) {
            return None;
        }
        self.world.transfers -= 1;
        if self.config.lacks(Broken::TransferBeforePromise) {
            let event = self.here().nodes[node].list.last()?.clone();
            if let Change::TransferOut { to, item, units } = event.change {
                let number = event.n;
                self.send(to, Outgoing { number, item, units });
            }
        }
        Some(())
    }

    /// A promised transfer is handed out.
    pub(super) fn send(&mut self, to: ShardId, transfer: Outgoing) {
        let from = ShardId(self.shard as u16);
        let claims = self.here().row.claimed.0;
        let sends = Rc::make_mut(&mut self.world.sends);
        if !sends
            .iter()
            .any(|s| (s.from, s.to, &s.transfer) == (from, to, &transfer))
        {
            sends.push(Transfer {
                from,
                to,
                transfer,
                claims,
            });
            self.world.seen.put(Seen::SENT);
        }
    }

    /// A taken transfer is acknowledged.
    pub(super) fn ack(&mut self, donor: ShardId, number: Seq) {
        let ack = (ShardId(self.shard as u16), donor, number);
        let acks = Rc::make_mut(&mut self.world.acks);
        if !acks.contains(&ack) {
            acks.push(ack);
            acks.sort_unstable();
        }
    }

    pub(super) fn arrive(&mut self, node: usize, send: usize) -> Option<()> {
        if self.is_doomed(node) {
            return None;
        }
        let sent = self.world.sends.get(send)?.clone();
        let (from, mut transfer) = (sent.from, sent.transfer);
        let (before, acks) = (self.here().nodes[node].list.len(), self.world.acks.len());
        if self.config.lacks(Broken::TransferTwice) {
            // The recipient doesn't recognise it.
            transfer.number = transfer.number * 100 + before as u64;
        }
        self.drive(node, |owner, out| owner.transfer_arrived(from, &transfer, out));
        let taken = self.here().nodes[node].list.len() > before;
        self.world.same = !taken && acks == self.world.acks.len();
        let mut seen = if taken { Seen::ARRIVED } else { Seen::REPEATED };
        if taken && self.world.shards[from.ix()].row.claimed.0 > sent.claims {
            seen.put(Seen::DONOR_DIED);
        }
        if taken && self.here().row.claimed.0 > 1 {
            seen.put(Seen::RECIPIENT_DIED);
        }
        self.world.seen.put(seen);
        if taken && self.config.lacks(Broken::AckBeforePromise) {
            self.ack(from, transfer.number);
        }
        Some(())
    }

    pub(super) fn acked(&mut self, node: usize, ack: usize) -> Option<()> {
        let (recipient, _, number) = *self.world.acks.get(ack)?;
        let donor = self.node(node);
        donor.owner.acked(recipient, number);
        let known = donor.acked.iter().map(|(_, n)| *n).max().unwrap_or(0);
        donor.acked = vec![(recipient, number.max(known))];
        Some(())
    }
}
