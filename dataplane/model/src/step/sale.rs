//! Buyers and loads.

use super::{Kind, Turn};
use crate::config::Config;
use crate::seen::Seen;
use crate::world::{World, tickets};
use flashsale_core::attempt::{Answer, Attempt, Refusal, Ticketed, Verdict};
use flashsale_core::event::{Change, Event};
use flashsale_core::ids::{BuyerKey, ItemIx, RequestKey};

/// The only item.
pub(crate) const ITEM: ItemIx = ItemIx(0);

pub(super) fn actions(
    config: &Config,
    world: &World,
    shard: usize,
    node: usize,
    put: &mut impl FnMut(Kind, usize),
) {
    let owner = &world.shards[shard].nodes[node].owner;
    if !owner.takes() {
        return;
    }
    if !config.loaded {
        (0..config.loads[shard].len()).for_each(|load| put(Kind::Load, load));
    }
    if tickets(&world.shards[shard].nodes[node].list).count() >= config.reservations_max {
        return;
    }
    let homes = &config.homes;
    for buyer in (0..homes.len()).filter(|&b| usize::from(homes[b]) == shard) {
        let begins = buyer == 0 || homes[buyer - 1] != homes[buyer] || world.used[buyer - 1];
        for attempt in (0..config.tries.len()).filter(|_| begins) {
            put(Kind::Buy, buyer * config.tries.len() + attempt);
        }
    }
}

/// One buyer's attempt.
pub(crate) fn attempt(config: &Config, buyer: usize, attempt: usize) -> Attempt {
    let attempt = config.tries[attempt];
    Attempt {
        token: 0,
        buyer: BuyerKey(buyer as u128 + 1),
        buyer_id: "".into(),
        item: ITEM,
        quantity: attempt.quantity,
        key: Some(RequestKey(buyer as u128 * 16 + u128::from(attempt.key))),
    }
}

impl Turn<'_> {
    pub(super) fn load(&mut self, node: usize, load: usize) -> Option<()> {
        if self.is_doomed(node) {
            return None;
        }
        let units = self.config.loads[self.shard][load];
        let loaded = self.drive(node, |owner, _| owner.load(load as u32 + 1, ITEM, units));
        if !loaded && self.here().row.claimed.0 > 1 {
            self.world.seen.put(Seen::LOADED_AGAIN);
        }
        Some(())
    }

    pub(super) fn buy(&mut self, node: usize, arg: usize) -> Option<()> {
        if self.is_doomed(node) {
            return None;
        }
        let (buyer, which) = (arg / self.config.tries.len(), arg % self.config.tries.len());
        let attempts = [attempt(self.config, buyer, which)];
        let mut verdicts = Vec::new();
        self.node(node).owner.purchase(1, &[0], &attempts, &mut verdicts);
        self.world.same = !matches!(verdicts[..], [Verdict::Answer(Answer::Taken(_))]);
        if !self.world.same {
            self.flush(node);
        }
        match verdicts.first()? {
            Verdict::Answer(Answer::Taken(ticketed)) => self.taken(node, buyer, &attempts[0], *ticketed),
            Verdict::Answer(Answer::Existing(ticketed)) => self.existing(node, &attempts[0], *ticketed),
            Verdict::Answer(Answer::Refused(Refusal::LimitExceeded { .. } | Refusal::KeyConflict)) => {
                self.world.seen.put(Seen::REFUSED);
            }
            Verdict::Answer(Answer::Refused(refusal)) => {
                self.world.broke(format!("an attempt was refused: {refusal:?}"));
            }
            Verdict::Empty => self.world.seen.put(Seen::EMPTY),
        }
        Some(())
    }

    fn taken(&mut self, node: usize, buyer: usize, attempt: &Attempt, ticketed: Ticketed) {
        self.world.used[buyer] = true;
        self.world.seen.put(Seen::TOOK);
        let here = &self.world.shards[self.shard];
        let known = |e: &Event| e.ticket() != ticketed.ticket && here.nodes[node].list.contains(e);
        let bought = |e: &&Event| buyer_of(e) == Some(attempt.buyer) && known(e);
        let again = here.promised.iter().filter(bought).count() > 0 && self.config.limit == 1;
        if by_key(&here.promised, attempt).is_some_and(known) {
            let problem =
                format!("buyer {buyer} got {ticketed:?} for a key whose ticket was promised before");
            self.world.broke(problem);
        }
        if again {
            self.world.seen.put(Seen::BOUGHT_AGAIN);
        }
    }

    /// A retry got a ticket: the promised one, if one was promised.
    fn existing(&mut self, node: usize, attempt: &Attempt, ticketed: Ticketed) {
        let here = &self.world.shards[self.shard];
        let Some(promised) = by_key(&here.promised, attempt) else {
            return;
        };
        let reader = &here.nodes[node];
        let (promised, older) = (promised.ticket(), promised.made < reader.owner.epoch());
        if by_key(&reader.list, attempt).is_none_or(|e| e.ticket() != promised) {
            return;
        }
        if promised != ticketed.ticket {
            let problem = format!("a retry got {ticketed:?}, promised was {promised:?}");
            self.world.broke(problem);
        }
        if older {
            self.world.seen.put(Seen::EXISTING);
        }
    }
}

/// The reservation that was made for an attempt's key.
pub(crate) fn by_key<'a>(list: &'a [Event], attempt: &Attempt) -> Option<&'a Event> {
    let of_key = |e: &&Event| matches!(&e.change, Change::Reserved(r) if r.key == attempt.key);
    list.iter().find(of_key)
}

/// The buyer of a reservation.
pub(crate) fn buyer_of(event: &Event) -> Option<BuyerKey> {
    match &event.change {
        Change::Reserved(reservation) => Some(reservation.buyer),
        _ => None,
    }
}
