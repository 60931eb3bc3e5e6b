//! How orders are made, handed over and followed up, complete.

use super::WHY_EMBEDDED;
use crate::{
    defaults::{EmbeddedDefaults, Fill},
    duration::HumanDuration,
    sale::{BacklogPolicy, FollowUpEvent, HandoverType, OrderFlow, Orders, Payments, Webhook},
};

/// The most orders a minute that a sale may ask for.
const ORDERS_PER_MINUTE_MAX: u64 = 10_000_000;

/// How orders are made and handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveOrders {
    /// Orders a minute, steadily, 1 to 10,000,000.
    pub rate_per_minute: u32,
    /// Where orders are made.
    pub flow: OrderFlow,
    /// How long a buyer may take to pay, 1m to 168h.
    pub payment_timeout: HumanDuration,
    /// The age at which a waiting reservation counts as backlog, 10s to 24h.
    pub backlog_after: HumanDuration,
    /// What happens to the backlog.
    pub backlog_policy: BacklogPolicy,
    /// How orders reach the shop.
    pub handover: EffectiveHandover,
}

/// How orders reach the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectiveHandover {
    /// The shop reads the order database.
    None,
    /// An HTTP call for each order.
    Webhook(EffectiveWebhook),
    /// A topic of the order log.
    Topic,
}

/// An HTTP call, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveWebhook {
    /// The address.
    pub url: String,
    /// How long an answer is waited for, 1s to 30s.
    pub timeout: HumanDuration,
}

/// A call that follows an order's event, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveFollowUp {
    /// Its name, unique in the sale.
    pub name: String,
    /// The event.
    pub on: FollowUpEvent,
    /// The call.
    pub webhook: EffectiveWebhook,
}

/// Fills in how orders are made; `stock` is that of all items.
pub(super) fn effective(
    given: Option<&Orders>,
    stock: u64,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> EffectiveOrders {
    let given = given.cloned().unwrap_or_default();
    let wanted = stock
        .max(u64::from(defaults.orders_per_minute_min))
        .min(ORDERS_PER_MINUTE_MAX);
    let rate_per_minute = fill.or(
        given.rate_per_minute.and_then(|rate| u32::try_from(rate).ok()),
        "spec.orders.ratePerMinute",
        u32::try_from(wanted).unwrap_or(u32::MAX),
        u32::to_string,
        "the whole stock within a minute, and 10000 at least",
    );
    let flow = fill.or(
        given.flow,
        "spec.orders.flow",
        defaults.order_flow,
        |flow| format!("{flow:?}"),
        WHY_EMBEDDED,
    );
    let payment_timeout = fill.or(
        given.payment_timeout,
        "spec.orders.paymentTimeout",
        defaults.payment_timeout,
        HumanDuration::to_string,
        WHY_EMBEDDED,
    );
    let backlog_after = fill.or(
        given.backlog.as_ref().and_then(|backlog| backlog.after),
        "spec.orders.backlog.after",
        defaults.backlog_after,
        HumanDuration::to_string,
        WHY_EMBEDDED,
    );
    let backlog_policy = fill.or(
        given.backlog.as_ref().map(|backlog| backlog.policy),
        "spec.orders.backlog.policy",
        defaults.backlog_policy,
        |policy| format!("{policy:?}"),
        "a reservation is a promise, which only the sale itself can shorten",
    );
    let kind = fill.or(
        given.handover.as_ref().map(|handover| handover.kind),
        "spec.orders.handover.type",
        HandoverType::None,
        |kind| format!("{kind:?}"),
        "the shop reads the orders from the database",
    );
    let handover = match (kind, given.handover.and_then(|handover| handover.webhook)) {
        (HandoverType::Webhook, Some(call)) => {
            EffectiveHandover::Webhook(webhook(&call, "spec.orders.handover.webhook", defaults, fill))
        }
        (HandoverType::Topic, _) => EffectiveHandover::Topic,
        // A webhook handover without its call breaks a rule, so it doesn't come here.
        (HandoverType::None | HandoverType::Webhook, _) => EffectiveHandover::None,
    };
    EffectiveOrders {
        rate_per_minute,
        flow,
        payment_timeout,
        backlog_after,
        backlog_policy,
        handover,
    }
}

/// Fills in the calls that follow an order's events.
pub(super) fn follow_ups(
    given: Option<&Payments>,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> Vec<EffectiveFollowUp> {
    let given = given
        .and_then(|payments| payments.follow_ups.as_ref())
        .into_iter()
        .flatten();
    given
        .enumerate()
        .map(|(index, follow_up)| {
            let path = format!("spec.payments.followUps[{index}].webhook");
            let webhook = webhook(&follow_up.webhook, &path, defaults, fill);
            EffectiveFollowUp {
                name: follow_up.name.clone(),
                on: follow_up.on,
                webhook,
            }
        })
        .collect()
}

/// Fills in a call at `path`.
pub(super) fn webhook(
    given: &Webhook,
    path: &str,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> EffectiveWebhook {
    let timeout = fill.or(
        given.timeout,
        &format!("{path}.timeout"),
        defaults.webhook_timeout,
        HumanDuration::to_string,
        WHY_EMBEDDED,
    );
    EffectiveWebhook {
        url: given.url.clone(),
        timeout,
    }
}
