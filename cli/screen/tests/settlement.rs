//! The settlement as it is printed.
#![allow(missing_docs, clippy::unwrap_used)]

use flashsale_screen::report::{Audit, Check, Report, ReportBuyers, ReportItem, ReportLatency};
use flashsale_screen::settlement;

fn report() -> Report {
    let item = |id: &str, title: &str, stock, sold, revenue: &str| ReportItem {
        id: id.to_owned(),
        title: title.to_owned(),
        stock,
        sellable: 0,
        locked: stock - sold,
        sold,
        revenue: revenue.to_owned(),
    };
    let check = |detail: &str| Check {
        ok: true,
        detail: detail.to_owned(),
        offenders: Vec::new(),
    };
    let checks = [
        (
            "never-oversold",
            check("100,000 units, 100,000 orders, none shared"),
        ),
        (
            "no-acknowledged-loss",
            check("100,000 reserved tickets shown, all have an order"),
        ),
        ("same-key-same-ticket", check("15,201 repeats")),
    ];
    Report {
        sale: "phone-launch".to_owned(),
        uid: "9d3f".to_owned(),
        seed: 7,
        audit: Audit {
            ok: true,
            checks: checks.into_iter().map(|(n, c)| (n.to_owned(), c)).collect(),
        },
        items: vec![
            item("phone-15-black", "Phone 15, black", 60_000, 57_311, "40060389.00"),
            item("phone-15-white", "", 40_000, 38_000, "26562000.00"),
        ],
        buyers: ReportBuyers {
            total: 500_000,
            won: 101_200,
            sold_out: 398_790,
            duplicate: 0,
            limited: 10,
            failed: 0,
        },
        latency_ms: ReportLatency {
            p50: 1.9,
            p99: 48.2,
            p999: 210.0,
            max: 1_250.0,
        },
        seconds_to_sold_out: Some(3.914),
        seconds_to80_percent: Some(1.21),
        orders_per_second: 25_549.4,
        shards: 8,
        duration_seconds: 21.4,
    }
}

fn widest(text: &str) -> usize {
    text.lines().map(|l| l.chars().count()).max().unwrap()
}

#[test]
fn a_sale_that_went_well_is_settled_in_one_screen() {
    let text = settlement(&report());
    assert!(widest(&text) <= 80);
    assert!(text.ends_with("audit: ok\n"));
    insta::assert_snapshot!(text);
}

#[test]
fn what_failed_is_named_with_the_offending_units() {
    let mut report = report();
    report.audit.ok = false;
    report.seconds_to_sold_out = None;
    let check = report.audit.checks.get_mut("never-oversold").unwrap();
    check.ok = false;
    check.detail =
        "2 units have more than one living order, which is more than can be explained in one line".to_owned();
    check.offenders = (0..12)
        .map(|i| format!("phone-15-black shard 3 unit {i}: orders o-{i}, o-{}", i + 90))
        .collect();
    let text = settlement(&report);
    assert!(widest(&text) <= 80);
    assert!(text.ends_with("audit: FAILED (1 check)\n"));
    assert!(!text.contains('…'), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn without_simulated_buyers_nothing_is_said_about_them() {
    let report = Report {
        buyers: ReportBuyers::default(),
        duration_seconds: 0.0,
        ..report()
    };
    let text = settlement(&report);
    assert!(
        !text.contains("Buyers") && !text.contains("seed") && !text.contains("Orders"),
        "{text}"
    );
    assert!(
        text.contains("8 shards") && text.ends_with("audit: ok\n"),
        "{text}"
    );
}

#[test]
fn a_verdict_of_failed_without_a_failed_check_is_not_called_ok() {
    let mut report = report();
    report.audit.ok = false;
    assert!(settlement(&report).contains("audit: FAILED (0 checks)"));
}

#[test]
fn many_items_and_wide_titles_stay_within_80_columns_and_add_up() {
    let mut report = report();
    for i in 0..100u64 {
        report.items.push(ReportItem {
            id: format!("item-{i}"),
            title: "An item with a title much longer than any table has room for".to_owned(),
            stock: 1_000_000,
            sold: 1_000_000,
            revenue: "999999999.99".to_owned(),
            ..ReportItem::default()
        });
    }
    let text = settlement(&report);
    assert!(widest(&text) <= 80, "{text}");
    assert!(text.contains("63 more items"), "{text}");
    assert!(text.contains("100,100,000"), "{text}");
    assert!(text.contains("100,066,622,388.00"), "{text}");
}

#[test]
fn a_report_keeps_its_names_in_json() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["secondsTo80Percent"], 1.21);
    assert_eq!(json["latencyMs"]["p999"], 210.0);
    assert_eq!(json["buyers"]["soldOut"], 398_790);
    assert_eq!(
        json["audit"]["checks"]["never-oversold"]["offenders"],
        serde_json::json!([])
    );
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
}
