//! Random histories against a simple reference that is built on `order::step` alone.

// A test's helper fails by panicking, as the test itself does.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use flashsale_core::event::{Event, ReleaseReason};
use flashsale_core::order::{OrderEffect, OrderEvent, State, step};
use flashsale_orders::{Cancelled, Kind, OrderRow, Orders, PaymentOutcome, PaymentRefusal};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};

/// Units there are; few, so that histories try to sell one twice.
const UNITS: u32 = 6;

#[derive(Debug, Clone)]
enum Op {
    /// Reserves these units, one after the other, in one batch; the flag puts the waiting releases before.
    Reserve(Vec<u32>, bool),
    /// Delivers the last so many events again.
    Again(usize),
    /// Makes these orders, whatever state they are in.
    Make(Vec<u64>),
    Pay {
        id: u8,
        n: u64,
    },
    Cancel(u64),
    Expire(u32),
    Backlog {
        age: u64,
        limit: u32,
    },
    /// Time passes.
    Wait(u64),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 1u64..25;
    prop_oneof![
        5 => (prop::collection::vec(0..UNITS, 0..4), any::<bool>()).prop_map(|(u, r)| Op::Reserve(u, r)),
        1 => (1usize..8).prop_map(Op::Again),
        3 => prop::collection::vec(n(), 1..6).prop_map(Op::Make),
        3 => (0u8..12, n()).prop_map(|(id, n)| Op::Pay { id, n }),
        2 => n().prop_map(Op::Cancel),
        2 => (1u32..5).prop_map(Op::Expire),
        1 => (0u64..60, 1u32..5).prop_map(|(age, limit)| Op::Backlog { age, limit }),
        3 => (1u64..600).prop_map(Op::Wait),
        1 => Just(Op::Restart),
    ]
}

/// An order of the reference.
#[derive(Debug, Clone)]
struct Order {
    state: State,
    unit: u32,
    reserved_at: u64,
    expires_at: Option<u64>,
}

/// The reference: maps, and `step`.
#[derive(Debug, Default)]
struct Reference {
    now: u64,
    events: Vec<Event>,
    orders: BTreeMap<u64, Order>,
    live: BTreeMap<u32, u64>,
    releases: BTreeMap<u64, ReleaseReason>,
    payments: BTreeMap<u8, (u64, bool)>,
    told: BTreeMap<(Kind, u64), u32>,
    dead: BTreeSet<u64>,
}

impl Reference {
    fn event(&mut self, make: impl FnOnce(u64) -> Event) -> u64 {
        let n = self.events.len() as u64 + 1;
        self.events.push(make(n));
        n
    }

    fn reserve(&mut self, unit: u32) {
        let at = self.now;
        let n = self.event(|n| {
            let mut reservation = reservation(n, 0, &[(unit, 1)]);
            reservation.at = at;
            reserved_as(n, reservation)
        });
        let mut state = State::Reserved;
        if *self.live.entry(unit).or_insert(n) != n {
            // Refused by the index; its units are quarantined, so the release that follows is not asked for.
            state = step(state, OrderEvent::Close(ReleaseReason::Refused)).unwrap().0;
            self.dead.insert(n);
        }
        let order = Order {
            state,
            unit,
            reserved_at: at,
            expires_at: None,
        };
        self.orders.insert(n, order);
    }

    fn release_all(&mut self) {
        for (of, reason) in std::mem::take(&mut self.releases) {
            self.event(|n| released(n, ticket(of), reason));
            let unit = self.orders[&of].unit;
            assert_eq!(self.live.remove(&unit), Some(of));
        }
    }

    /// Moves an order by `step` and does what it says; `None` if it refuses or there is no such order.
    fn step(&mut self, n: u64, event: OrderEvent) -> Option<&'static [OrderEffect]> {
        let now = self.now;
        let order = self.orders.get_mut(&n)?;
        let known = order.expires_at.is_some();
        let (state, effects) = step(order.state, event).ok()?;
        order.state = state;
        for effect in effects {
            let kind = match effect {
                OrderEffect::StartDeadline => {
                    order.expires_at = Some(now + TIMEOUT);
                    continue;
                }
                OrderEffect::HandOver => Kind::Handover,
                OrderEffect::FollowUp => Kind::Paid,
                OrderEffect::RefundDue => Kind::Refund,
                OrderEffect::Release(reason) => {
                    self.releases.insert(n, *reason);
                    if !known {
                        continue;
                    }
                    Kind::Closed
                }
            };
            *self.told.entry((kind, n)).or_default() += 1;
        }
        Some(effects)
    }

    /// The orders that a sweep takes: the `limit` oldest that `due` gives a time for.
    fn oldest(&self, limit: u32, due: impl Fn(&Order) -> Option<u64>) -> Vec<u64> {
        let mut found: Vec<(u64, u64)> = self
            .orders
            .iter()
            .filter_map(|(n, o)| due(o).map(|at| (at, *n)))
            .collect();
        found.sort_unstable();
        found.into_iter().take(limit as usize).map(|f| f.1).collect()
    }
}

