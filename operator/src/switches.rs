//! FlashSaleSwitches: what became of each, and a word about it on the sales that it reaches.
//!
//! Nothing here makes a switch work: the sales' own sidecars watch the objects. This only tells.

use crate::cache::Key;
use crate::hand::CallError;
use crate::observe::{class_of, created, is_over, selects};
use crate::operator::Operator;
use crate::queue::Again;
use crate::status;
use crate::world::now_ms;
use flashsale_operator_core::api::{
    Condition, ConditionStatus, FlashSale, FlashSaleClass, FlashSaleSwitch, FlashSaleSwitchStatus,
    HumanDuration, SwitchPhase, SwitchSource, SwitchedSale, Switches, set_condition,
};
use flashsale_operator_core::{EventNote, Millis, timestamp};
use kube::{Api, Resource as _};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// While not all processes act by a switch, it is looked at so often.
const SPREADING: Duration = Duration::from_secs(3);
/// The same while all do.
const STANDING: Duration = Duration::from_secs(60);
/// The API's limits.
const SUMMARY_MAX: usize = 256;
/// See [`SUMMARY_MAX`].
const SALES_MAX: usize = 200;

/// Looks at the switch of this name.
pub(crate) async fn look(operator: &Operator, key: &Key) -> Again {
    let Some(switch) = operator.caches.switches.get(key) else {
        return Again::Never;
    };
    let (all, now) = (operator.caches.switches.in_namespace(&key.namespace), now_ms());
    let sales = operator.caches.sales.in_namespace(&key.namespace);
    let sales: Vec<_> = sales
        .into_iter()
        .filter(|sale| selects(&switch, sale) && !is_over(sale))
        .collect();
    let longest = longest(&sales, &operator.caches.classes.all());
    let new = judged(&switch, &all, &sales, longest, now);
    let before = switch.status.as_ref().and_then(|status| status.phase);
    if let Err(error) = write(operator, key, &switch, &new).await {
        if matches!(error.code(), Some(404 | 409)) {
            return Again::In(Duration::from_millis(300));
        }
        tracing::warn!(namespace = key.namespace, name = key.name, %error, "a switch's status isn't written");
        return Again::Failed;
    }
    if before != new.phase {
        tell(operator, &switch, &new, &sales).await;
    }
    match (new.phase, new.expire_time) {
        (Some(SwitchPhase::Expired | SwitchPhase::Rejected), _) => Again::Never,
        (phase, Some(end)) => {
            let left =
                Duration::from_millis(end.millis().saturating_sub(now_ms())) + Duration::from_millis(100);
            let standing = phase == Some(SwitchPhase::Active);
            Again::In(left.min(if standing { STANDING } else { SPREADING }))
        }
        _ => Again::In(STANDING),
    }
}

async fn write(
    operator: &Operator,
    key: &Key,
    switch: &FlashSaleSwitch,
    new: &FlashSaleSwitchStatus,
) -> Result<(), CallError> {
    let api: Api<FlashSaleSwitch> = Api::namespaced(operator.hand.client.clone(), &key.namespace);
    let version = switch.metadata.resource_version.clone().unwrap_or_default();
    let states = (status::value(switch.status.as_ref()), status::value(Some(new)));
    status::write(&operator.hand, &api, &key.name, &version, (&states.0, &states.1))
        .await
        .map(drop)
}

async fn tell(
    operator: &Operator,
    switch: &FlashSaleSwitch,
    new: &FlashSaleSwitchStatus,
    sales: &[Arc<FlashSale>],
) {
    let name = switch.metadata.name.as_deref().unwrap_or_default();
    let set = new.summary.as_deref().unwrap_or_default();
    let actor = new.actor.as_deref().unwrap_or("somebody");
    let (reason, note) = match new.phase {
        Some(SwitchPhase::Active) => (
            "SwitchActive",
            format!("{set} by switch {name} of {actor}: {}", switch.spec.reason),
        ),
        Some(SwitchPhase::Expired) => ("SwitchExpired", format!("switch {name} ({set}) has expired")),
        Some(SwitchPhase::Superseded) => (
            "SwitchSuperseded",
            format!("newer switches set all that {name} sets ({set})"),
        ),
        Some(SwitchPhase::Rejected) => ("SwitchRejected", format!("switch {name} ({set}) isn't allowed")),
        Some(SwitchPhase::Pending) | None => return,
    };
    let event = EventNote {
        warning: new.phase == Some(SwitchPhase::Rejected),
        reason: reason.to_owned(),
        action: "Switching".to_owned(),
        note,
    };
    for sale in sales {
        operator.events.report(&sale.object_ref(&()), &event).await;
    }
    operator.events.report(&switch.object_ref(&()), &event).await;
}

