//! What a platform team and a shop set up before a sale: class, Secrets, the sale itself.

use crate::cluster::{Cluster, OPERATOR, SHOP};
use crate::wait::until;
use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use flashsale_crds::objects::{FlashSale, FlashSaleClass};
use flashsale_crds::status::{FlashSaleStatus, Phase, condition};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

/// The domain of the sales' hosts.
pub(crate) const DOMAIN: &str = "sale.example";
/// Signs payment callbacks.
pub(crate) const PAYMENT_SECRET: &str = "a secret of these tests only, 32b";
/// Whoever applies sales here, as a pipeline would.
pub(crate) const PIPELINE: &str = "pipeline";

/// A sale to be played.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) items: Vec<(&'static str, i64)>,
    pub(crate) opens_in: Duration,
    pub(crate) open_for: Duration,
    /// More of the spec, laid over what is always there.
    pub(crate) spec: Value,
}

impl Script {
    pub(crate) fn new(name: &'static str, items: &[(&'static str, i64)]) -> Self {
        Self {
            name,
            items: items.to_vec(),
            opens_in: Duration::from_secs(75),
            open_for: Duration::from_secs(150),
            spec: json!({}),
        }
    }

    /// With more of the spec.
    pub(crate) fn with(mut self, spec: Value) -> Self {
        merge(&mut self.spec, spec);
        self
    }

    /// The sale as YAML would have it; opening counted from now.
    pub(crate) fn object(&self) -> Value {
        let opens = Utc::now() + self.opens_in;
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|(id, stock)| json!({"id": id, "title": id, "price": "9.90", "stock": stock}))
            .collect();
        let mut spec = json!({
            "openTime": rfc3339(opens), "closeTime": rfc3339(opens + self.open_for), "currency": "EUR", "items": items,
            "buyers": buyers(),
            "orders": {"ratePerMinute": 600_000, "paymentTimeout": "1m"},
            "payments": {"callbackSecretRef": {"name": "payments", "key": "secret"}},
            "dataPlane": {"shards": 4, "gateways": {"replicas": 1}},
            "risk": {"requestsPerSecondPerAddress": 100_000},
            "teardown": {"after": "10s", "policy": "Delete"},
        });
        merge(&mut spec, self.spec.clone());
        json!({
            "apiVersion": "flashsale.dev/v1alpha1", "kind": "FlashSale",
            "metadata": {"name": self.name, "namespace": SHOP}, "spec": spec,
        })
    }

    pub(crate) fn host(&self) -> String {
        format!("{}.{DOMAIN}", self.name)
    }
}

/// Lays `more` over `value`, object by object; `null` takes a field away.
fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, more) in more {
                if more.is_null() {
                    fields.remove(&name);
                } else {
                    merge(fields.entry(name).or_insert(Value::Null), more);
                }
            }
        }
        (value, more) => *value = more,
    }
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Buyers are whom the entry names.
fn buyers() -> Value {
    json!({"source": "TrustedHeader", "trustedHeader": {"name": "X-Buyer-Id", "fromCIDRs": ["10.0.0.0/8"]}})
}

/// Makes the class and the Secrets that sales need.
pub(crate) async fn set(cluster: &Cluster) -> Result<()> {
    for (ix, url) in cluster.databases.iter().enumerate() {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": format!("orders-{ix}"), "namespace": OPERATOR}, "stringData": {"url": url},
        }))?;
        Cluster::make(&cluster.secrets(OPERATOR), &secret).await?;
    }
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "payments", "namespace": SHOP}, "stringData": {"secret": PAYMENT_SECRET},
    }))?;
    Cluster::make(&cluster.secrets(SHOP), &secret).await?;
    let class = json!({
        "apiVersion": "flashsale.dev/v1alpha1", "kind": "FlashSaleClass",
        "metadata": {"name": "standard", "annotations": {"flashsale.dev/is-default-class": "true"}},
        "spec": {
            "orderLog": {"pulsar": {
                "serviceURL": cluster.pulsar_url, "adminURL": cluster.pulsar_admin_url, "tenant": "flashsale",
            }},
            "databases": [
                {"name": "orders-0", "adminSecretRef": {"name": "orders-0"}},
                {"name": "orders-1", "adminSecretRef": {"name": "orders-1"}},
            ],
            "redis": {"image": "docker.io/local/redis:7"},
            "entry": {
                "type": "Gateway", "domain": DOMAIN,
                "gateway": {"name": "shop-gateway", "namespace": "entry", "sectionName": "web"},
            },
            "rooms": [{"name": "a", "zone": "a"}, {"name": "b", "zone": "b"}],
            "pods": {"image": cluster.image},
            "defaults": {"buyers": buyers()},
            "policies": {"freezeBefore": "0s"},
        },
    });
    let classes: Api<FlashSaleClass> = Api::all(cluster.client.clone());
    classes
        .patch(
            "standard",
            &PatchParams::apply(PIPELINE).force(),
            &Patch::Apply(class),
        )
        .await?;
    Ok(())
}

/// Applies a sale as a pipeline does, server-side.
pub(crate) async fn apply(cluster: &Cluster, sale: &Value) -> Result<FlashSale> {
    let name = sale["metadata"]["name"].as_str().context("a sale has a name")?;
    let params = PatchParams::apply(PIPELINE);
    Ok(cluster.sales().patch(name, &params, &Patch::Apply(sale)).await?)
}

/// The status of a sale, as it is now.
pub(crate) async fn status(cluster: &Cluster, name: &str) -> Result<FlashSaleStatus> {
    Ok(cluster.sales().get(name).await?.status.unwrap_or_default())
}

/// Waits until the sale is in this phase or a later one.
pub(crate) async fn reaches(
    cluster: &Cluster,
    name: &str,
    phase: Phase,
    within: Duration,
) -> Result<FlashSaleStatus> {
    let rank = |phase: Phase| ORDER.iter().position(|p| *p == phase);
    let what = format!("{name} is {phase:?}");
    let status = until(&what, within, async || {
        let status = status(cluster, name).await?;
        let is = status.phase.and_then(rank);
        Ok(if is >= rank(phase) {
            Ok(status)
        } else {
            Err(said(&status))
        })
    })
    .await?;
    if status.phase == Some(Phase::Failed) && phase != Phase::Failed {
        bail!("{name} failed: {}", said(&status));
    }
    Ok(status)
}

/// Phases in their order; a sale that failed has passed them all.
const ORDER: [Phase; 10] = [
    Phase::Pending,
    Phase::Provisioning,
    Phase::Warming,
    Phase::Registering,
    Phase::Armed,
    Phase::Open,
    Phase::Draining,
    Phase::Settling,
    Phase::Settled,
    Phase::Failed,
];

/// A status in one line.
pub(crate) fn said(status: &FlashSaleStatus) -> String {
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .filter(|c| c.kind != "Ready" || condition(&status.conditions, "Ready").is_some())
        .map(|c| format!("{}={:?} ({}: {})", c.kind, c.status, c.reason, c.message))
        .collect();
    let gates: Vec<String> = status
        .gates
        .iter()
        .map(|g| format!("{} {:?}", g.name, g.status))
        .collect();
    format!(
        "{:?}; {}; gates: {}",
        status.phase,
        conditions.join("; "),
        gates.join(", ")
    )
}
