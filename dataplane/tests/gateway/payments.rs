//! The payment provider's reports.

use crate::calls::Answer;
use crate::stand::{PAYMENT_SECRET, Setup, Stand};
use flashsale_core::order::State;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::signature::sign;
use reqwest::Method;
use serde_json::json;

const CALLBACK: &str = "/v1/payments/callback";

fn report(payment: &str, order: &str, amount: &str, currency: &str) -> String {
    json!({ "paymentId": payment, "orderId": order, "amount": amount, "currency": currency }).to_string()
}

impl Stand {
    async fn signed(&self, body: &str) -> Answer {
        self.with_signature(body, &sign(PAYMENT_SECRET, now_ms() / 1000, body.as_bytes()))
            .await
    }

    async fn with_signature(&self, body: &str, signature: &str) -> Answer {
        let request = self.call(Method::POST, CALLBACK, "").body(body.to_owned());
        Answer::of(request.header("Flashsale-Signature", signature)).await
    }

    /// A ticket whose order waits for payment, and the order's id.
    async fn ordered(&self, buyer: &str) -> (String, String) {
        let ticket = self.buy(buyer).await.ticket().to_owned();
        self.post(&ticket, buyer, State::Pending);
        let seen = self.get(&format!("/v1/tickets/{ticket}"), buyer).await;
        (ticket, seen.body["orderId"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_signed_payment_pays_and_has_the_same_answer_each_time() {
    let stand = Stand::start(Setup::default()).await;
    let (ticket, order) = stand.ordered("alice").await;
    let body = report("p-1", &order, "699.00", "EUR");
    let (first, again) = (stand.signed(&body).await, stand.signed(&body).await);
    assert_eq!((first.status, &first.body["result"]), (200, &"paid".into()));
    assert_eq!(first.body, again.body);
    assert_eq!(
        stand.get(&format!("/v1/tickets/{ticket}"), "alice").await.body["state"],
        "paid"
    );
    let second = stand.signed(&report("p-2", &order, "699.00", "EUR")).await;
    assert_eq!(second.body["result"], "refundDue");
    let other = stand.ordered("bob").await.1;
    let reused = stand.signed(&report("p-1", &other, "699.00", "EUR")).await;
    assert_eq!(reused.problem(), (409, "payment-conflict"));
}

#[tokio::test]
async fn forged_old_and_missing_signatures_are_refused() {
    let stand = Stand::start(Setup::default()).await;
    let (ticket, order) = stand.ordered("alice").await;
    let body = report("p-1", &order, "699.00", "EUR");
    let now = now_ms() / 1000;
    let good = sign(PAYMENT_SECRET, now, body.as_bytes());
    for signature in [
        String::new(),
        sign("another secret of 24 byte", now, body.as_bytes()),
        sign(
            PAYMENT_SECRET,
            now,
            report("p-1", &order, "0.01", "EUR").as_bytes(),
        ),
        sign(PAYMENT_SECRET, now - 310, body.as_bytes()),
        sign(PAYMENT_SECRET, now + 310, body.as_bytes()),
        good.replace("t=", "t=1"),
        good[..good.len() - 2].to_owned(),
        format!("t={now},v1="),
    ] {
        let answer = stand.with_signature(&body, &signature).await;
        assert_eq!(answer.problem(), (401, "forged-signature"), "{signature}");
    }
    let unsigned = stand.post_body(CALLBACK, "", &body).await;
    assert_eq!(unsigned.problem(), (401, "forged-signature"));
    assert_eq!(
        stand.get(&format!("/v1/tickets/{ticket}"), "alice").await.body["state"],
        "ordered"
    );
}

#[tokio::test]
async fn what_is_signed_must_still_make_sense() {
    let stand = Stand::start(Setup::default()).await;
    let order = stand.ordered("alice").await.1;
    for (body, problem) in [
        (report("p", &order, "698.99", "EUR"), (422, "wrong-amount")),
        (report("p", "0-1-9999", "699.00", "EUR"), (404, "unknown-order")),
        (report("p", "nonsense", "699.00", "EUR"), (404, "unknown-order")),
        (report("p", &order, "699,00", "EUR"), (400, "invalid-request")),
        (report("p", &order, "-699.00", "EUR"), (400, "invalid-request")),
        (report("p", &order, "699.00", "EURO"), (400, "invalid-request")),
        (report("", &order, "699.00", "EUR"), (400, "invalid-request")),
        ("{}".to_owned(), (400, "invalid-request")),
    ] {
        assert_eq!(stand.signed(&body).await.problem(), problem, "{body}");
    }
}

#[tokio::test]
async fn playing_the_provider_is_for_development_and_ones_own_order() {
    let stand = Stand::start(Setup::default()).await;
    let ticket = stand.buy("alice").await.ticket().to_owned();
    let pay = |buyer: &'static str| stand.post_body(&*format!("/dev/pay/{ticket}").leak(), buyer, "");
    assert_eq!(pay("alice").await.problem(), (409, "not-payable"));
    assert_eq!(pay("mallory").await.problem(), (404, "unknown-ticket"));

    let mut setup = Setup::default();
    setup.options.dev_pay = false;
    let production = Stand::start(setup).await;
    let answer = production
        .post_body(&format!("/dev/pay/{ticket}"), "alice", "")
        .await;
    assert_eq!(answer.problem(), (404, "not-found"));
}
