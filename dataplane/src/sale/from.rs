//! From the resource to what the data plane needs.

use super::{HANDOVER, Identity, Item, Occasion, Registration, RequestRates, Sale, Target};
use crate::shop::Call;
use flashsale_core::ids::SaleUid;
use flashsale_core::order::Backlog;
use flashsale_crds::{
    BacklogPolicy, EffectiveBuyers, EffectiveHandover, EffectiveSale, EffectiveWebhook, FollowUpEvent,
    JwksSource,
};
use std::time::Duration;

/// What one process can't do for a sale.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unsupported {
    /// Nobody says who buyers are.
    #[error(
        "spec.buyers: is missing, and nobody is believed by default; say how buyers sign in (`source: JWT`), or start with `--trust-header` for development"
    )]
    Buyers,
    /// Keys in a ConfigMap.
    #[error(
        "spec.buyers.jwt.jwksConfigMapRef: one process can't read a ConfigMap; give the keys with `--jwks FILE-OR-URL`"
    )]
    JwksConfigMap,
    /// Handover by topic.
    #[error(
        "spec.orders.handover: a topic needs an order log on Pulsar; use a Webhook, or start with `--pulsar`"
    )]
    Topic,
}

impl Sale {
    /// The sale `uid`, by the name of its object and its effective values. `jwks` replaces where the
    /// shop's keys are.
    ///
    /// # Errors
    /// [`Unsupported`]: what one process can't do.
    pub fn new(
        uid: SaleUid,
        (namespace, name): (&str, &str),
        effective: &EffectiveSale,
        jwks: Option<&str>,
    ) -> Result<Self, Unsupported> {
        let items = effective.items.iter().map(|item| Item {
            id: item.id.clone(),
            title: item.title.clone(),
            price: item.price,
            stock: item.stock,
            limit: u32::from(item.limit),
        });
        let orders = &effective.orders;
        let backlog = match orders.backlog_policy {
            BacklogPolicy::Hold => Backlog::Hold,
            BacklogPolicy::Release => Backlog::ReleaseAfter(orders.backlog_after.millis()),
        };
        let registration = effective.registration.map(|r| Registration {
            opens: r.open_ms,
            closes: r.close_ms,
            required: r.required,
            max: u32::try_from(r.registrations_max).unwrap_or(u32::MAX),
        });
        let rate = |given: Option<i32>| given.and_then(|rate| u32::try_from(rate).ok());
        let requests = RequestRates {
            per_buyer: rate(effective.risk.requests_per_second_per_buyer),
            per_address: rate(effective.risk.requests_per_second_per_address),
        };
        Ok(Self {
            uid,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            items: items.collect(),
            opens: effective.open_ms,
            closes: effective.close_ms,
            shards: effective.shards,
            payment_timeout: Duration::from_millis(orders.payment_timeout.millis()),
            currency: effective.currency,
            orders_per_minute: orders.rate_per_minute,
            backlog,
            registration,
            identity: identity(effective.buyers.as_ref(), jwks)?,
            requests,
            targets: targets(effective)?,
            settlement: effective.settlement.as_ref().map(call),
            switches: effective.switches.clone(),
        })
    }
}

fn identity(buyers: Option<&EffectiveBuyers>, replaced: Option<&str>) -> Result<Identity, Unsupported> {
    match buyers.ok_or(Unsupported::Buyers)? {
        EffectiveBuyers::TrustedHeader { name, from } => Ok(Identity::TrustedHeader {
            name: name.clone(),
            from: from.clone(),
        }),
        EffectiveBuyers::Jwt {
            issuer,
            audiences,
            jwks,
            subject_claim,
        } => {
            let jwks = match (replaced, jwks) {
                (Some(replaced), _) => replaced.to_owned(),
                (None, JwksSource::Url(url)) => url.clone(),
                (None, JwksSource::ConfigMap(_)) => return Err(Unsupported::JwksConfigMap),
            };
            let (issuer, audiences) = (issuer.clone(), audiences.clone());
            Ok(Identity::Jwt {
                jwks,
                issuer,
                audiences,
                subject_claim: subject_claim.clone(),
            })
        }
    }
}

fn call(webhook: &EffectiveWebhook) -> Call {
    Call {
        url: webhook.url.clone(),
        timeout: Duration::from_millis(webhook.timeout.millis()),
    }
}

fn targets(effective: &EffectiveSale) -> Result<Vec<Target>, Unsupported> {
    let target = |name: &str, on, webhook: &EffectiveWebhook| Target {
        name: name.to_owned(),
        on,
        call: call(webhook),
    };
    let mut targets = Vec::new();
    match &effective.orders.handover {
        EffectiveHandover::None => {}
        EffectiveHandover::Webhook(webhook) => targets.push(target(HANDOVER, Occasion::Ordered, webhook)),
        EffectiveHandover::Topic => return Err(Unsupported::Topic),
    }
    for follow_up in &effective.follow_ups {
        let on = match follow_up.on {
            FollowUpEvent::Ordered => Occasion::Ordered,
            FollowUpEvent::Paid => Occasion::Paid,
            FollowUpEvent::Closed => Occasion::Closed,
        };
        targets.push(target(&follow_up.name, on, &follow_up.webhook));
    }
    Ok(targets)
}
