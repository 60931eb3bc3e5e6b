use super::*;
use crate::control::tests::sale;
use proptest::prelude::*;
use serde_json::json;

/// A sale of 10 phones, which closes at 1,000.
fn phones() -> Sale {
    let mut phones = sale(1);
    (phones.opens, phones.closes, phones.items[0].stock) = (100, 1_000, 10);
    phones
}

fn amendments(json: serde_json::Value) -> Amendments {
    serde_json::from_value(json).unwrap()
}

fn grant(id: u32, units: u32) -> serde_json::Value {
    json!({"id": id, "item": "phone", "units": units})
}

#[test]
fn a_later_end_and_more_stock_are_taken_once_and_an_earlier_end_is_refused() {
    let sale = phones();
    let first = amendments(json!({
        "revision": 2, "closeTime": "1970-01-01T00:00:02Z", "grants": [grant(2, 5)], "ratePerMinute": 7,
    }));
    let taken = Amended::default().take(&sale, &first, 500, false).unwrap();
    assert_eq!(
        (taken.closes, taken.rate_per_minute, taken.granted(ItemIx(0))),
        (2_000, Some(7), 5)
    );
    assert_eq!(taken.grants[0].first, 10);
    assert!(taken.refused.is_empty());
    assert_eq!(taken.take(&sale, &first, 500, false), None, "the same again");
    let later = amendments(json!({
        "revision": 3, "closeTime": "1970-01-01T00:00:01Z", "grants": [grant(2, 5), grant(3, 1), grant(2, 6)],
    }));
    let taken = taken.take(&sale, &later, 1_500, false).unwrap();
    assert_eq!(
        (taken.closes, taken.granted(ItemIx(0)), taken.rate_per_minute),
        (2_000, 6, Some(7))
    );
    assert_eq!(taken.grants[1].first, 15);
    assert_eq!(taken.refused.len(), 2, "{:?}", taken.refused);
    assert_eq!(
        (taken.of(&sale).closes, taken.of(&sale).items[0].stock),
        (2_000, 16)
    );
    assert_eq!(Amended::read(&taken.text()).unwrap(), taken);
    assert_eq!(Amended::read("").unwrap(), Amended::default());
}

#[test]
fn what_comes_after_the_end_is_too_late_but_a_sale_can_still_be_called_off() {
    let late = amendments(json!({
        "revision": 2, "closeTime": "1970-01-01T00:00:02Z", "grants": [grant(2, 5)],
        "cancellation": {"reason": "a fire", "unpaidOrders": "Close"},
    }));
    for (now, over) in [(1_000, false), (500, true)] {
        let taken = Amended::default().take(&phones(), &late, now, over).unwrap();
        assert_eq!((taken.closes, taken.grants.len(), taken.refused.len()), (0, 0, 2));
        assert!(taken.closes_unpaid());
    }
}

#[test]
fn wrong_grants_are_refused_by_name() {
    let wrong = amendments(json!({"revision": 2, "grants": [
        {"id": 1, "item": "phone", "units": 1}, {"id": 2, "item": "case", "units": 1},
        {"id": 2, "item": "phone", "units": 0}, {"id": 3, "item": "phone", "units": u32::MAX},
    ]}));
    let taken = Amended::default().take(&phones(), &wrong, 500, false).unwrap();
    assert_eq!(
        (taken.grants.len(), taken.refused.len()),
        (0, 4),
        "{:?}",
        taken.refused
    );
}

proptest! {
    #[test]
    fn granted_units_are_each_in_one_shard_once_and_none_is_a_declared_one(
        grants in prop::collection::vec(1..50_u32, 1..6), shards in 1..9_u16,
    ) {
        let (sale, mut taken) = (phones(), Amended::default());
        for (id, units) in (2..).zip(&grants) {
            let next = amendments(json!({"revision": id, "grants": [grant(id, *units)]}));
            taken = taken.take(&sale, &next, 500, false).unwrap();
        }
        let mut all: Vec<u32> = (0..shards)
            .flat_map(|shard| taken.loads(ShardId(shard), shards).collect::<Vec<_>>())
            .flat_map(|(_, _, units)| units.iter())
            .collect();
        all.sort_unstable();
        prop_assert_eq!(all, (10..taken.of(&sale).items[0].stock).collect::<Vec<_>>());
    }
}
