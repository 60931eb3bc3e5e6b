//! The policies of a sale's namespace, each with the reason why the sale needs it.

use crate::provision::Change;
use serde_json::{Value, json};

/// A policy: where it stands in what the namespace answers, what it must be, and how it is set.
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// In the namespace's policies.
    pub(crate) found_at: &'static str,
    /// Under the namespace's path.
    pub(crate) path: &'static str,
    pub(crate) body: fn() -> Value,
}

pub(crate) const POLICIES: &[Policy] = &[
    // The order log is the truth until the sale is settled, whoever has read it.
    Policy {
        name: "retention",
        found_at: "/retention_policies",
        path: "retention",
        body: || json!({"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}),
    },
    // No message acknowledges itself by growing old.
    Policy {
        name: "message TTL",
        found_at: "/message_ttl_in_seconds",
        path: "messageTTL",
        body: || json!(0),
    },
    // Event numbers decide what counts; a broker that drops what it takes for doubled would lose records.
    Policy {
        name: "de-duplication",
        found_at: "/deduplicationEnabled",
        path: "deduplication",
        body: || json!(false),
    },
    // A slow consumer never costs a message: the producer is told instead.
    Policy {
        name: "backlog quota",
        found_at: "/backlog_quota_map/destination_storage",
        path: "backlogQuota?backlogQuotaType=destination_storage",
        body: || json!({"limitSize": -1, "limitTime": -1, "policy": "producer_exception"}),
    },
    // A topic that nobody uses right now is still the sale's.
    Policy {
        name: "inactive topics",
        found_at: "/inactive_topic_policies",
        path: "inactiveTopicPolicies",
        body: || {
            json!({
                "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
                "maxInactiveDurationSeconds": 2_000_000_000,
                "deleteWhileInactive": false,
            })
        },
    },
    // A straggler must not bring a topic of a sale that was torn down back to life.
    Policy {
        name: "topic auto-creation",
        found_at: "/autoTopicCreationOverride",
        path: "autoTopicCreation",
        body: || json!({"allowAutoTopicCreation": false}),
    },
    // Payment deadlines are delayed messages.
    Policy {
        name: "delayed delivery",
        found_at: "/delayed_delivery_policies",
        path: "delayedDelivery",
        body: || json!({"active": true, "tickTime": 100}),
    },
];

/// Which policies are otherwise in `found`, the namespace's policies.
pub(crate) fn drift(found: &Value) -> Vec<Change> {
    let differs = |policy: &Policy| {
        let is = found.pointer(policy.found_at).cloned().unwrap_or(Value::Null);
        let wanted = (policy.body)();
        (!holds(&is, &wanted)).then_some(Change::Policy {
            name: policy.name,
            found: is,
            wanted,
        })
    };
    POLICIES.iter().filter_map(differs).collect()
}

/// The policies with which the namespace is created.
pub(crate) fn at_birth() -> Value {
    let mut all = json!({});
    for policy in POLICIES {
        let steps: Vec<&str> = policy.found_at.split('/').skip(1).collect();
        let mut at = &mut all;
        for step in steps {
            at = &mut at[step];
        }
        *at = (policy.body)();
    }
    all
}

/// Whether `found` says all that `wanted` says; a newer broker may say more.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|f| holds(f, value))),
        _ => found == wanted,
    }
}
