//! The database's story against the log's.

use super::lives::Ends;
use super::{Check, End, Evidence, Findings, name, reservations};
use crate::sale::Sale;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::ShardId;
use flashsale_core::order::State;
use flashsale_core::units;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Every reservation has its order and every order its reservation; closed orders gave their units back.
pub(super) fn orders(
    sale: &Sale,
    evidence: &Evidence,
    ends: &Ends,
    checks: &mut BTreeMap<&'static str, Check>,
) {
    let (mut matched, mut released, mut applied) =
        (Findings::default(), Findings::default(), Findings::default());
    let rows: HashMap<_, _> = evidence.orders.iter().map(|o| ((o.shard, o.ticket), o)).collect();
    let dead: HashSet<(ShardId, TicketNo)> = evidence.dead.iter().copied().collect();
    for (shard, ticket, r) in reservations(evidence) {
        let row = rows.get(&(shard, ticket));
        let same = row.is_some_and(|o| {
            o.item == r.item
                && o.units == r.units
                && *o.buyer_id == *r.buyer_id
                && o.order_id == sale.order_id(shard, ticket)
        });
        matched.look(same || dead.contains(&(shard, ticket)), || {
            name(sale, shard, ticket, r.item, &r.units)
        });
    }
    for order in &evidence.orders {
        let end = ends.get(&(order.shard, order.ticket));
        matched.look(end.is_some(), || {
            format!("order {} has no reservation in the log", order.order_id)
        });
        let fine = match (order.state, end) {
            (State::Closed(reason), Some(End::Released(why))) => reason == *why,
            (State::Reserved | State::Pending | State::Paid, Some(End::Live)) => true,
            _ => false,
        };
        released.look(fine, || {
            let unit = name(sale, order.shard, order.ticket, order.item, &order.units);
            format!("{unit}: the order is {:?}, the log says {end:?}", order.state)
        });
    }
    for (shard, events) in evidence.events.iter().enumerate() {
        let cursor = evidence.cursors.get(shard).copied().unwrap_or_default();
        applied.look(cursor == events.len() as u64, || {
            format!(
                "shard {shard}: the log has {} events, the database has applied {cursor}",
                events.len()
            )
        });
    }
    checks.insert(
        "ordersMatchReservations",
        matched.check("reservations and orders have each other"),
    );
    checks.insert(
        "closedGaveUnitsBack",
        released.check("orders hold their units, or are closed and gave them back once"),
    );
    checks.insert(
        "logApplied",
        applied.check("shards applied to the database up to their last event"),
    );
}

/// Each paid order has one payment of its amount; all other money is to be given back.
pub(super) fn money(sale: &Sale, evidence: &Evidence, checks: &mut BTreeMap<&'static str, Check>) {
    let mut findings = Findings::default();
    let mut accepted: HashMap<&str, Vec<i64>> = HashMap::new();
    for payment in evidence.payments.iter().filter(|p| p.accepted) {
        accepted
            .entry(&payment.order_id)
            .or_default()
            .push(payment.amount_minor);
    }
    for order in &evidence.orders {
        let price = sale.items.get(order.item.ix()).map_or(0, |i| i.price.minor());
        let owed = price * i64::from(units::count(&order.units));
        let paid = accepted.remove(order.order_id.as_str()).unwrap_or_default();
        let fine = if order.state == State::Paid {
            paid == [owed]
        } else {
            paid.is_empty()
        };
        findings.look(fine, || {
            format!(
                "order {}: {:?}, owed {owed}, accepted payments {paid:?}",
                order.order_id, order.state
            )
        });
    }
    for (order, paid) in accepted {
        findings.look(false, || {
            format!("payments {paid:?} were accepted for order {order}, which doesn't exist")
        });
    }
    checks.insert(
        "moneyAddsUp",
        findings.check("orders: paid once in full, or nothing kept"),
    );
}

/// The database's index of live units is what the orders hold.
pub(super) fn live_units(sale: &Sale, evidence: &Evidence, checks: &mut BTreeMap<&'static str, Check>) {
    let mut findings = Findings::default();
    let mut index: HashSet<_> = evidence.live_units.iter().copied().collect();
    if index.len() != evidence.live_units.len() {
        findings.look(false, || "a unit is in the index twice".to_owned());
    }
    for order in evidence
        .orders
        .iter()
        .filter(|o| !matches!(o.state, State::Closed(_)))
    {
        for unit in order.units.iter().flat_map(|r| r.iter()) {
            let there = index.remove(&(order.shard, order.item, unit));
            findings.look(there, || {
                name(sale, order.shard, order.ticket, order.item, &order.units)
            });
        }
    }
    for (shard, item, unit) in index {
        findings.look(false, || {
            format!(
                "unit {unit} of item {} in shard {}: live in the index, held by no order",
                item.0, shard.0
            )
        });
    }
    checks.insert(
        "liveUnitsMatchOrders",
        findings.check("units held by open or paid orders, each once"),
    );
}
