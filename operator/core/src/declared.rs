//! The sale as its processes are told it: what it leaves open filled in from its class, then by the operator.

use crate::api::{ClassDefaults, EffectiveValue, FlashSaleSpec};
use flashsale_crds::{
    EffectiveBuyers, EffectiveHandover, EffectiveSale, EmbeddedDefaults, JwksSource, Refusal, effective,
};
use serde_json::{Value, json};

/// A sale with every value filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// The spec, with what the class and the operator fill in.
    pub spec: FlashSaleSpec,
    /// The same in plain types.
    pub effective: EffectiveSale,
    /// The values that the sale itself leaves open, and who says them.
    pub filled: Vec<EffectiveValue>,
}

/// Fills in what a sale leaves open. `shards` is how many the operator planned, where neither sale nor class says.
///
/// # Errors
/// The spec breaks a rule, or asks for something that sales in a cluster can't have yet.
pub fn declared(
    spec: &FlashSaleSpec,
    defaults: &ClassDefaults,
    shards: u16,
) -> Result<Declared, Vec<Refusal>> {
    let merged = with_defaults(spec, defaults);
    let operator = EmbeddedDefaults {
        shards,
        ..EmbeddedDefaults::default()
    };
    let complete = effective(&merged, &operator)?;
    let refused = unsupported(&complete);
    if !refused.is_empty() {
        return Err(refused);
    }
    let filled = filled(spec, &merged, &complete);
    Ok(Declared {
        spec: written_out(merged, &complete),
        effective: complete,
        filled,
    })
}

/// The class' defaults where the sale says nothing. Who buyers are and who gets a unit is one decision each; in the
/// other parts each field is one.
fn with_defaults(spec: &FlashSaleSpec, defaults: &ClassDefaults) -> FlashSaleSpec {
    let mut merged = spec.clone();
    merged.buyers = merged.buyers.or_else(|| defaults.buyers.clone());
    merged.admission = merged.admission.or_else(|| defaults.admission.clone());
    if let Some(default) = &defaults.orders {
        let own = merged.orders.get_or_insert_default();
        own.rate_per_minute = own.rate_per_minute.or(default.rate_per_minute);
        own.flow = own.flow.or(default.flow);
        own.payment_timeout = own.payment_timeout.or(default.payment_timeout);
        own.backlog = own.backlog.take().or_else(|| default.backlog.clone());
        own.handover = own.handover.take().or_else(|| default.handover.clone());
    }
    if let Some(default) = &defaults.payments {
        let own = merged.payments.get_or_insert_default();
        let secret = own.callback_secret_ref.take();
        own.callback_secret_ref = secret.or_else(|| default.callback_secret_ref.clone());
        own.follow_ups = own.follow_ups.take().or_else(|| default.follow_ups.clone());
    }
    if let Some(default) = &defaults.data_plane {
        let own = merged.data_plane.get_or_insert_default();
        own.shards = own.shards.or(default.shards);
        own.gateways = own.gateways.take().or_else(|| default.gateways.clone());
        own.workers = own.workers.take().or_else(|| default.workers.clone());
        own.rooms = own.rooms.take().or_else(|| default.rooms.clone());
    }
    if let Some(default) = &defaults.risk {
        let own = merged.risk.get_or_insert_default();
        own.attempts_per_buyer = own.attempts_per_buyer.or(default.attempts_per_buyer);
        let (buyer, address) = (
            own.requests_per_second_per_buyer,
            own.requests_per_second_per_address,
        );
        own.requests_per_second_per_buyer = buyer.or(default.requests_per_second_per_buyer);
        own.requests_per_second_per_address = address.or(default.requests_per_second_per_address);
        let list = own.deny_list_config_map_ref.take();
        own.deny_list_config_map_ref = list.or_else(|| default.deny_list_config_map_ref.clone());
    }
    if let Some(default) = &defaults.teardown {
        let own = merged.teardown.get_or_insert_default();
        own.after = own.after.or(default.after);
        own.policy = own.policy.or(default.policy);
        own.drain_timeout = own.drain_timeout.or(default.drain_timeout);
        own.settlement = own.settlement.take().or_else(|| default.settlement.clone());
    }
    merged
}

