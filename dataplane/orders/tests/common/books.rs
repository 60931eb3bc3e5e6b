//! What must be true of the books at any time.

use super::*;
use flashsale_core::order::State;
use std::collections::BTreeSet;

/// Checks shard 0, to which only single units were sold: the cursor covers `acknowledged`, every number up to
/// it has had its effect once, and the payments of `paid` are there.
pub async fn check(orders: &Orders, acknowledged: u64, paid: &BTreeSet<u64>) {
    let mut all = Vec::new();
    let recovered = orders.recover(|order| all.push(order)).await.unwrap();
    let cursor = recovered.rows[0].1.applied;
    assert!(
        cursor >= acknowledged,
        "applied {cursor}, acknowledged {acknowledged}"
    );
    // Every number up to the cursor is an order, or the release of one.
    let mut live = BTreeSet::new();
    orders
        .live_units(|_, _, unit, ticket| {
            live.insert((unit, ticket.n));
        })
        .await
        .unwrap();
    let waits: BTreeSet<u64> = recovered.releases.iter().map(|r| r.ticket.n).collect();
    let mut released = 0;
    for order in &all {
        let n = order.ticket.n;
        let held = live.contains(&(order.units[0].first, n));
        match order.state {
            State::Closed(_) => assert_eq!(held, waits.contains(&n), "order {n}"),
            _ => assert!(held, "order {n}"),
        }
        released += u64::from(!held);
    }
    assert_eq!(all.len() as u64 + released, cursor);
    assert!(all.iter().all(|o| o.ticket.n <= cursor));
    let mut recorded = BTreeSet::new();
    orders
        .payments(|p| {
            recorded.insert(p.ticket.n);
        })
        .await
        .unwrap();
    assert!(paid.is_subset(&recorded));
    let states: BTreeSet<u64> = all
        .iter()
        .filter(|o| o.state == State::Paid)
        .map(|o| o.ticket.n)
        .collect();
    assert_eq!(states, recorded);
    orders.close().await;
}
