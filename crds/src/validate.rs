//! The second layer: rules across fields, which a schema can't say.

mod parts;

use crate::{
    money::{Currency, InvalidMoney, Money},
    refusal::Refusal,
    sale::{FlashSaleSpec, Item, ItemsFrom, Registration},
};

/// The shortest window of a sale.
const WINDOW_MILLIS_MIN: i64 = 10 * 1_000;
/// The longest window of a sale: 7 days.
const WINDOW_MILLIS_MAX: i64 = 168 * 3_600 * 1_000;

/// Checks the rules across the fields of a sale whose shape is right; empty when all hold.
///
/// The refusals name no lines: a spec has none.
pub fn validate(spec: &FlashSaleSpec) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    window(spec, &mut refusals);
    if let Some(registration) = &spec.registration {
        registration_window(registration, spec, &mut refusals);
    }
    items(spec, &mut refusals);
    parts::validate(spec, &mut refusals);
    refusals
}

fn window(spec: &FlashSaleSpec, refusals: &mut Vec<Refusal>) {
    let length = spec.close_time.millis_since(spec.open_time);
    let why = if length <= 0 {
        format!(
            "is not after openTime \"{}\"; move closeTime later",
            spec.open_time
        )
    } else if length < WINDOW_MILLIS_MIN {
        "is less than 10s after openTime; move closeTime later".to_owned()
    } else if length > WINDOW_MILLIS_MAX {
        "is more than 7 days (168h) after openTime; move closeTime earlier or use a FlashSaleSchedule"
            .to_owned()
    } else {
        return;
    };
    refusals.push(Refusal::new("spec.closeTime", why).of_text(&spec.close_time.to_string()));
}

fn registration_window(registration: &Registration, spec: &FlashSaleSpec, refusals: &mut Vec<Refusal>) {
    let opens = registration.open_time;
    if opens >= spec.open_time {
        let why = format!(
            "is not before the sale's openTime \"{}\"; move it earlier",
            spec.open_time
        );
        refusals.push(Refusal::new("spec.registration.openTime", why).of_text(&opens.to_string()));
    }
    let Some(closes) = registration.close_time else {
        return;
    };
    let why = if closes <= opens {
        format!("is not after registration.openTime \"{opens}\"; move it later")
    } else if closes > spec.open_time {
        format!(
            "is after the sale's openTime \"{}\"; move it earlier",
            spec.open_time
        )
    } else {
        return;
    };
    refusals.push(Refusal::new("spec.registration.closeTime", why).of_text(&closes.to_string()));
}

fn items(spec: &FlashSaleSpec, refusals: &mut Vec<Refusal>) {
    let currency = match spec.currency.parse::<Currency>() {
        Ok(currency) => Some(currency),
        Err(why) => {
            refusals.push(Refusal::new("spec.currency", why.to_string()).of_text(&spec.currency));
            None
        }
    };
    match (&spec.items, &spec.items_from) {
        (None, None) => {
            refusals.push(Refusal::new(
                "spec.items",
                "missing; add `items:` with at least one item, or `itemsFrom:`",
            ));
        }
        (Some(_), Some(_)) => {
            refusals.push(Refusal::new(
                "spec.itemsFrom",
                "stands beside items; keep one of the two",
            ));
        }
        _ => {}
    }
    for (index, one) in spec.items.iter().flatten().enumerate() {
        item(one, currency, &format!("spec.items[{index}]"), refusals);
    }
    if let Some(from) = &spec.items_from {
        items_from(from, refusals);
    }
}

fn item(item: &Item, currency: Option<Currency>, path: &str, refusals: &mut Vec<Refusal>) {
    if let Some(currency) = currency
        && let Some(why) = price_mend(&item.price, currency)
    {
        refusals.push(Refusal::new(format!("{path}.price"), why).of_text(&item.price));
    }
    if let Some(limit) = item.limit_per_buyer
        && i64::from(limit) > item.stock
    {
        let why = format!("is above the item's stock of {}; lower it", item.stock);
        refusals.push(Refusal::new(format!("{path}.limitPerBuyer"), why).of(limit));
    }
}

/// What is wrong with a price. A bare `0` is refused since it is more often a slip than a gift.
fn price_mend(price: &str, currency: Currency) -> Option<String> {
    match Money::parse(price, currency) {
        Ok(_) if price != "0" => None,
        Ok(_) if currency.decimals() == 0 => Some(format!(
            "is not above 0; raise it: free items need a currency with decimals, which {currency} is not"
        )),
        Ok(_) => Some("is not above 0; write \"0.00\" if the item is free".to_owned()),
        Err(InvalidMoney::Decimals { .. }) if trimmed(price, currency).is_some() => {
            let exact = trimmed(price, currency).unwrap_or_default();
            Some(format!(
                "has more decimals than {currency} ({}); write \"{exact}\"",
                currency.decimals()
            ))
        }
        Err(why) => Some(why.to_string()),
    }
}

/// The same amount without surplus zeros, when only zeros are surplus.
fn trimmed(price: &str, currency: Currency) -> Option<String> {
    let amount = Money::parse(price.trim_end_matches('0').trim_end_matches('.'), currency).ok()?;
    Some(amount.to_string())
}

fn items_from(from: &ItemsFrom, refusals: &mut Vec<Refusal>) {
    match (&from.config_map, &from.http) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => refusals.push(Refusal::new(
            "spec.itemsFrom",
            "has no source; add configMap or http",
        )),
        (Some(_), Some(_)) => {
            refusals.push(Refusal::new(
                "spec.itemsFrom.http",
                "stands beside configMap; keep one of the two",
            ));
        }
    }
}
