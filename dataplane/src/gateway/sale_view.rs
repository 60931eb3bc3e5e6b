//! The sale as everybody may see it. Stock is told in three coarse steps only.

use crate::sale::Identity;
use crate::shared::{Shared, UNKNOWN};
use chrono::{DateTime, SecondsFormat};
use flashsale_core::ids::{ItemIx, Millis};
use flashsale_http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    name: &'a str,
    namespace: &'a str,
    phase: &'static str,
    open_time: String,
    close_time: String,
    open_time_ms: Millis,
    close_time_ms: Millis,
    now_ms: Millis,
    currency: &'static str,
    payment_timeout_seconds: u64,
    buyers: Buyers<'a>,
    items: Vec<Item<'a>>,
    /// Why the sale was called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<&'a str>,
}

#[derive(Serialize)]
struct Buyers<'a> {
    source: &'static str,
    header: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    id: &'a str,
    title: &'a str,
    price: String,
    limit_per_buyer: u32,
    availability: &'static str,
}

/// The answer to who asks for the sale.
pub(super) fn response(shared: &Shared, now: Millis) -> Response {
    let sale = &shared.sale;
    let items = sale.items.iter().enumerate().map(|(ix, item)| Item {
        id: &item.id,
        title: &item.title,
        price: item.price.to_string(),
        limit_per_buyer: item.limit,
        availability: availability(
            shared.available(ItemIx(ix as u16)).unwrap_or(UNKNOWN),
            shared.units(ItemIx(ix as u16)),
        ),
    });
    let (closes, amended) = (shared.closes(), shared.amended());
    let cancelled = amended.cancellation.as_ref();
    let view = View {
        name: &sale.name,
        namespace: &sale.namespace,
        phase: shared.phase(now).word(),
        open_time: rfc3339(sale.opens),
        close_time: rfc3339(closes),
        open_time_ms: sale.opens,
        close_time_ms: closes,
        now_ms: now,
        currency: sale.currency.code(),
        payment_timeout_seconds: sale.payment_timeout.as_secs(),
        buyers: match &sale.identity {
            Identity::Jwt { .. } => Buyers {
                source: "JWT",
                header: None,
            },
            Identity::TrustedHeader { name, .. } => Buyers {
                source: "TrustedHeader",
                header: Some(name),
            },
        },
        items: items.collect(),
        cancelled: cancelled.map(|cancelled| cancelled.reason.as_str()),
    };
    // Only strings and numbers: there is nothing in it that could fail to be written.
    Response::json(StatusCode::OK, serde_json::to_vec(&view).unwrap_or_default())
        .header(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=1"),
        )
        .header(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        )
}

/// Few: at most a tenth of the stock. While nobody knows, a buyer may as well try.
fn availability(units: u32, stock: u32) -> &'static str {
    match units {
        0 => "None",
        units if units <= stock / 10 => "Few",
        _ => "Plenty",
    }
}

fn rfc3339(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis);
    at.map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
