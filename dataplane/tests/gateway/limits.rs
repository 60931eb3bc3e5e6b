//! How often one may ask.

use crate::calls::Answer;
use crate::stand::{PHONE, Setup, Stand};
use flashsale_dataplane::gateway::Rate;
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
        setup.options.limits.trust_forwarded_for = trusted;
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
