//! How often one may ask.

use crate::calls::Answer;
use crate::stand::{PHONE, Setup, Stand};
use flashsale_dataplane::gateway::Rate;
use flashsale_dataplane::sale::Identity;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn one_buyer_who_asks_too_fast_is_slowed_down_and_others_are_not() {
    let mut setup = Setup::default();
    setup.options.limits.per_buyer = Some(Rate {
        per_second: 1,
        burst: 3,
    });
    let stand = Stand::start(setup).await;
    for _ in 0..3 {
        assert!(stand.buy("alice").await.status < 300);
    }
    let refused = stand.buy("alice").await;
    assert_eq!(
        (refused.problem(), refused.header("retry-after")),
        ((429, "too-many-requests"), "1")
    );
    assert_eq!(stand.buy("bob").await.status, 202);
    assert_eq!(stand.shared.counters.too_fast.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_sale_sets_how_often_its_buyers_may_ask() {
    let mut setup = Setup::default();
    setup.sale.requests.per_buyer = Some(1);
    let stand = Stand::start(setup).await;
    for _ in 0..2 {
        assert!(stand.buy("alice").await.status < 300);
    }
    assert_eq!(stand.buy("alice").await.status, 429);
    assert_eq!(stand.buy("bob").await.status, 202);
}

#[tokio::test]
async fn many_buyers_at_one_address_are_not_limited_together_unless_told_to() {
    let stand = Stand::start(Setup::default()).await;
    for i in 0..200 {
        assert_ne!(stand.buy(&format!("buyer-{i}")).await.status, 429);
    }
}

#[tokio::test]
async fn an_address_can_be_limited_and_is_the_forwarded_one_only_if_that_is_trusted() {
    let limited = |trusted| {
        let mut setup = Setup::default();
        setup.options.limits.per_address = Some(Rate {
            per_second: 1,
            burst: 2,
        });
        setup.options.limits.limit_loopback = true;
        if trusted {
            setup.options.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        }
        setup.sale.identity = Identity::TrustedHeader {
            name: "X-Buyer-Id".to_owned(),
            from: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        };
        Stand::start(setup)
    };
    let from = async |stand: &Stand, address: &str, buyer: &str| {
        let request = stand.purchase(buyer, PHONE, 1).header("X-Forwarded-For", address);
        Answer::of(request).await.status
    };
    let stand = limited(true).await;
    for address in ["1.2.3.4", "9.9.9.9, 2001:db8::1", "2001:db8:0:1::1"] {
        assert_ne!(from(&stand, address, "alice").await, 429, "{address}");
        assert_ne!(from(&stand, address, "bob").await, 429, "{address}");
        assert_eq!(from(&stand, address, "carol").await, 429, "{address}");
    }
    assert_eq!(from(&stand, "2001:db8::2", "dave").await, 429, "the same /64");
    let stand = limited(false).await;
    let answers = [
        from(&stand, "1.1.1.1", "a").await,
        from(&stand, "2.2.2.2", "b").await,
    ];
    assert!(!answers.contains(&429));
    assert_eq!(
        from(&stand, "3.3.3.3", "c").await,
        429,
        "the header changes nothing"
    );
}

#[tokio::test]
async fn behind_a_proxy_it_is_the_one_in_front_of_it_that_vouches_for_buyers() {
    let mut setup = Setup::default();
    setup.options.limits.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    setup.sale.identity = Identity::TrustedHeader {
        name: "X-Buyer-Id".to_owned(),
        from: vec!["10.1.0.0/16".parse().unwrap()],
    };
    let stand = Stand::start(setup).await;
    let through = async |forwarded: &str| {
        let request = stand
            .purchase("alice", PHONE, 1)
            .header("X-Forwarded-For", forwarded);
        Answer::of(request).await.status
    };
    assert_eq!(through("10.1.2.3").await, 202, "the shop's own proxy");
    for forged in ["203.0.113.7", "10.1.2.3, 203.0.113.7", "nonsense"] {
        assert_eq!(through(forged).await, 401, "{forged}");
    }
    assert_eq!(stand.buy("alice").await.status, 401, "the proxy by itself");
}
