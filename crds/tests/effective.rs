//! What a sale means once every open field is filled in.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::{net::IpAddr, path::Path};

use flashsale_crds::{
    BacklogPolicy, EffectiveBuyers, EffectiveHandover, EffectiveSale, EmbeddedDefaults, FlashSale,
    FlashSaleSpec, FollowUpEvent, JwksSource, OrderFlow, effective,
};

fn sale(path: &str) -> FlashSale {
    FlashSale::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn filled_in(path: &str) -> EffectiveSale {
    effective(&sale(path).spec, &EmbeddedDefaults::default()).unwrap()
}

fn why(sale: &EffectiveSale, path: &str) -> Option<String> {
    sale.filled
        .iter()
        .find(|filled| filled.path == path)
        .map(|filled| filled.value.clone())
}

#[test]
fn the_least_sale_gets_every_default_and_says_so() {
    let sale = filled_in("../examples/phone-launch.yaml");
    assert_eq!(
        (sale.open_ms, sale.close_ms),
        (1_922_356_800_000, 1_922_358_600_000)
    );
    let item = &sale.items[0];
    assert_eq!((item.stock, item.limit, item.price.minor()), (10_000, 1, 69_900));
    assert_eq!((sale.orders.rate_per_minute, sale.shards), (10_000, 1));
    assert_eq!(sale.orders.payment_timeout.millis(), 15 * 60_000);
    assert_eq!(sale.orders.backlog_after.millis(), 2 * 60_000);
    assert_eq!(
        (sale.orders.backlog_policy, sale.orders.flow),
        (BacklogPolicy::Hold, OrderFlow::Queue)
    );
    assert_eq!(why(&sale, "spec.orders.paymentTimeout").as_deref(), Some("15m"));
    assert_eq!(why(&sale, "spec.items[0].limitPerBuyer").as_deref(), Some("1"));
    assert_eq!(why(&sale, "spec.dataPlane.shards").as_deref(), Some("1"));
}

#[test]
fn nobody_is_believed_when_neither_sale_nor_defaults_say_who() {
    assert_eq!(filled_in("../examples/phone-launch.yaml").buyers, None);
}

#[test]
fn development_believes_this_machine_only() {
    let defaults = EmbeddedDefaults {
        buyers: Some(EffectiveBuyers::development()),
        ..EmbeddedDefaults::default()
    };
    let sale = effective(&sale("../examples/phone-launch.yaml").spec, &defaults).unwrap();
    let Some(EffectiveBuyers::TrustedHeader { name, from }) = &sale.buyers else {
        panic!("{:?}", sale.buyers)
    };
    let believes = |address: &str| {
        from.iter()
            .any(|network| network.contains(&address.parse::<IpAddr>().unwrap()))
    };
    assert_eq!(name, "X-Buyer-Id");
    assert!(believes("127.0.0.1") && believes("::1"));
    assert!(!believes("10.0.0.1") && !believes("::2"));
    assert_eq!(
        why(&sale, "spec.buyers.source").as_deref(),
        Some("TrustedHeader (X-Buyer-Id)")
    );
}

/// A spec that sets every field that this version does something with.
fn everything_served() -> FlashSaleSpec {
    let mut spec = sale("fixtures/good/everything.yaml").spec;
    let purge = spec.entry.as_mut().and_then(|entry| entry.cdn_purge.as_mut());
    purge.unwrap().signing_secret_ref = None;
    spec.admission = None;
    spec.buyers.as_mut().unwrap().challenge = None;
    spec.orders.as_mut().unwrap().flow = None;
    spec.data_plane.as_mut().unwrap().workers = None;
    let risk = spec.risk.as_mut().unwrap();
    (risk.attempts_per_buyer, risk.deny_list_config_map_ref) = (None, None);
    spec
}

#[test]
fn what_nobody_serves_yet_is_refused_and_not_ignored() {
    let spec = sale("fixtures/good/everything.yaml").spec;
    let refused = effective(&spec, &EmbeddedDefaults::default()).unwrap_err();
    let paths: Vec<&str> = refused.iter().map(|refusal| refusal.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.entry.cdnPurge.signingSecretRef",
            "spec.buyers.challenge.type",
            "spec.admission.policy",
            "spec.orders.flow",
            "spec.dataPlane.workers.replicas",
            "spec.risk.attemptsPerBuyer",
            "spec.risk.denyListConfigMapRef",
        ]
    );
}