/// What the rules allow and the data plane can't do yet. Better said before anything is made than by a pod that doesn't start.
fn unsupported(sale: &EffectiveSale) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if sale.buyers.is_none() {
        let mend = "is missing, and nobody is believed by default; say how buyers sign in, here or in the class' defaults";
        refused.push(Refusal::new("spec.buyers", mend));
    }
    if sale.orders.handover == EffectiveHandover::Topic {
        let mend = "isn't handed over by topic yet; use a Webhook, or read the order database";
        refused.push(Refusal::new("spec.orders.handover.type", mend).of_text("Topic"));
    }
    refused
}

/// What was left open, as the status shows it: with the class as its source where that said it.
fn filled(spec: &FlashSaleSpec, merged: &FlashSaleSpec, complete: &EffectiveSale) -> Vec<EffectiveValue> {
    let (own, merged) = (json!(spec), json!(merged));
    let mut values = Vec::new();
    by_class("", &own, &merged, &mut values);
    values.extend(complete.filled.iter().map(|filled| EffectiveValue {
        field: filled.path.trim_start_matches("spec.").to_owned(),
        value: filled.value.clone(),
        source: "operator".to_owned(),
    }));
    values.sort_by(|a, b| a.field.cmp(&b.field));
    values.truncate(EFFECTIVE_VALUES_MAX);
    values
}

/// As many as the status may hold.
const EFFECTIVE_VALUES_MAX: usize = 64;

fn by_class(path: &str, own: &Value, merged: &Value, values: &mut Vec<EffectiveValue>) {
    match (own, merged) {
        (Value::Object(own), Value::Object(merged)) => {
            for (key, value) in merged {
                let field = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                by_class(&field, own.get(key).unwrap_or(&Value::Null), value, values);
            }
        }
        (Value::Null, Value::Object(merged)) => {
            for (key, value) in merged {
                by_class(&format!("{path}.{key}"), &Value::Null, value, values);
            }
        }
        (Value::Null, value) if !value.is_null() => values.push(EffectiveValue {
            field: path.to_owned(),
            value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            source: "class".to_owned(),
        }),
        _ => {}
    }
}

/// Writes the values that processes act by into the spec, so that another version of the data plane means the same.
fn written_out(mut spec: FlashSaleSpec, complete: &EffectiveSale) -> FlashSaleSpec {
    spec.data_plane.get_or_insert_default().shards = Some(i32::from(complete.shards));
    let orders = spec.orders.get_or_insert_default();
    orders.rate_per_minute = i32::try_from(complete.orders.rate_per_minute).ok();
    orders.flow = Some(complete.orders.flow);
    orders.payment_timeout = Some(complete.orders.payment_timeout);
    for (item, full) in spec.items.iter_mut().flatten().zip(&complete.items) {
        item.limit_per_buyer = Some(i32::from(full.limit));
    }
    // These reach the processes on a way of their own, at any time.
    spec.switches = None;
    spec.cancellation = None;
    spec.teardown = None;
    // Gateways mount a copy of the pages, and the operator calls the CDN.
    if let Some(entry) = &mut spec.entry {
        entry.pages_config_map_ref = None;
        entry.cdn_purge = None;
    }
    if let Some(EffectiveBuyers::Jwt {
        jwks: JwksSource::ConfigMap(reference),
        ..
    }) = &complete.buyers
        && let Some(jwt) = spec.buyers.as_mut().and_then(|buyers| buyers.jwt.as_mut())
    {
        // Gateways read the keys from the mounted ConfigMap; the others never look. The field must say something.
        jwt.jwks_config_map_ref = None;
        jwt.jwks_url = Some(format!("https://configmap.invalid/{}", reference.name));
    }
    spec
}
