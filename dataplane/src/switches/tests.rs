use super::*;
use flashsale_crds::Switches;
use proptest::prelude::*;
use serde_json::{Value, json};

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Class),
        Just(Source::Spec),
        Just(Source::FlashSaleSwitch),
        Just(Source::BreakGlass),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let switch = prop_oneof![Just("sale.paused"), Just("orders.hold"), Just("entry.soldOut")];
    let name = prop::option::of("[ab]");
    let expires = prop::option::of(0..20_u64);
    (switch, any::<bool>(), source(), name, 0..4_u64, expires).prop_map(
        |(switch, value, source, name, since_ms, expires_ms)| Entry {
            switch: switch.to_owned(),
            value: value.into(),
            source,
            name,
            reason: None,
            actor: None,
            since_ms,
            expires_ms,
        },
    )
}

fn kept() -> impl Strategy<Value = Kept> {
    let entries = || prop::collection::vec(entry(), 0..5);
    (0..4_u64, entries(), entries()).prop_map(|(revision, entries, glass)| Kept {
        document: Document { revision, entries },
        glass: glass
            .into_iter()
            .map(|e| Entry {
                source: Source::BreakGlass,
                ..e
            })
            .collect(),
    })
}

proptest! {
    #[test]
    fn the_winner_counts_and_nothing_that_counts_overrules_it(entries in prop::collection::vec(entry(), 0..12), now in 0..25_u64) {
        let winners = in_force(&entries, now);
        for entry in entries.iter().filter(|e| e.counts(now)) {
            let winner = winners[entry.switch.as_str()];
            prop_assert!(winner.counts(now));
            prop_assert!(winner.source >= entry.source);
            prop_assert!(winner.source > entry.source || winner.since_ms >= entry.since_ms);
        }
        for (switch, winner) in &winners {
            prop_assert_eq!(*switch, winner.switch.as_str());
            prop_assert!(entries.contains(winner));
        }
    }

    #[test]
    fn the_order_in_which_entries_are_known_decides_nothing(
        (entries, shuffled) in prop::collection::vec(entry(), 0..12).prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())),
        now in 0..25_u64,
    ) {
        let rank = |e: &Entry| (e.source, e.since_ms, e.name.clone(), e.expires_ms);
        let (one, other) = (in_force(&entries, now), in_force(&shuffled, now));
        prop_assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
        for (switch, winner) in &one {
            prop_assert_eq!(rank(winner), rank(other[switch]));
        }
    }

    #[test]
    fn a_board_that_only_ticks_shows_what_one_that_hears_it_anew_shows(kept in kept(), times in prop::collection::vec(0..25_u64, 1..6)) {
        let mut times = times;
        times.sort_unstable();
        let board = Switchboard::default();
        board.merge(kept.clone(), times[0]);
        for now in times {
            board.tick(now);
            let fresh = Switchboard::default();
            fresh.merge(kept.clone(), now);
            let (shown, anew) = (board.in_force(), fresh.in_force());
            if kept.document.revision > 0 {
                prop_assert_eq!((&shown.all, board.door()), (&anew.all, fresh.door()));
            }
        }
    }

    #[test]
    fn in_whatever_order_documents_come_the_highest_revision_and_all_glass_is_kept(
        (all, shuffled) in prop::collection::vec(kept(), 1..5).prop_flat_map(|k| (Just(k.clone()), Just(k).prop_shuffle())),
    ) {
        let merged = |list: Vec<Kept>| {
            let mut into = Kept::default();
            for one in list {
                into.merge(one, 0);
            }
            into
        };
        let (one, other) = (merged(all.clone()), merged(shuffled));
        prop_assert_eq!(one.document.revision, all.iter().map(|k| k.document.revision).max().unwrap_or(0));
        prop_assert_eq!(one.document.revision, other.document.revision);
        prop_assert_eq!(&one.glass, &other.glass);
        prop_assert!(!one.clone().merge(one.clone(), 0), "the same again is no news");
    }
}

fn one(switch: &str, value: Value) -> Entry {
    Entry {
        switch: switch.to_owned(),
        value,
        source: Source::Spec,
        name: None,
        reason: None,
        actor: None,
        since_ms: 0,
        expires_ms: None,
    }
}

fn board(entries: Vec<Entry>) -> Switchboard {
    let board = Switchboard::default();
    let revision = 1;
    assert!(board.declare(Document { revision, entries }, 0));
    board
}

#[test]
fn a_declaration_becomes_one_entry_for_each_leaf_and_every_leaf_is_known() {
    let all = json!({
        "sale": {"paused": true}, "entry": {"soldOut": true, "hideURL": true, "challenge": "ProofOfWork", "rateLimit": 7},
        "stock": {"engine": "Embedded"}, "orderLog": {"bypass": true},
        "orders": {"ratePerMinute": 8, "flow": "Direct", "hold": true}, "pages": {"static": true},
        "followUps": {"paused": true}, "rooms": {"drained": ["a"]},
    });
    let switches: Switches = serde_json::from_value(all).unwrap();
    let entries = entries(&switches, &one("", Value::Null));
    assert_eq!(entries.len(), 13);
    let board = board(entries);
    let force = board.in_force();
    assert!(force.paused && force.sold_out && force.hold && force.follow_ups_paused && force.only_static);
    assert_eq!((force.rate_limit, force.orders_per_minute), (Some(7), Some(8)));
    assert_eq!(board.door().limit(), Some(7));
    let idle: Vec<&str> = force
        .all
        .iter()
        .filter(|s| !s.effective)
        .map(|s| &*s.entry.switch)
        .collect();
    assert_eq!(
        idle,
        [
            "entry.challenge",
            "entry.hideURL",
            "orderLog.bypass",
            "orders.flow",
            "stock.engine"
        ]
    );
    for shown in &force.all {
        assert_eq!(shown.note.is_none(), shown.effective);
        assert_ne!(
            shown.note.as_deref(),
            Some("this version doesn't know the switch")
        );
    }
}

#[test]
fn what_cant_be_understood_is_shown_and_has_no_effect() {
    let board = board(vec![
        one("sale.paused", json!("yes")),
        one("sale.magic", json!(true)),
    ]);
    let force = board.in_force();
    assert!(!force.paused && force.all.iter().all(|s| !s.effective && s.note.is_some()));
    assert!(!board.door().shut());
}

#[test]
fn a_switch_that_expires_gives_way_to_what_it_overruled() {
    let newest = Entry {
        source: Source::FlashSaleSwitch,
        expires_ms: Some(10),
        ..one("sale.paused", json!(false))
    };
    let board = board(vec![one("sale.paused", json!(true)), newest]);
    assert!(!board.door().paused());
    assert!(!board.tick(9) && !board.door().paused());
    assert!(board.tick(10) && board.door().paused());
    assert_eq!(board.in_force().all[0].source(), Source::Spec);
    assert!(!board.tick(11), "nothing else expires");
}
