//! The view as a person sees it, at the sizes that matter.
#![allow(missing_docs, clippy::unwrap_used)]

use flashsale_screen::live::{Funnel, Live, LiveItem, LiveLatency, LiveQueue, LiveShard, Rates};
use flashsale_screen::{CrowdProgress, Quantiles, Snapshot, Theme, Trend, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

fn sale(items: u64, shards: u16) -> Snapshot {
    let item = |i: u64| LiveItem {
        id: format!("item-{i}"),
        title: [
            "Phone 15, black",
            "Phone 15, white",
            "手机 15 黑色",
            "A very long title that nobody can read in full",
        ][i as usize % 4]
            .to_owned(),
        stock: 10_000_u64.saturating_sub(i * 100),
        sellable: 2_669_u64.saturating_sub(i * 100),
        in_transfer: if i == 1 { 200 } else { 0 },
        locked: 3_120 - if i == 1 { 200 } else { 0 },
        sold: 4_211,
        waiting: 12,
    };
    let shard = |id: u16| LiveShard {
        id,
        epoch: 1 + u32::from(id == 3),
        state: if id == 3 { "Recovering" } else { "Open" }.to_owned(),
        next: 1_001,
        promised: 1_000,
        applied: 900,
        free: 1_250 + u64::from(id),
        open: true,
    };
    let live = Live {
        sale: "phone-launch".to_owned(),
        namespace: "shop".to_owned(),
        phase: "Open".to_owned(),
        now_ms: 1_796_126_403_100,
        open_time_ms: 1_796_126_400_000,
        close_time_ms: 1_796_126_700_000,
        items: (0..items).map(item).collect(),
        funnel: Funnel {
            requests: 1_234_567,
            attempts: 623_000,
            won: 29_331,
            sold_out: 490_123,
            duplicate: 3_021,
            limited: 12,
            not_open: 9_876,
            busy: 3,
            failed: 0,
            reserved: 29_300,
            ordered: 21_000,
            paid: 12_633,
            closed: 310,
            refund_due: 2,
        },
        rates: Rates {
            requests_per_second: 74_210.4,
            won_per_second: 9_210.0,
            orders_per_second: 8_011.0,
        },
        queue: LiveQueue {
            waiting: 12_400,
            oldest_seconds: 3.21,
            rate_per_minute: 480_660,
        },
        shards: (0..shards).map(shard).collect(),
        latency_ms: LiveLatency {
            p50: 0.42,
            p99: 7.96,
            p999: 21.4,
        },
        ..Live::default()
    };
    let crowd = CrowdProgress {
        total: 500_000,
        arrived: 320_000,
        won: 29_331,
        sold_out: 280_000,
        limited: 12,
        failed: 3,
        paid: 12_633,
        latency_ms: Quantiles {
            p50: 1.9,
            p99: 48.2,
            p999: 1_250.0,
        },
        ..CrowdProgress::default()
    };
    Snapshot {
        live,
        crowd: Some(crowd),
    }
}

fn trend(live: &Live) -> Trend {
    let mut trend = Trend::default();
    for i in 0..60 {
        let mut past = live.clone();
        past.now_ms += i;
        past.rates.requests_per_second = 1_200.0 * i as f64;
        past.rates.won_per_second = 9_000.0 - 140.0 * i as f64;
        past.rates.orders_per_second = 8_000.0;
        trend.add(&past);
    }
    trend
}

fn terminal(snapshot: Option<&Snapshot>, width: u16, height: u16, color: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let trend = snapshot.map(|s| trend(&s.live)).unwrap_or_default();
    terminal
        .draw(|frame| draw(frame, snapshot, &trend, Theme { color }))
        .unwrap();
    terminal
}

fn screen(snapshot: Option<&Snapshot>, width: u16, height: u16) -> String {
    terminal(snapshot, width, height, true).backend().to_string()
}

#[test]
fn a_small_terminal_shows_everything_that_matters() {
    insta::assert_snapshot!(screen(Some(&sale(3, 8)), 80, 24));
}

#[test]
fn a_large_terminal_uses_its_room() {
    insta::assert_snapshot!(screen(Some(&sale(3, 8)), 120, 40));
}

#[test]
fn many_items_and_shards_are_folded_with_trouble_in_front() {
    insta::assert_snapshot!("many_80x24", screen(Some(&sale(20, 64)), 80, 24));
    insta::assert_snapshot!("many_120x40", screen(Some(&sale(20, 64)), 120, 40));
}

#[test]
fn before_the_opening_there_is_a_countdown_and_without_a_crowd_there_are_no_buyers() {
    let mut snapshot = sale(1, 1);
    snapshot.crowd = None;
    snapshot.live.phase = "Armed".to_owned();
    snapshot.live.now_ms = snapshot.live.open_time_ms - 12_345;
    insta::assert_snapshot!(screen(Some(&snapshot), 80, 24));
}

#[test]
fn broken_promises_are_the_first_thing_to_be_read() {
    let mut snapshot = sale(1, 1);
    snapshot.crowd.as_mut().unwrap().violations = 3;
    let text = screen(Some(&snapshot), 80, 24);
    assert!(
        text.lines()
            .any(|l| l.trim_matches('"').starts_with("─ Buyers ─ 3 BROKEN PROMISES ")),
        "{text}"
    );
}

#[test]
fn without_colour_no_cell_has_one() {
    let colours = |color| {
        let terminal = terminal(Some(&sale(3, 8)), 80, 24, color);
        let cells = terminal.backend().buffer().content().to_vec();
        cells
            .iter()
            .filter(|c| c.fg != Color::Reset || c.bg != Color::Reset)
            .count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 50);
}

#[test]
fn no_size_and_no_emptiness_makes_it_fail() {
    for (width, height) in [(1, 1), (20, 5), (40, 10), (79, 23), (110, 24), (300, 100)] {
        for snapshot in [
            None,
            Some(Snapshot::default()),
            Some(sale(1, 1)),
            Some(sale(50, 4_096)),
        ] {
            screen(snapshot.as_ref(), width, height);
        }
    }
}

#[test]
fn live_json_of_the_api_is_read_and_written_with_the_same_names() {
    let text = r#"{"sale":"phone-launch","namespace":"shop","phase":"Open","nowMs":1,"openTimeMs":2,"closeTimeMs":3,
     "items":[{"id":"a","title":"A","stock":10,"sellable":1,"inTransfer":4,"locked":2,"sold":3,"waiting":4}],
     "funnel":{"requests":1,"attempts":2,"won":3,"soldOut":4,"duplicate":5,"limited":6,"notOpen":7,"busy":8,"failed":9,
               "reserved":10,"ordered":11,"paid":12,"closed":13,"refundDue":14},
     "rates":{"requestsPerSecond":1.5,"wonPerSecond":2.5,"ordersPerSecond":3.5},
     "queue":{"waiting":1,"oldestSeconds":0.5,"ratePerMinute":2},
     "shards":[{"id":0,"epoch":1,"state":"Open","next":1,"promised":2,"applied":3,"free":4,"open":true}],
     "latencyMs":{"p50":0.5,"p99":1.5,"p999":2.5},
     "loaded":true,"amendmentsRevision":7,"amendmentsRefused":["too late"],"switchesRevision":5,
     "switches":[]}"#;
    let live: Live = serde_json::from_str(text).unwrap();
    let given: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&live).unwrap(), given);
    assert_eq!(serde_json::from_str::<Live>("{}").unwrap(), Live::default());
}
