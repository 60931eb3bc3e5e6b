//! Sales that are sold out to simulated buyers.

use crate::common::{Ended, Place, Stock, adds_up, audit_on, ended_within, yaml};
use crate::servers::{options, servers};
use flashsale_servers::RealParts;
use serde_json::Value;
use std::time::Duration;

/// How long a sale may take on a busy machine.
const PLAYED_WITHIN: Duration = Duration::from_secs(240);

/// A sale and its crowd.
#[derive(Clone, Copy)]
pub(crate) struct Game<'a> {
    pub(crate) name: &'a str,
    pub(crate) items: &'a [Stock<'a>],
    pub(crate) databases: usize,
    pub(crate) buyers: u32,
    pub(crate) more: &'a [&'a str],
}

/// Plays a sale to its settlement: the directory, and the report.
async fn play(parts: &RealParts, game: Game<'_>) -> (Place, Value) {
    let place = Place::new(&yaml(game.name, game.items));
    let mut up = place.up();
    up.args([
        "--opens-in",
        "3s",
        // On a busy machine an order is seen seconds after it is made; who pays too late gives a unit back.
        "--payment-timeout",
        "12s",
        "--spread",
        "1s",
        // Units come back late where a busy machine makes orders slowly, and all have to be sold.
        "--patience",
        "40s",
        "--once",
    ]);
    up.args(["--shards", "8", "--buyers", &game.buyers.to_string()]);
    up.args(game.more).args(options(parts, game.databases));
    up.arg("--report").arg(place.path("report.json"));
    let played = ended_within(up, PLAYED_WITHIN).await;
    assert_eq!(
        played.code,
        Some(0),
        "{}: {}{}",
        game.name,
        played.out,
        played.err
    );
    let report = std::fs::read(place.path("report.json")).unwrap();
    (place, serde_json::from_slice(&report).unwrap())
}

/// Each item: sold, sellable, locked.
pub(crate) fn units(report: &Value) -> Vec<(u64, u64, u64)> {
    let items = report["items"].as_array().expect("a report with items");
    let at = |item: &Value, name: &str| item[name].as_u64().unwrap();
    items
        .iter()
        .map(|item| (at(item, "sold"), at(item, "sellable"), at(item, "locked")))
        .collect()
}

fn sold_out(items: &[Stock<'_>]) -> Vec<(u64, u64, u64)> {
    items.iter().map(|(_, stock)| (u64::from(*stock), 0, 0)).collect()
}

/// Plays a sale that must sell out, as its own audit and the one of `flashsale audit` say.
async fn sells_out(parts: &RealParts, game: Game<'_>) -> Value {
    let (place, report) = play(parts, game).await;
    let name = game.name;
    assert_eq!(report["audit"]["ok"], true, "{name}: {report:#}");
    assert_eq!(units(&report), sold_out(game.items), "{name}: {report:#}");
    assert_eq!(report["buyers"]["failed"], 0, "{name}: {report:#}");
    let (audited, again) = audit_on(&place.data(), &options(parts, game.databases)).await;
    let Ended { out, err, .. } = &audited;
    assert!(adds_up(&audited, &again), "{name}: {out}{err}");
    assert_eq!(again["items"], report["items"], "{name}");
    report
}

#[tokio::test]
async fn a_sale_of_several_items_sells_out_exactly_as_both_audits_say() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let items = [("phone", 700), ("case", 1_100), ("cable", 200)];
    let game = Game {
        name: "several",
        items: &items,
        databases: 2,
        buyers: 30_000,
        more: &[],
    };
    sells_out(&parts, game).await;
}

#[tokio::test]
async fn buyers_of_one_shard_get_the_units_of_all_shards() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let game = Game {
        name: "one-shard",
        items: &[("phone", 1_000)],
        databases: 2,
        buyers: 12_000,
        more: &["--skew", "one-shard"],
    };
    sells_out(&parts, game).await;
}

#[tokio::test]
async fn a_seeded_sale_sells_the_same_whether_its_orders_are_in_one_two_or_four_databases() {
    let servers = servers().await;
    let parts = servers.parts.read().await;
    let items = [("phone", 400), ("case", 300)];
    let mut outcomes = Vec::new();
    for databases in [1, 2, 4] {
        let game = Game {
            name: "databases",
            items: &items,
            databases,
            buyers: 9_000,
            more: &["--seed", "5"],
        };
        let report = sells_out(&parts, game).await;
        outcomes.push((report["items"].clone(), report["buyers"]["total"].clone()));
    }
    assert!(outcomes.windows(2).all(|two| two[0] == two[1]), "{outcomes:#?}");
}
