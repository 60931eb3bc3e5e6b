//! The life of every unit, followed over all shards.

use super::{Check, End, Evidence, Findings, ItemTotals, name};
use crate::sale::Sale;
use flashsale_core::event::{Change, Event, TicketNo};
use flashsale_core::ids::{ItemIx, Seq, ShardId};
use flashsale_core::order::State;
use flashsale_core::units::Units;
use std::collections::{BTreeMap, HashMap};

/// Where a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    NotLoaded,
    Free(ShardId),
    Held(ShardId, TicketNo),
    Between(ShardId, Seq),
}

/// What became of each reservation, by the log.
pub(super) type Ends = HashMap<(ShardId, TicketNo), End>;

struct Follower<'a> {
    sale: &'a Sale,
    units: Vec<Vec<Place>>,
    ends: Ends,
    units_of: HashMap<(ShardId, TicketNo), (ItemIx, Units)>,
    sold_once: Findings,
    loaded_once: Findings,
    in_order: Findings,
    arrived_once: Findings,
}

pub(super) fn follow(
    sale: &Sale,
    evidence: &Evidence,
    checks: &mut BTreeMap<&'static str, Check>,
) -> (Ends, Vec<ItemTotals>) {
    let mut follower = Follower {
        sale,
        units: sale
            .items
            .iter()
            .map(|i| vec![Place::NotLoaded; i.stock as usize])
            .collect(),
        ends: Ends::new(),
        units_of: HashMap::new(),
        sold_once: Findings::default(),
        loaded_once: Findings::default(),
        in_order: Findings::default(),
        arrived_once: Findings::default(),
    };
    follower.run(&evidence.events);
    let totals = follower.totals(evidence);
    checks.insert("stockConserved", follower.conserved(&totals));
    let Follower {
        ends,
        sold_once,
        loaded_once,
        in_order,
        arrived_once,
        ..
    } = follower;
    checks.insert(
        "neverOversold",
        sold_once.check("reservations took units that were free in their shard"),
    );
    checks.insert(
        "loadedOnce",
        loaded_once.check("loads brought units that weren't there before"),
    );
    checks.insert(
        "releasedInOrder",
        in_order.check("releases freed units that their reservation held"),
    );
    checks.insert(
        "transfersArrivedOnce",
        arrived_once.check("transfers moved units that were on their way"),
    );
    (ends, totals)
}

