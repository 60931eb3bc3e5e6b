//! Whole sales with simulated buyers, on few and many shards, for buyers who fall evenly on them and for buyers
//! who don't: all stock is sold, everything adds up, and nobody was told "sold out" while a unit was free.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground breaks away")]

#[path = "../common/mod.rs"]
mod common;
mod soldout;
mod soldout_tests;

use common::evidence::AtRest;
use common::{Place, adds_up, audit, ended, yaml};
use flashsale_core::event;
use flashsale_core::ids::ShardId;
use flashsale_dataplane::sale::Sale;
use soldout::{Free, Purchases, SoldOut, Written};
use std::path::Path;

const STOCK: u32 = 600;
const BUYERS: u32 = 3_000;

/// All that the check of one sale's "sold out" answers needs.
struct Told {
    purchases: Purchases,
    free: Free,
    offset: (soldout::Nanos, soldout::Nanos),
}

impl Told {
    async fn read(place: &Place) -> Self {
        let rest = AtRest::read(&place.data()).await;
        let written = written(&place.data(), &rest.sale);
        let history = std::fs::read_to_string(place.path("history.jsonl")).unwrap();
        let purchases = Purchases::read(&history);
        let offset = purchases.offset(&rest.evidence.events);
        let known = offset.0 > soldout::Nanos::MIN && offset.1 < soldout::Nanos::MAX;
        assert!(known, "no reservation in the log is of a buyer in the history");
        assert!(
            offset.0 <= offset.1,
            "a clock was set during the sale: {offset:?}"
        );
        let free = Free::new(STOCK, &rest.evidence.events, &written);
        Self {
            purchases,
            free,
            offset,
        }
    }

    fn wronged(&self) -> Vec<&SoldOut> {
        self.free.wronged(&self.purchases.sold_out, self.offset)
    }
}

fn written(data: &Path, sale: &Sale) -> Written {
    let (reader, _) = flashsale_journal::read_closed(data.join("journal")).unwrap();
    let mut written = Written::default();
    for committed in reader {
        let committed = committed.unwrap();
        let shard = ShardId(committed.partition);
        let record = event::decode(sale.uid, shard, &committed.record).unwrap();
        written.add(shard, &record);
    }
    written
}

/// Plays a whole sale and checks it.
async fn play(shards: u16, skew: &str) -> (Place, Told) {
    let place = Place::new(&yaml("matrix", &[("phone", STOCK)]));
    let mut up = place.up();
    up.args([
        "--opens-in",
        "1s",
        "--payment-timeout",
        "2s",
        "--spread",
        "1s",
        "--once",
    ]);
    up.args([
        "--shards",
        &shards.to_string(),
        "--skew",
        skew,
        "--seed",
        &shards.to_string(),
    ]);
    up.args(["--buyers", &BUYERS.to_string()]);
    up.arg("--report").arg(place.path("report.json"));
    up.arg("--history").arg(place.path("history.jsonl"));
    let case = format!("{shards} shards, {skew}");
    let played = ended(up).await;
    assert_eq!(played.code, Some(0), "{case}: {}{}", played.out, played.err);

    let report = std::fs::read(place.path("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["audit"]["ok"], true, "{case}: {report:#}");
    let item = &report["items"][0];
    let at = |name: &str| item[name].as_u64().unwrap();
    assert_eq!(
        (at("sold"), at("sellable"), at("locked")),
        (u64::from(STOCK), 0, 0),
        "{case}: {report:#}"
    );
    assert_eq!(report["buyers"]["failed"], 0, "{case}: {report:#}");
    let (audited, again) = audit(&place.data()).await;
    assert!(
        adds_up(&audited, &again),
        "{case}: {}{}",
        audited.out,
        audited.err
    );

    let told = Told::read(&place).await;
    let (answers, wronged) = (told.purchases.sold_out.len(), told.wronged());
    println!(
        "{case}: {answers} told \"sold out\", clocks known to {} µs",
        (told.offset.1 - told.offset.0) / 1_000
    );
    assert!(answers > 0, "{case}: nobody was told anything");
    assert!(
        wronged.is_empty(),
        "{case}: told \"sold out\" while a unit was free: {wronged:?}"
    );
    (place, told)
}

async fn play_all_skews(shards: u16) {
    tokio::join!(
        play(shards, "uniform"),
        play(shards, "zipf"),
        play(shards, "one-shard")
    );
}

#[tokio::test]
async fn one_shard_sells_all_its_stock_and_tells_nobody_so_too_early() {
    play_all_skews(1).await;
}

#[tokio::test]
async fn eight_shards_sell_all_their_stock_whoever_comes_where() {
    play_all_skews(8).await;
}

#[tokio::test]
async fn sixty_four_shards_with_few_units_each_sell_all_their_stock_whoever_comes_where() {
    play_all_skews(64).await;
}

/// The same evidence accuses a server that says "sold out" before the last unit is taken.
#[tokio::test]
async fn the_check_finds_an_answer_that_came_too_early_in_a_real_sale() {
    let (_place, told) = play(3, "uniform").await;
    let gone = told.free.none_since().expect("all was taken");
    let mut early = told.purchases.sold_out[0].clone();
    // Answered just before the last unit was taken, whatever the clocks' difference is.
    early.answered = gone - told.offset.1 - 1;
    early.asked = early.answered - 1_000_000;
    assert_eq!(
        told.free.wronged(std::slice::from_ref(&early), told.offset),
        [&early]
    );
    // The same answer a moment later is fine.
    early.answered = gone - told.offset.0;
    assert!(told.free.wronged(&[early], told.offset).is_empty());
}