/// How long the sales' classes let a switch hold, where all of them say so: the longest.
fn longest(sales: &[Arc<FlashSale>], classes: &[Arc<FlashSaleClass>]) -> Option<HumanDuration> {
    let classes: Vec<FlashSaleClass> = classes.iter().map(|class| FlashSaleClass::clone(class)).collect();
    let each = sales.iter().map(|sale| {
        let class = class_of(sale, &classes)?;
        class.spec.limits.as_ref()?.switch_duration
    });
    let all: Option<Vec<HumanDuration>> = each.collect();
    all?.into_iter().max_by_key(|duration| duration.millis())
}

/// What is to be said of a switch.
fn judged(
    switch: &FlashSaleSwitch,
    all: &[Arc<FlashSaleSwitch>],
    sales: &[Arc<FlashSale>],
    longest: Option<HumanDuration>,
    now: Millis,
) -> FlashSaleSwitchStatus {
    let old = switch.status.clone().unwrap_or_default();
    let end = created(&switch.metadata).saturating_add(switch.spec.holds_ms(longest));
    let reached: Vec<SwitchedSale> = sales
        .iter()
        .take(SALES_MAX)
        .map(|sale| reached(switch, sale, &old, now))
        .collect();
    let in_force = sales.iter().any(|sale| is_in_force(switch, sale));
    let phase = if end <= now {
        SwitchPhase::Expired
    } else if is_superseded(switch, all, sales, longest, now) {
        SwitchPhase::Superseded
    } else if in_force {
        SwitchPhase::Active
    } else {
        SwitchPhase::Pending
    };
    let mut conditions = old.conditions.clone();
    let (is_so, reason, message) = match phase {
        SwitchPhase::Active => (true, "InForce", "it is in force".to_owned()),
        SwitchPhase::Pending if sales.is_empty() => (
            false,
            "NoSale",
            "no sale of this namespace is selected that isn't over".to_owned(),
        ),
        SwitchPhase::Pending => (
            false,
            "Spreading",
            "the sales' processes don't act by it yet".to_owned(),
        ),
        SwitchPhase::Superseded => (
            false,
            "Superseded",
            "newer switches set all that it sets".to_owned(),
        ),
        SwitchPhase::Expired => (false, "Expired", format!("it held until {}", timestamp(end))),
        SwitchPhase::Rejected => (false, "Rejected", "it isn't allowed".to_owned()),
    };
    let condition = Condition {
        kind: "Active".to_owned(),
        status: if is_so {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        },
        observed_generation: switch.metadata.generation,
        last_transition_time: timestamp(now),
        reason: reason.to_owned(),
        message,
    };
    set_condition(&mut conditions, condition);
    FlashSaleSwitchStatus {
        observed_generation: switch.metadata.generation,
        phase: Some(phase),
        summary: Some(summary(&switch.spec.set)),
        actor: actor(switch),
        expire_time: Some(timestamp(end)),
        // After its end it stays as it was.
        sales: if phase == SwitchPhase::Expired {
            old.sales
        } else {
            reached
        },
        conditions,
    }
}

/// Whether a sale's status shows something that this switch sets.
fn is_in_force(switch: &FlashSaleSwitch, sale: &FlashSale) -> bool {
    let shown = sale.status.iter().flat_map(|status| &status.switches);
    let mut mine =
        shown.filter(|set| set.source == SwitchSource::Switch && set.source_name == switch.metadata.name);
    mine.next().is_some()
}

fn reached(
    switch: &FlashSaleSwitch,
    sale: &FlashSale,
    old: &FlashSaleSwitchStatus,
    now: Millis,
) -> SwitchedSale {
    let name = sale.metadata.name.clone().unwrap_or_default();
    let shown = sale.status.iter().flat_map(|status| &status.switches);
    let mut mine =
        shown.filter(|set| set.source == SwitchSource::Switch && set.source_name == switch.metadata.name);
    let applied = mine.find_map(|set| set.applied.clone());
    let by_all = applied
        .as_deref()
        .and_then(|applied| applied.split_once('/'))
        .is_some_and(|(some, all)| some == all);
    let before = old
        .sales
        .iter()
        .find(|sale| sale.name == name)
        .and_then(|sale| sale.applied_time);
    SwitchedSale {
        name,
        uid: sale.metadata.uid.clone(),
        applied_time: before.or_else(|| by_all.then(|| timestamp(now))),
        applied,
    }
}

