//! Units that move between shards, as this owner sees them: one transfer per recipient at a time, repeated until the
//! recipient has promised that it came in.

use super::{Effect, Owner};
use crate::engine::Outgoing;
use crate::ids::{ItemIx, Seq, ShardId};
use crate::units;

impl Owner {
    /// Whether units may be sent to another shard: not while a transfer to it is under way.
    #[must_use]
    pub fn may_transfer(&self, to: ShardId) -> bool {
        self.takes() && to != self.shard && self.under_way(to).is_none()
    }

    /// What to do with a transfer of `from`: `true` if it is to be taken. One that was taken already is acknowledged
    /// again, once it is promised.
    pub fn wants_transfer(&self, from: ShardId, transfer: &Outgoing, out: &mut Vec<Effect>) -> bool {
        match self.engine.incoming(from) {
            _ if !self.takes() => false,
            Some((taken, own)) if transfer.number <= taken => {
                if own <= self.promised {
                    out.push(Effect::Ack {
                        to: from,
                        number: transfer.number,
                    });
                }
                false
            }
            _ => true,
        }
    }

    /// Sends up to `want` units to another shard, unless a transfer to it is still under way.
    pub fn transfer_out(&mut self, to: ShardId, item: ItemIx, want: u32) -> bool {
        self.may_transfer(to)
            && self.decide(|engine, epoch, events| engine.transfer_out(epoch, to, item, want, events))
    }

    /// A transfer of `from` arrived. Taken once; acknowledged when promised, and again when it is repeated.
    pub fn transfer_arrived(&mut self, from: ShardId, transfer: &Outgoing, out: &mut Vec<Effect>) {
        if self.wants_transfer(from, transfer, out) {
            self.decide(|engine, epoch, events| engine.transfer_in(epoch, from, transfer, events));
        }
    }

    /// The recipient `to` has promised the transfer `number`.
    pub fn acked(&mut self, to: ShardId, number: Seq) {
        let acked = self.acked.entry(to).or_default();
        *acked = (*acked).max(number);
    }

    /// Hands out all transfers again that are promised and not acknowledged: after a while without an answer.
    pub fn resend_transfers(&self, out: &mut Vec<Effect>) {
        for (&to, transfer) in self.engine.outgoing() {
            if self.under_way(to).is_some() && transfer.number <= self.promised {
                out.push(Effect::Send {
                    to,
                    transfer: transfer.clone(),
                });
            }
        }
    }

    fn under_way(&self, to: ShardId) -> Option<&Outgoing> {
        let acked = self.acked.get(&to).copied().unwrap_or_default();
        self.engine
            .outgoing()
            .get(&to)
            .filter(|transfer| transfer.number > acked)
    }

    /// Units of `item` that have left and aren't known to have arrived, by recipient.
    pub fn leaving(&self, item: ItemIx) -> impl Iterator<Item = (ShardId, u32)> {
        let outgoing = self
            .engine
            .outgoing()
            .keys()
            .filter_map(|&to| Some((to, self.under_way(to)?)));
        outgoing
            .filter(move |(_, t)| t.item == item)
            .map(|(to, t)| (to, units::count(&t.units)))
    }

    /// Units of `item` that have left and aren't known to have arrived.
    #[must_use]
    pub fn in_transfer(&self, item: ItemIx) -> u32 {
        self.leaving(item).map(|(_, units)| units).sum()
    }
}