impl Follower<'_> {
    /// Follows all shards, each in its order; a transfer's arrival waits until its departure was seen.
    fn run(&mut self, shards: &[Vec<Event>]) {
        let mut at = vec![0; shards.len()];
        let mut departed: HashMap<(ShardId, Seq), (ItemIx, Units)> = HashMap::new();
        loop {
            let mut moved = false;
            for (ix, events) in shards.iter().enumerate() {
                let shard = ShardId(ix as u16);
                while let Some(event) = events.get(at[ix]) {
                    if let Change::TransferIn { from, number, .. } = &event.change {
                        let sent_later = at.get(from.ix()).is_some_and(|&a| (a as Seq) < *number);
                        if !departed.contains_key(&(*from, *number)) && sent_later && from.ix() < shards.len()
                        {
                            break;
                        }
                    }
                    self.event(shard, event, &mut departed);
                    at[ix] += 1;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        for (ix, events) in shards.iter().enumerate() {
            let rest = events.len() - at[ix];
            self.arrived_once.look(rest == 0, || {
                format!("shard {ix}: {rest} events wait for a transfer that never left")
            });
        }
    }

    fn event(
        &mut self,
        shard: ShardId,
        event: &Event,
        departed: &mut HashMap<(ShardId, Seq), (ItemIx, Units)>,
    ) {
        let ticket = event.ticket();
        match &event.change {
            Change::Loaded { item, units, .. } => {
                let all = Units::from_slice(&[*units]);
                let fine = self.shift(*item, &all, |p| p == Place::NotLoaded, Place::Free(shard));
                self.loaded_once
                    .look(fine, || name(self.sale, shard, ticket, *item, &all));
            }
            Change::Reserved(r) => {
                let fine = self.shift(
                    r.item,
                    &r.units,
                    |p| p == Place::Free(shard),
                    Place::Held(shard, ticket),
                );
                self.sold_once
                    .look(fine, || name(self.sale, shard, ticket, r.item, &r.units));
                self.ends.insert((shard, ticket), End::Live);
                self.units_of.insert((shard, ticket), (r.item, r.units.clone()));
            }
            Change::Released { ticket: of, reason } => {
                let units = self.units_of.get(&(shard, *of)).cloned();
                let fine = units.as_ref().is_some_and(|(item, units)| {
                    self.shift(*item, units, |p| p == Place::Held(shard, *of), Place::Free(shard))
                });
                let (item, units) = units.unwrap_or((ItemIx(0), Units::new()));
                self.in_order
                    .look(fine, || name(self.sale, shard, *of, item, &units));
                self.ends.insert((shard, *of), End::Released(*reason));
            }
            Change::TransferOut { item, units, .. } => {
                let fine = self.shift(
                    *item,
                    units,
                    |p| p == Place::Free(shard),
                    Place::Between(shard, event.n),
                );
                self.arrived_once
                    .look(fine, || name(self.sale, shard, ticket, *item, units));
                departed.insert((shard, event.n), (*item, units.clone()));
            }
            Change::TransferIn {
                from,
                number,
                item,
                units,
            } => {
                let same = departed
                    .remove(&(*from, *number))
                    .is_some_and(|sent| sent == (*item, units.clone()));
                let between = Place::Between(*from, *number);
                let fine = same && self.shift(*item, units, |p| p == between, Place::Free(shard));
                self.arrived_once
                    .look(fine, || name(self.sale, shard, ticket, *item, units));
            }
            Change::Registered { .. } => {}
        }
    }

    fn shift(&mut self, item: ItemIx, units: &Units, from: impl Fn(Place) -> bool, to: Place) -> bool {
        let Some(places) = self.units.get_mut(item.ix()) else {
            return false;
        };
        let mut fine = true;
        for unit in units.iter().flat_map(|r| r.iter()) {
            match places.get_mut(unit as usize) {
                Some(place) => {
                    fine &= from(*place);
                    *place = to;
                }
                None => fine = false,
            }
        }
        fine
    }

    fn totals(&self, evidence: &Evidence) -> Vec<ItemTotals> {
        let paid: std::collections::HashSet<(ShardId, TicketNo)> = evidence
            .orders
            .iter()
            .filter(|o| o.state == State::Paid)
            .map(|o| (o.shard, o.ticket))
            .collect();
        self.units
            .iter()
            .map(|places| {
                let mut totals = ItemTotals {
                    stock: places.len() as u64,
                    ..ItemTotals::default()
                };
                for place in places {
                    match place {
                        Place::NotLoaded => {}
                        Place::Free(_) => totals.sellable += 1,
                        Place::Between(..) => totals.in_transfer += 1,
                        Place::Held(shard, ticket) if paid.contains(&(*shard, *ticket)) => totals.sold += 1,
                        Place::Held(..) => totals.locked += 1,
                    }
                }
                totals
            })
            .collect()
    }

    fn conserved(&self, totals: &[ItemTotals]) -> Check {
        let mut findings = Findings::default();
        for (item, t) in self.sale.items.iter().zip(totals) {
            let sum = t.sellable + t.in_transfer + t.locked + t.sold;
            findings.look(sum == t.stock, || {
                format!(
                    "{}: sellable {} + in transfer {} + locked {} + sold {} ≠ stock {}",
                    item.id, t.sellable, t.in_transfer, t.locked, t.sold, t.stock
                )
            });
        }
        findings.check("items: sellable + in transfer + locked + sold = stock")
    }
}
