//! What the resource has a place for and this version does nothing with. It is refused: a sale that looks as if bots were
//! kept out, or the shop were told, and isn't so, would be worse than one that isn't accepted.

use crate::refusal::Refusal;
use crate::sale::{AdmissionPolicy, ChallengeType, FlashSaleSpec, OrderFlow};

/// A refusal for each such field that is set.
pub(super) fn refusals(spec: &FlashSaleSpec) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let mut refuse = |is_set: bool, path: &str, why: &str| {
        if is_set {
            refused.push(Refusal::new(path, why));
        }
    };
    refuse(
        spec.items.as_ref().is_none_or(Vec::is_empty),
        "spec.itemsFrom",
        "a list of items elsewhere isn't read yet: write the items under `spec.items`",
    );
    let purge = spec.entry.as_ref().and_then(|entry| entry.cdn_purge.as_ref());
    refuse(
        purge.is_some_and(|webhook| webhook.signing_secret_ref.is_some()),
        "spec.entry.cdnPurge.signingSecretRef",
        ONE_SECRET,
    );
    let challenge = spec.buyers.as_ref().and_then(|buyers| buyers.challenge.as_ref());
    refuse(
        challenge.is_some_and(|challenge| challenge.kind != ChallengeType::None),
        "spec.buyers.challenge.type",
        "no challenge is asked yet: write `None`, and ask it where the shop hands out its tokens",
    );
    let admission = spec.admission.as_ref();
    refuse(
        admission.is_some_and(|admission| admission.policy == AdmissionPolicy::Draw),
        "spec.admission.policy",
        "nothing is drawn yet: write `FirstCome`",
    );
    let orders = spec.orders.clone().unwrap_or_default();
    refuse(
        orders.flow == Some(OrderFlow::Direct),
        "spec.orders.flow",
        "orders are made from the queue only, as yet: write `Queue`",
    );
    let handover = orders.handover.and_then(|handover| handover.webhook);
    refuse(
        handover.is_some_and(|webhook| webhook.signing_secret_ref.is_some()),
        "spec.orders.handover.webhook.signingSecretRef",
        ONE_SECRET,
    );
    let payments = spec.payments.clone().unwrap_or_default();
    for (index, follow_up) in payments.follow_ups.iter().flatten().enumerate() {
        refuse(
            follow_up.webhook.signing_secret_ref.is_some(),
            &format!("spec.payments.followUps[{index}].webhook.signingSecretRef"),
            ONE_SECRET,
        );
    }
    let data_plane = spec.data_plane.clone().unwrap_or_default();
    refuse(
        data_plane
            .workers
            .and_then(|workers| workers.replicas)
            .is_some_and(|replicas| replicas > 1),
        "spec.dataPlane.workers.replicas",
        "one worker makes the orders of all shards, as yet: leave it out",
    );
    let risk = spec.risk.clone().unwrap_or_default();
    refuse(
        risk.attempts_per_buyer.is_some(),
        "spec.risk.attemptsPerBuyer",
        "attempts aren't counted over the whole sale yet: leave it out; `requestsPerSecondPerBuyer` holds",
    );
    refuse(
        risk.deny_list_config_map_ref.is_some(),
        "spec.risk.denyListConfigMapRef",
        "nobody is turned away by a list yet: leave it out, and let the shop give them no token",
    );
    let settlement = spec.teardown.clone().unwrap_or_default().settlement;
    refuse(
        settlement
            .and_then(|settlement| settlement.webhook)
            .is_some_and(|webhook| webhook.signing_secret_ref.is_some()),
        "spec.teardown.settlement.webhook.signingSecretRef",
        ONE_SECRET,
    );
    refused
}

/// Why a call has no secret of its own.
const ONE_SECRET: &str =
    "all calls are signed with one secret, that of `spec.payments.callbackSecretRef`, as yet: leave it out";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_nobody_serves_is_refused_by_name() {
        let hook = json!({"url": "https://shop.example/hook", "signingSecretRef": {"name": "hook"}});
        let spec = json!({
            "openTime": "2030-01-01T10:00:00Z", "closeTime": "2030-01-01T11:00:00Z", "currency": "EUR",
            "items": [{"id": "phone", "title": "Phone", "price": "1.00", "stock": 1}],
            "buyers": {"source": "JWT", "jwt": {"issuer": "https://shop.example"}, "challenge": {"type": "ProofOfWork"}},
            "admission": {"policy": "Draw"},
            "entry": {"pagesConfigMapRef": {"name": "pages"}, "cdnPurge": hook},
            "orders": {"flow": "Direct", "handover": {"type": "Webhook", "webhook": hook}},
            "payments": {"followUps": [{"name": "points", "on": "Paid", "webhook": hook}]},
            "dataPlane": {"workers": {"replicas": 2}},
            "risk": {"attemptsPerBuyer": 3, "requestsPerSecondPerBuyer": 5, "denyListConfigMapRef": {"name": "deny"}},
            "teardown": {"settlement": {"webhook": hook}},
        });
        let mut spec: FlashSaleSpec = serde_json::from_value(spec).unwrap();
        let paths: Vec<String> = refusals(&spec).into_iter().map(|refusal| refusal.path).collect();
        assert_eq!(
            paths,
            [
                "spec.entry.cdnPurge.signingSecretRef",
                "spec.buyers.challenge.type",
                "spec.admission.policy",
                "spec.orders.flow",
                "spec.orders.handover.webhook.signingSecretRef",
                "spec.payments.followUps[0].webhook.signingSecretRef",
                "spec.dataPlane.workers.replicas",
                "spec.risk.attemptsPerBuyer",
                "spec.risk.denyListConfigMapRef",
                "spec.teardown.settlement.webhook.signingSecretRef",
            ]
        );
        spec.items = None;
        assert_eq!(refusals(&spec)[0].path, "spec.itemsFrom");
        spec.items = Some(Vec::new());
        assert_eq!(refusals(&spec)[0].path, "spec.itemsFrom");
    }
}