#[test]
fn what_a_sale_says_is_kept_and_not_listed_as_filled_in() {
    let sale = effective(&everything_served(), &EmbeddedDefaults::default()).unwrap();
    assert_eq!(sale.total_stock(), 100_000_001);
    assert_eq!(sale.items[1].price.to_string(), "999999999999.999");
    assert_eq!((sale.shards, sale.orders.rate_per_minute), (128, 10_000_000));
    assert_eq!(sale.cdn_purge.unwrap().timeout.millis(), 30_000);
    assert_eq!(sale.orders.payment_timeout.millis(), 90 * 60_000);
    let EffectiveHandover::Webhook(handover) = &sale.orders.handover else {
        panic!("{:?}", sale.orders.handover)
    };
    assert_eq!(
        (handover.url.as_str(), handover.timeout.millis()),
        ("https://shop.example/orders", 1_000)
    );
    let Some(EffectiveBuyers::Jwt {
        jwks, subject_claim, ..
    }) = &sale.buyers
    else {
        panic!("{:?}", sale.buyers)
    };
    assert_eq!(
        (jwks, subject_claim.as_str()),
        (&JwksSource::Url("https://id.example/keys".to_owned()), "uid")
    );
    let told = sale.settlement.as_ref().map(|webhook| webhook.url.as_str());
    assert_eq!(told, Some("https://shop.example/settled"));
    let registration = sale.registration.unwrap();
    assert!(registration.required);
    assert_eq!(registration.registrations_max, 10_000_000_100);
    assert_eq!(sale.follow_ups[1].on, FollowUpEvent::Closed);
    assert_eq!(
        (
            sale.risk.requests_per_second_per_buyer,
            sale.risk.requests_per_second_per_address
        ),
        (Some(1_000), Some(100_000))
    );
    let open: Vec<&str> = sale.filled.iter().map(|filled| filled.path.as_str()).collect();
    let timeouts = [0, 1, 2].map(|index| format!("spec.payments.followUps[{index}].webhook.timeout"));
    let open: Vec<&str> = open
        .into_iter()
        .filter(|path| path.contains("followUps"))
        .collect();
    assert_eq!(open, timeouts);
}

#[test]
fn the_order_rate_covers_the_whole_stock_within_a_minute_up_to_its_bound() {
    let rate = |stock: i64| {
        let mut spec = sale("../examples/phone-launch.yaml").spec;
        spec.items.as_mut().unwrap()[0].stock = stock;
        effective(&spec, &EmbeddedDefaults::default())
            .unwrap()
            .orders
            .rate_per_minute
    };
    assert_eq!(
        (rate(1), rate(10_001), rate(100_000_000)),
        (10_000, 10_001, 10_000_000)
    );
}

#[test]
fn a_default_limit_never_exceeds_a_small_stock() {
    let mut spec = sale("../examples/phone-launch.yaml").spec;
    spec.items.as_mut().unwrap()[0].stock = 3;
    let defaults = EmbeddedDefaults {
        limit_per_buyer: 5,
        ..EmbeddedDefaults::default()
    };
    assert_eq!(effective(&spec, &defaults).unwrap().items[0].limit, 3);
}

#[test]
fn registration_ends_when_the_sale_opens_unless_it_says_otherwise() {
    let sale = filled_in("../examples/coupon-rush.yaml");
    let registration = sale.registration.unwrap();
    assert_eq!(registration.close_ms, sale.open_ms);
    assert_eq!(
        (registration.required, registration.registrations_max),
        (false, 15_000)
    );
    assert_eq!(sale.items[0].price.minor(), 0);
}

#[test]
fn a_spec_that_breaks_a_rule_or_lists_its_items_elsewhere_is_refused() {
    let mut spec = sale("../examples/phone-launch.yaml").spec;
    std::mem::swap(&mut spec.open_time, &mut spec.close_time);
    let broken = effective(&spec, &EmbeddedDefaults::default()).unwrap_err();
    assert_eq!(broken[0].path, "spec.closeTime");
    let elsewhere = effective(
        &sale("fixtures/good/items-from.yaml").spec,
        &EmbeddedDefaults::default(),
    )
    .unwrap_err();
    assert_eq!(elsewhere[0].path, "spec.itemsFrom");
}
