//! The shop is told how a sale ended, so that it takes back what is left.

use crate::api::{ConditionStatus, Phase, SettlementReport};
use crate::conditions::Said;
use crate::failure::FailureKind;
use crate::outcome::{ShopCall, Step};
use crate::render::CALLBACK_KEY;
use crate::teardown;
use crate::time::{Millis, timestamp};
use crate::view::View;
use flashsale_crds::{EffectiveSale, EffectiveWebhook, Settled};
use serde_json::json;
use std::time::Duration;

/// For so long after the books were compared the call is repeated.
const TRIED_FOR: Millis = 24 * 60 * 60 * 1000;
/// The same for a sale that is being deleted.
const DELETED_TRIED_FOR: Millis = 10 * 60 * 1000;

/// The call that tells the shop, as long as it hasn't taken it.
pub(crate) fn step(view: &View<'_>) -> Option<Step> {
    let (sale, webhook, settlement) = due(view)?;
    let is_over = view.now >= until(view, &settlement);
    if is_over || settlement.told_time.is_some() || view.seen.world.told.told().is_some() {
        return None;
    }
    let names = &view.names;
    let items = view
        .old
        .items
        .iter()
        .map(|item| (item.id.clone(), item.stock, item.sold));
    let settled = Settled::new((&names.namespace, &names.sale, &names.uid), items);
    Some(Step::TellShop(ShopCall {
        url: webhook.url.clone(),
        timeout: Duration::from_millis(webhook.timeout.millis()),
        secret: signed_with(view, sale),
        id: settled.message_id(),
        event: "settled",
        body: json!(settled).to_string(),
    }))
}

/// The condition about it, where the shop wants to be told.
pub(crate) fn condition(view: &View<'_>, now: Option<&SettlementReport>) -> Option<Said> {
    let (_, webhook, settlement) = due(view)?;
    let says = |status, reason, message| Said {
        kind: "ShopTold",
        status,
        reason,
        message,
    };
    if now.is_some_and(|settlement| settlement.told_time.is_some()) {
        return Some(says(
            ConditionStatus::True,
            "Taken",
            "the shop has taken the report with what is left".to_owned(),
        ));
    }
    let url = &webhook.url;
    let until = until(view, &settlement);
    if view.now >= until {
        let report = view.names.child("report");
        let namespace = &view.names.namespace;
        return Some(says(
            ConditionStatus::False,
            "GivenUp",
            format!(
                "{url} didn't take the report in time; take it from kubectl -n {namespace} get configmap {report} -o yaml"
            ),
        ));
    }
    let failure = view.seen.failure.as_ref();
    let why = failure.filter(|failure| failure.kind == FailureKind::Shop)?;
    Some(says(
        ConditionStatus::False,
        "Refused",
        format!(
            "{url}: {}; it is tried again until {}",
            why.error,
            timestamp(until)
        ),
    ))
}

/// Who is to be told, and of what: a sale whose books agree. Where they don't, somebody looks first.
fn due<'a>(view: &'a View<'_>) -> Option<(&'a EffectiveSale, &'a EffectiveWebhook, SettlementReport)> {
    if view.state.phase != Phase::Settled {
        return None;
    }
    let settlement = view.old.settlement.clone()?;
    let sale = &view.basis.as_ref().ok()?.sized.declared.effective;
    let webhook = sale.settlement.as_ref()?;
    (settlement.audit_ok == Some(true)).then_some((sale, webhook, settlement))
}

/// The Secret that signs calls to the shop, and its key: the one that signs payment callbacks.
pub(crate) fn signed_with(view: &View<'_>, sale: &EffectiveSale) -> (String, String) {
    match &sale.callback_secret {
        Some(own) => (
            own.name.clone(),
            own.key.clone().unwrap_or_else(|| CALLBACK_KEY.to_owned()),
        ),
        None => (view.names.child("signing"), "payments".to_owned()),
    }
}

/// Until when it is tried. A sale that is deleted waits for the shop, but not for long.
fn until(view: &View<'_>, settlement: &SettlementReport) -> Millis {
    let settled = settlement.time.map_or(0, crate::api::Timestamp::millis);
    let long = settled.saturating_add(TRIED_FOR);
    match teardown::deleted_ms(view) {
        Some(deleted) => long.min(deleted.max(settled).saturating_add(DELETED_TRIED_FOR)),
        None => long,
    }
}
