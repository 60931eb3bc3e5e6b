//! Sale files that can't be.

use crate::common::{Place, flashsale};
use crate::{refused, small_yaml};

/// Both `up` and `validate` refuse this file with these lines, and `up` makes no data directory.
async fn refused_file(yaml: &str, lines: &[&str]) {
    let place = Place::new(yaml);
    let mut up = place.up();
    up.arg("--trust-header");
    let told: Vec<String> = lines.iter().map(|line| format!("error: {line}")).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    refused(up, 2, &told).await;
    assert!(!place.data().exists(), "a refused file left a data directory");

    let mut validate = flashsale(["validate"]);
    validate.arg(place.sale());
    let told: Vec<String> = lines
        .iter()
        .map(|line| format!("error: *sale.yaml: {line}"))
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    refused(validate, 2, &told).await;
}

#[tokio::test]
async fn an_unknown_field_is_named_with_its_place_and_the_likely_word() {
    let yaml = small_yaml().replace("currency:", "curency:");
    refused_file(&yaml, &["*curency*currency*"]).await;
}

#[tokio::test]
async fn a_time_that_is_none_is_named_with_its_form() {
    let yaml = small_yaml().replace("\"2030-12-01T12:00:00Z\"", "tomorrow at noon");
    refused_file(&yaml, &["*spec.openTime*tomorrow at noon*"]).await;
}

#[tokio::test]
async fn nothing_in_stock_is_nothing_to_sell() {
    refused_file(
        &small_yaml().replace("stock: 10", "stock: 0"),
        &["*spec.items[0].stock*"],
    )
    .await;
}

#[tokio::test]
async fn a_price_has_no_more_decimals_than_its_currency() {
    refused_file(&small_yaml().replace("9.90", "9.905"), &["*spec.items[0].price*"]).await;
}

#[tokio::test]
async fn an_item_is_there_once() {
    let item = "    - {id: phone, title: \"again\", price: \"1.00\", stock: 1}\n  orders";
    refused_file(
        &small_yaml().replace("  orders", item),
        &["*spec.items[1].id*phone*"],
    )
    .await;
}

#[tokio::test]
async fn a_sale_closes_after_it_opens() {
    refused_file(
        &small_yaml().replace("12:30:00", "11:30:00"),
        &["*spec.closeTime*"],
    )
    .await;
}

#[tokio::test]
async fn several_mistakes_are_all_shown_at_once() {
    let yaml = small_yaml()
        .replace("stock: 10", "stock: 0")
        .replace("ratePerMinute: 600000", "ratePerMinute: -1")
        .replace("12:30:00", "11:30:00");
    let lines = [
        "*spec.closeTime*",
        "*spec.items[0].stock*",
        "*spec.orders.ratePerMinute*",
    ];
    refused_file(&yaml, &lines).await;
}

#[tokio::test]
async fn what_is_no_yaml_is_refused_with_the_place() {
    refused_file("a: [1, 2\nb: }", &["*line *"]).await;
    refused_file("", &["*"]).await;
}

#[tokio::test]
async fn a_missing_file_and_a_directory_instead_of_one_are_named() {
    let place = Place::new(&small_yaml());
    let missing = place.path("missing.yaml").display().to_string();
    let line = format!("error: {missing}: can't read it (No such file or directory (os error 2))");
    refused(flashsale(["up", &missing, "--trust-header"]), 2, &[&line]).await;
    refused(
        flashsale(["validate", &missing]),
        2,
        &["error: *missing.yaml*o such file*"],
    )
    .await;

    let dir = place.path("");
    let dir = dir.display().to_string();
    refused(
        flashsale(["up", &dir, "--trust-header"]),
        2,
        &["error: *can't read it (Is a directory*"],
    )
    .await;
    refused(flashsale(["validate", &dir]), 2, &["error: *s a directory*"]).await;
}

#[tokio::test]
async fn a_sale_that_does_not_say_who_its_buyers_are_is_refused_with_the_ways_out() {
    let place = Place::new(&small_yaml());
    refused(place.up(), 2, &["error: *spec.buyers*--trust-header*"]).await;
    assert!(!place.data().exists());
}