async fn run(orders: &Orders, reference: &mut Reference, op: Op) {
    match op {
        Op::Restart => {}
        Op::Wait(ms) => reference.now += ms,
        Op::Reserve(units, release) => {
            let from = reference.events.len();
            if release {
                reference.release_all();
            }
            units.iter().for_each(|unit| reference.reserve(*unit));
            let applied = apply(orders, &reference.events[from..]).await;
            let new: Vec<u64> = applied.reserved.iter().map(|w| w.ticket.n).collect();
            let last = reference.events.len() as u64;
            let expected = reference.orders.range(from as u64 + 1..).map(|(n, _)| *n);
            let expected: Vec<u64> = expected.filter(|n| !reference.dead.contains(n)).collect();
            assert_eq!((new, applied.row.applied), (expected, last));
        }
        Op::Again(count) => {
            let from = reference.events.len().saturating_sub(count);
            let applied = apply(orders, &reference.events[from..]).await;
            assert!(applied.reserved.is_empty() && applied.released.is_empty() && applied.stall.is_none());
        }
        Op::Make(list) => {
            let want: Vec<_> = list.iter().map(|n| waiting(*n)).collect();
            let made = orders.make(&want, reference.now, TIMEOUT).await.unwrap();
            let made: Vec<u64> = made.iter().map(|m| m.ticket.n).collect();
            let mut expected = Vec::new();
            for n in list {
                if reference
                    .step(n, OrderEvent::Make)
                    .is_some_and(|effects| !effects.is_empty())
                {
                    expected.push(n);
                }
            }
            assert_eq!(made, expected);
        }
        Op::Pay { id, n } => pay(orders, reference, id, n).await,
        Op::Cancel(n) => {
            let before = reference.orders.get(&n).map(|o| o.state);
            let answer = orders.cancel(SHARD, ticket(n), reference.now).await.unwrap();
            let effects = reference.step(n, OrderEvent::Close(ReleaseReason::Cancelled));
            let expected = match (before, effects, reference.orders.get(&n).map(|o| o.state)) {
                (None, ..) => Cancelled::Unknown,
                (_, Some(effects), Some(State::Closed(reason))) => {
                    let again = effects.is_empty();
                    Cancelled::Closed { reason, again }
                }
                _ => Cancelled::Paid,
            };
            assert_eq!(answer, expected);
        }
        Op::Expire(limit) => {
            let now = reference.now;
            let closed = orders.expire(now, limit).await.unwrap();
            let due = |o: &Order| o.expires_at.filter(|at| o.state == State::Pending && *at <= now);
            sweep(reference, &closed, ReleaseReason::Unpaid, limit, due);
        }
        Op::Backlog { age, limit } => {
            let before = reference.now.saturating_sub(age);
            let closed = orders.close_backlog(before, reference.now, limit).await.unwrap();
            let due = |o: &Order| Some(o.reserved_at).filter(|at| o.state == State::Reserved && *at < before);
            sweep(reference, &closed, ReleaseReason::Backlog, limit, due);
        }
    }
}

/// The reference closes what the database chose, which must be the `limit` oldest that are `due`. Of equal
/// times any may come first.
fn sweep(
    reference: &mut Reference,
    closed: &[OrderRow],
    reason: ReleaseReason,
    limit: u32,
    due: impl Fn(&Order) -> Option<u64>,
) {
    let times = |list: &[u64]| {
        let mut times: Vec<_> = list.iter().map(|n| due(&reference.orders[n])).collect();
        times.sort_unstable();
        times
    };
    let closed: Vec<u64> = closed.iter().map(|o| o.ticket.n).collect();
    assert_eq!(times(&closed), times(&reference.oldest(limit, &due)));
    for n in closed {
        let effects = reference.step(n, OrderEvent::Close(reason));
        assert_eq!(effects, Some(&[OrderEffect::Release(reason)][..]), "order {n}");
    }
}

