//! The check of "sold out" answers, on made up sales.

use crate::soldout::{Free, Nanos, Purchases, SoldOut, Written};
use flashsale_core::event::{Change, Event, Record, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{Epoch, ItemIx, Keyring, OwnerId, SaleUid, ShardId};
use flashsale_core::units::UnitRange;

const MILLI: Nanos = 1_000_000;

fn event(n: u64, change: Change) -> Event {
    Event {
        n,
        made: Epoch(1),
        change,
    }
}

fn reserved(n: u64, unit: u32, at: u64) -> Event {
    let reservation = Reservation {
        buyer: Keyring::new(SaleUid(1)).buyer(&format!("b{n}")),
        buyer_id: format!("b{n}").into(),
        item: ItemIx(0),
        units: [UnitRange { first: unit, len: 1 }].into_iter().collect(),
        key: None,
        at,
        place: 1,
    };
    event(n, Change::Reserved(reservation))
}

fn released(n: u64, of: u64) -> Event {
    let ticket = TicketNo {
        made: Epoch(1),
        n: of,
    };
    event(
        n,
        Change::Released {
            ticket,
            reason: ReleaseReason::Unpaid,
        },
    )
}

fn registered(n: u64) -> Event {
    let buyer = Keyring::new(SaleUid(1)).buyer("r");
    event(n, Change::Registered { buyer })
}

/// One record for each event.
fn one_by_one(events: &[Event]) -> Written {
    let mut written = Written::default();
    for event in events {
        let record = Record::Batch {
            epoch: Epoch(1),
            owner: OwnerId(1),
            events: vec![event.clone()],
        };
        written.add(ShardId(0), &record);
    }
    written
}

fn told(asked_ms: Nanos, answered_ms: Nanos) -> SoldOut {
    SoldOut {
        buyer: "x".to_owned(),
        asked: asked_ms * MILLI,
        answered: answered_ms * MILLI,
    }
}

#[test]
fn sold_out_before_the_last_unit_is_taken_is_wrong_and_afterwards_it_is_right() {
    let events = [reserved(1, 0, 100), reserved(2, 1, 200)];
    let free = Free::new(2, &[events.to_vec()], &one_by_one(&events));
    let answers = [told(50, 90), told(150, 199), told(150, 200), told(250, 260)];
    assert_eq!(free.wronged(&answers, (0, 0)), [&answers[0], &answers[1]]);
}

#[test]
fn the_units_of_another_shard_count_too() {
    let events = vec![reserved(1, 0, 100)];
    let written = one_by_one(&events);
    let free = Free::new(2, &[events, Vec::new()], &written);
    assert_eq!(free.wronged(&[told(500, 600)], (0, 0)).len(), 1);
}

#[test]
fn a_released_unit_is_surely_free_only_once_a_later_decision_shows_it() {
    // Both units come back, and one of them is taken at 300 by somebody who could see that.
    let events = [
        reserved(1, 0, 100),
        reserved(2, 1, 110),
        released(3, 1),
        released(4, 2),
        registered(5),
        reserved(6, 1, 300),
    ];
    let lists = [events.to_vec()];
    let free = Free::new(2, &lists, &one_by_one(&events));
    let answers = [told(150, 250), told(150, 350), told(302, 350)];
    assert_eq!(free.wronged(&answers, (0, 0)), [&answers[2]]);
    // In one and the same record nobody knows which came first for those who look.
    let mut together = Written::default();
    let record = Record::Batch {
        epoch: Epoch(1),
        owner: OwnerId(1),
        events: events.to_vec(),
    };
    together.add(ShardId(0), &record);
    let free = Free::new(2, &lists, &together);
    assert!(free.wronged(&answers, (0, 0)).is_empty());
}

#[test]
fn doubt_about_the_clocks_never_accuses() {
    let events = [reserved(1, 0, 200)];
    let free = Free::new(1, &[events.to_vec()], &one_by_one(&events));
    assert_eq!(free.wronged(&[told(100, 199)], (0, 0)).len(), 1);
    assert!(free.wronged(&[told(100, 199)], (0, 2 * MILLI)).is_empty());
}

#[test]
fn the_clocks_difference_follows_from_reservations_and_the_history_from_its_lines() {
    let history = r#"{"op":"purchase","type":"invoke","buyer":"b1","req":"k","ticket":"","state":"","mono_ns":1000000}
{"op":"purchase","type":"ok","buyer":"b1","req":"k","ticket":"t","state":"queued","mono_ns":5000000}
{"op":"purchase","type":"invoke","buyer":"b2","req":"k2","ticket":"","state":"","mono_ns":6000000}
{"op":"purchase","type":"invoke","buyer":"b2","req":"k2","ticket":"","state":"","mono_ns":7000000}
{"op":"purchase","type":"fail","buyer":"b2","req":"k2","ticket":"","state":"sold-out","mono_ns":8000000}
{"op":"purchase","type":"fail","buyer":"b2","req":"k2","ticket":"","state":"sold-out","mono_ns":9000000}
{"op":"purchase","type":"invoke","buyer":"b2","req":"k2","ticket":"","state":"","mono_ns":10000000}
{"op":"purchase","type":"fail","buyer":"b2","req":"k2","ticket":"","state":"sale-closed","mono_ns":11000000}
{"op":"poll","type":"fail","buyer":"b1","req":"","ticket":"t","state":"sold-out","mono_ns":12000000}
"#;
    let purchases = Purchases::read(history);
    let spans: Vec<_> = purchases
        .sold_out
        .iter()
        .map(|s| (s.asked / MILLI, s.answered / MILLI))
        .collect();
    assert_eq!(spans, [(6, 8), (6, 9)]);
    // Asked at 1 ms and answered at 5 ms of the crowd, decided in the 103rd ms of the server.
    let offset = purchases.offset(&[vec![reserved(1, 0, 103)]]);
    assert_eq!(offset, (98 * MILLI, 103 * MILLI));
}
