//! Rules within the optional parts of a sale.

use ipnet::IpNet;

use crate::{
    duration::HumanDuration,
    refusal::Refusal,
    sale::{
        BuyerSource, Buyers, Challenge, ChallengeType, FlashSaleSpec, HandoverType, Orders, Switches, Webhook,
    },
};

const SECOND: u32 = 1;
const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;

pub(super) fn validate(spec: &FlashSaleSpec, refusals: &mut Vec<Refusal>) {
    if let Some(purge) = spec.entry.as_ref().and_then(|entry| entry.cdn_purge.as_ref()) {
        webhook(purge, "spec.entry.cdnPurge", refusals);
    }
    if let Some(who) = &spec.buyers {
        buyers(who, refusals);
    }
    if let Some(how) = &spec.orders {
        orders(how, refusals);
    }
    let follow_ups = spec
        .payments
        .iter()
        .flat_map(|payments| payments.follow_ups.iter().flatten());
    for (index, follow_up) in follow_ups.enumerate() {
        webhook(
            &follow_up.webhook,
            &format!("spec.payments.followUps[{index}].webhook"),
            refusals,
        );
    }
    if spec.switches.as_ref() == Some(&Switches::default()) {
        refusals.push(Refusal::new(
            "spec.switches",
            "sets no switch; set one, such as `sale: {paused: true}`, or remove it",
        ));
    }
    if let Some(teardown) = &spec.teardown {
        between(teardown.after, 0, 720 * HOUR, "spec.teardown.after", refusals);
        between(
            teardown.drain_timeout,
            MINUTE,
            24 * HOUR,
            "spec.teardown.drainTimeout",
            refusals,
        );
        if let Some(report) = teardown
            .settlement
            .as_ref()
            .and_then(|settlement| settlement.webhook.as_ref())
        {
            webhook(report, "spec.teardown.settlement.webhook", refusals);
        }
    }
}

/// A duration, when given, lies between two bounds in seconds.
fn between(given: Option<HumanDuration>, least: u32, most: u32, path: &str, refusals: &mut Vec<Refusal>) {
    let (least, most) = (HumanDuration::from_secs(least), HumanDuration::from_secs(most));
    let Some(given) = given else { return };
    if given < least {
        refusals.push(
            Refusal::new(path, format!("is below {least}, the least allowed")).of_text(&given.to_string()),
        );
    } else if given > most {
        refusals.push(
            Refusal::new(path, format!("is above {most}, the most allowed")).of_text(&given.to_string()),
        );
    }
}

fn webhook(webhook: &Webhook, path: &str, refusals: &mut Vec<Refusal>) {
    between(
        webhook.timeout,
        SECOND,
        30 * SECOND,
        &format!("{path}.timeout"),
        refusals,
    );
}

fn orders(orders: &Orders, refusals: &mut Vec<Refusal>) {
    between(
        orders.payment_timeout,
        MINUTE,
        168 * HOUR,
        "spec.orders.paymentTimeout",
        refusals,
    );
    if let Some(backlog) = &orders.backlog {
        between(
            backlog.after,
            10 * SECOND,
            24 * HOUR,
            "spec.orders.backlog.after",
            refusals,
        );
    }
    let Some(handover) = &orders.handover else { return };
    let path = "spec.orders.handover.webhook";
    match (handover.kind, &handover.webhook) {
        (HandoverType::Webhook, None) => {
            refusals.push(Refusal::new(
                path,
                "missing; type Webhook needs it: add `webhook: {url: https://…}`",
            ));
        }
        (HandoverType::Webhook, Some(call)) => webhook(call, path, refusals),
        (HandoverType::None | HandoverType::Topic, Some(_)) => {
            refusals.push(Refusal::new(
                path,
                "is only for type Webhook; remove it or set `type: Webhook`",
            ));
        }
        (HandoverType::None | HandoverType::Topic, None) => {}
    }
}

fn buyers(buyers: &Buyers, refusals: &mut Vec<Refusal>) {
    match (buyers.source, &buyers.jwt) {
        (BuyerSource::Jwt, None) => {
            refusals.push(Refusal::new(
                "spec.buyers.jwt",
                "missing; source JWT needs it: add `jwt:` with issuer and jwksURL",
            ));
        }
        (BuyerSource::TrustedHeader, Some(_)) => {
            refusals.push(Refusal::new(
                "spec.buyers.jwt",
                "is only for source JWT; remove it or set `source: JWT`",
            ));
        }
        _ => {}
    }
    match (buyers.source, &buyers.trusted_header) {
        (BuyerSource::TrustedHeader, None) => {
            let why = "missing; source TrustedHeader needs it: add `trustedHeader:` with name and fromCIDRs";
            refusals.push(Refusal::new("spec.buyers.trustedHeader", why));
        }
        (BuyerSource::Jwt, Some(_)) => {
            let why = "is only for source TrustedHeader; remove it or set `source: TrustedHeader`";
            refusals.push(Refusal::new("spec.buyers.trustedHeader", why));
        }
        _ => {}
    }
    if let Some(jwt) = &buyers.jwt {
        match (&jwt.jwks_url, &jwt.jwks_config_map_ref) {
            (None, None) => refusals.push(Refusal::new(
                "spec.buyers.jwt",
                "has no keys; add jwksURL or jwksConfigMapRef",
            )),
            (Some(_), Some(_)) => {
                let path = "spec.buyers.jwt.jwksConfigMapRef";
                refusals.push(Refusal::new(path, "stands beside jwksURL; keep one of the two"));
            }
            _ => {}
        }
    }
    let networks = buyers.trusted_header.iter().flat_map(|header| &header.from_cidrs);
    for (index, network) in networks.enumerate() {
        if network.parse::<IpNet>().is_err() {
            let path = format!("spec.buyers.trustedHeader.fromCIDRs[{index}]");
            let why = "is no network; write it as \"10.0.0.0/8\", a single address as \"10.1.2.3/32\"";
            refusals.push(Refusal::new(path, why).of_text(network));
        }
    }
    if let Some(given) = &buyers.challenge {
        challenge(given, refusals);
    }
}

fn challenge(challenge: &Challenge, refusals: &mut Vec<Refusal>) {
    let is_outside = matches!(challenge.kind, ChallengeType::Turnstile | ChallengeType::HCaptcha);
    if is_outside && challenge.secret_ref.is_none() {
        let why = "missing; type Turnstile and HCaptcha need it: add `secretRef: {name: …}`";
        refusals.push(Refusal::new("spec.buyers.challenge.secretRef", why));
    }
}