/// Whether newer switches in force set all that this one sets, for every sale that it reaches.
fn is_superseded(
    switch: &FlashSaleSwitch,
    all: &[Arc<FlashSaleSwitch>],
    sales: &[Arc<FlashSale>],
    longest: Option<HumanDuration>,
    now: Millis,
) -> bool {
    let rank = |one: &FlashSaleSwitch| (created(&one.metadata), one.metadata.name.clone());
    let newer = all.iter().filter(|other| {
        let end = created(&other.metadata).saturating_add(other.spec.holds_ms(longest));
        rank(other) > rank(switch) && end > now && other.metadata.deletion_timestamp.is_none()
    });
    let newer: Vec<_> = newer.collect();
    let mine = leaves(&switch.spec.set);
    !sales.is_empty()
        && sales.iter().all(|sale| {
            let set: Vec<_> = newer
                .iter()
                .filter(|other| selects(other, sale))
                .flat_map(|other| leaves(&other.spec.set))
                .collect();
            mine.iter()
                .all(|(name, _)| set.iter().any(|(other, _)| other == name))
        })
}

/// Who made a switch: as it says itself, or the name under which its fields were first set.
fn actor(switch: &FlashSaleSwitch) -> Option<String> {
    let said = switch.spec.actor.clone();
    said.or_else(|| {
        let entries = switch.metadata.managed_fields.iter().flatten();
        let mine = entries.filter(|entry| entry.subresource.is_none());
        let first = mine.min_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
        first.manager.clone()
    })
}

/// What is switched, in one line.
fn summary(set: &Switches) -> String {
    let all: Vec<String> = leaves(set)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.join(", ").chars().take(SUMMARY_MAX).collect()
}

/// Each switch by its dotted name.
fn leaves(set: &Switches) -> Vec<(String, String)> {
    fn collect(path: &str, value: &Value, all: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let joint = if path.is_empty() { "" } else { "." };
                    collect(&format!("{path}{joint}{field}"), value, all);
                }
            }
            Value::Null => {}
            Value::String(text) => all.push((path.to_owned(), text.clone())),
            other => all.push((path.to_owned(), other.to_string())),
        }
    }
    let mut all = Vec::new();
    collect("", &serde_json::to_value(set).unwrap_or_default(), &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn switch(name: &str, created: &str, set: &Value) -> Arc<FlashSaleSwitch> {
        let object = json!({
            "metadata": {"name": name, "creationTimestamp": created, "managedFields": [
                {"manager": "kubectl-create", "operation": "Update", "time": created},
                {"manager": "flashsale-operator", "operation": "Update", "subresource": "status", "time": created}]},
            "spec": {"saleName": "a", "set": set, "reason": "a test", "expiresAfter": "10m"},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn sale(switches: &Value) -> Arc<FlashSale> {
        let object = json!({
            "metadata": {"name": "a", "uid": "1"},
            "spec": {"openTime": "2026-12-01T12:00:00Z", "closeTime": "2026-12-01T12:30:00Z", "currency": "EUR",
                "items": [{"id": "a", "title": "A", "price": "1.00", "stock": 1}]},
            "status": {"switches": switches},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn at(text: &str) -> Millis {
        text.parse::<flashsale_operator_core::api::Timestamp>()
            .unwrap()
            .millis()
    }

    #[test]
    fn a_switch_is_pending_then_active_then_superseded_and_expired_at_the_end() {
        let (early, late) = ("2026-12-01T12:00:00Z", "2026-12-01T12:01:00Z");
        let old = switch("old", early, &json!({"orders": {"hold": true}}));
        let new = switch(
            "new",
            late,
            &json!({"orders": {"hold": false, "ratePerMinute": 5}}),
        );
        let phase = |all: &[Arc<FlashSaleSwitch>], sales: &[Arc<FlashSale>], now| {
            judged(&old, all, sales, None, at(now)).phase.unwrap()
        };
        let shown = json!([{"name": "orders.hold", "value": "true", "source": "Switch", "sourceName": "old", "applied": "3/3"}]);
        let one = [Arc::clone(&old)];
        assert_eq!(phase(&one, &[sale(&json!([]))], late), SwitchPhase::Pending);
        assert_eq!(phase(&one, &[sale(&shown)], late), SwitchPhase::Active);
        let both = [Arc::clone(&old), Arc::clone(&new)];
        assert_eq!(phase(&both, &[sale(&shown)], late), SwitchPhase::Superseded);
        assert_eq!(
            judged(&new, &both, &[sale(&json!([]))], None, at(late)).phase,
            Some(SwitchPhase::Pending)
        );
        assert_eq!(phase(&both, &[], "2026-12-01T12:10:00Z"), SwitchPhase::Expired);
        let told = judged(&old, &one, &[sale(&shown)], None, at(late));
        assert_eq!(told.actor.as_deref(), Some("kubectl-create"));
        let held = judged(&old, &one, &[sale(&shown)], Some("1m".parse().unwrap()), at(late));
        assert_eq!(
            held.phase,
            Some(SwitchPhase::Expired),
            "the class lets none hold longer"
        );
        assert_eq!(told.summary.as_deref(), Some("orders.hold=true"));
        assert!(told.sales[0].applied_time.is_some());
    }
}