async fn pay(orders: &Orders, reference: &mut Reference, id: u8, n: u64) {
    let money = payment(orders, &format!("p{id}"), n, reference.now);
    let answer = orders.pay(&money).await.unwrap();
    let known = reference.payments.get(&id).copied();
    let refused = reference.dead.contains(&n);
    match (answer, known) {
        (PaymentOutcome::Paid(r), Some((of, refund))) => assert!(r.again && of == n && !refund),
        (PaymentOutcome::RefundDue(r), Some((of, refund))) => assert!(r.again && of == n && refund),
        (PaymentOutcome::Refused(PaymentRefusal::IdReused), Some((of, _))) => assert_ne!(of, n),
        (PaymentOutcome::Refused(PaymentRefusal::UnknownOrder), _) => {
            assert!(!reference.orders.contains_key(&n));
        }
        (answer, None) => {
            let effects = reference.step(n, OrderEvent::Pay { again: false });
            let (expected, refund) = match effects {
                None => (
                    matches!(answer, PaymentOutcome::Refused(PaymentRefusal::NotMade)),
                    None,
                ),
                Some([OrderEffect::FollowUp]) => (matches!(answer, PaymentOutcome::Paid(_)), Some(false)),
                Some(_) => (matches!(answer, PaymentOutcome::RefundDue(_)), Some(true)),
            };
            assert!(expected, "{answer:?} for {n} (refused: {refused})");
            if let Some(refund) = refund {
                reference.payments.insert(id, (n, refund));
            }
        }
        other => panic!("{other:?} for payment {id} of {n}"),
    }
}

async fn compare(orders: &Orders, reference: &Reference) {
    let mut rows = BTreeMap::new();
    let keep = |o: OrderRow| {
        rows.insert(o.ticket.n, (o.state, o.expires_at));
    };
    let recovered = orders.recover(keep).await.unwrap();
    let expected: BTreeMap<_, _> = reference
        .orders
        .iter()
        .map(|(n, o)| (*n, (o.state, o.expires_at)))
        .collect();
    assert_eq!(rows, expected);
    let releases: BTreeMap<_, _> = recovered
        .releases
        .iter()
        .map(|r| (r.ticket.n, r.reason))
        .collect();
    assert_eq!(releases, reference.releases);
    let mut live = BTreeMap::new();
    let keep = |_, _, unit, ticket: flashsale_core::event::TicketNo| {
        live.insert(unit, ticket.n);
    };
    orders.live_units(keep).await.unwrap();
    assert_eq!(live, reference.live);
    let mut payments = BTreeMap::new();
    let keep = |p: flashsale_orders::PaymentRow| {
        payments.insert(p.id[1..].parse().unwrap(), (p.ticket.n, p.refund_due));
    };
    orders.payments(keep).await.unwrap();
    assert_eq!(payments, reference.payments);
    let mut told = BTreeMap::new();
    let keep = |m: flashsale_orders::Message| {
        let payload: serde_json::Value = serde_json::from_str(&m.payload).unwrap();
        let (_, ticket) = orders.ticket_of(payload["orderId"].as_str().unwrap()).unwrap();
        *told.entry((m.kind, ticket.n)).or_default() += 1;
    };
    orders.messages(keep).await.unwrap();
    assert_eq!(told, reference.told);
    let dead: BTreeSet<u64> = orders
        .dead_events()
        .await
        .unwrap()
        .iter()
        .map(|d| d.event.n)
        .collect();
    assert_eq!(dead, reference.dead);
    totals(orders, reference).await;
}

async fn totals(orders: &Orders, reference: &Reference) {
    let totals = orders.totals().await.unwrap();
    let count =
        |which: fn(State) -> bool| reference.orders.values().filter(|o| which(o.state)).count() as u64;
    let item = totals.items[0];
    assert_eq!(item.reserved.units, count(|s| s == State::Reserved));
    assert_eq!(item.pending.units, count(|s| s == State::Pending));
    assert_eq!(item.paid.amount, 69_900 * count(|s| s == State::Paid));
    assert_eq!(item.closed.orders, count(|s| matches!(s, State::Closed(_))));
    assert_eq!(item.live_units, reference.live.len() as u64);
    assert_eq!(totals.accepted.0, item.paid.orders);
    assert_eq!(
        totals.accepted.0 + totals.refund_due.0,
        reference.payments.len() as u64
    );
}

/// Histories on each database.
const CASES: u32 = 48;

fn run_history(on: Backend, history: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let home = Home::new(on).await;
        let mut orders = home.open().await;
        let mut reference = Reference {
            now: 1000,
            ..Reference::default()
        };
        for op in history {
            if matches!(op, Op::Restart) {
                orders.close().await;
                orders = home.open().await;
                compare(&orders, &reference).await;
            }
            run(&orders, &mut reference, op).await;
        }
        compare(&orders, &reference).await;
        orders.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]
    #[test]
    fn every_history_has_the_outcome_of_the_reference(history in prop::collection::vec(op(), 1..60)) {
        run_history(Backend::Sqlite, history);
    }
}

#[test]
fn every_history_has_the_outcome_of_the_reference_on_postgresql() {
    // One server for all histories.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _server = runtime.block_on(shared_server());
    let config = ProptestConfig {
        cases: CASES,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let run = |history| {
        run_history(Backend::Postgres, history);
        Ok(())
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(op(), 1..60), run);
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}
