//! The whole way of a sale, from `kubectl apply` to the teardown.

use super::{manners, secrets};
use crate::cluster::{Cluster, SHOP};
use crate::stage::{self, Script, reaches, status};
use crate::{buyers, left};
use anyhow::{Context, Result, bail, ensure};
use flashsale_crds::status::{LoadState, Phase};
use std::time::Duration;

/// Buyers who come.
const BUYERS: u32 = 50_000;

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let (objects, topics) = (
        left::objects(cluster).await?,
        left::log_namespaces(cluster).await?,
    );
    let script = Script::new("phone-launch", &[("phone", 3_000), ("case", 2_000)]);
    let object = script.object();
    stage::apply(cluster, &object).await?;

    for condition in ["Ready", "Armed"] {
        let (wait, sale) = (
            format!("--for=condition={condition}"),
            format!("flashsale/{}", script.name),
        );
        manners::kubectl(cluster, &["wait", &sale, &wait, "--timeout=120s"])?;
    }
    let armed = reaches(cluster, script.name, Phase::Armed, Duration::from_secs(120)).await?;
    ensure!(
        armed.load.as_ref().map(|l| l.state) == Some(LoadState::Seeded),
        "armed without stock: {:?}",
        armed.load
    );
    let url = armed
        .entry_url
        .clone()
        .context("an armed sale says where buyers go")?;
    println!(
        "    armed, gates {:?}, {url}",
        armed.summary.as_ref().and_then(|s| s.gates.clone())
    );
    ensure!(
        url.contains(&script.host()),
        "{url} isn't at the sale's host {}",
        script.host()
    );

    let opens = object["spec"]["openTime"].as_str().context("openTime")?;
    let opens_at_ms = chrono::DateTime::parse_from_rfc3339(opens)?.timestamp_millis() as u64;
    let outcome = buyers::come(buyers::crowd(cluster, &script, opens_at_ms, BUYERS)).await?;
    ensure!(
        outcome.buyers.failed == 0,
        "{} buyers got no answer: {:?}",
        outcome.buyers.failed,
        outcome.unexpected
    );

    manners::kept(cluster, &object).await?;
    secrets::are_nowhere_else(cluster).await?;
    reaches(cluster, script.name, Phase::Draining, Duration::from_secs(120)).await?;
    manners::kept(cluster, &object).await?;
    let settled = reaches(cluster, script.name, Phase::Settled, Duration::from_secs(180)).await?;
    for (id, stock) in &script.items {
        let item = settled
            .items
            .iter()
            .find(|i| i.id == *id)
            .with_context(|| format!("no figures of {id}"))?;
        ensure!(item.adds_up(), "{item:?} doesn't add up");
        ensure!(
            item.sold == *stock,
            "{id}: sold {} of {stock}: {item:?}",
            item.sold
        );
    }
    manners::kept(cluster, &object).await?;
    audited(cluster, script.name).await?;
    gone(cluster, &script, objects, topics).await
}

async fn audited(cluster: &Cluster, name: &str) -> Result<()> {
    let report = crate::wait::until("the audit is ok", Duration::from_secs(60), async || {
        let status = status(cluster, name).await?;
        let settlement = status.settlement.clone().unwrap_or_default();
        Ok(match settlement.audit_ok {
            Some(true) => Ok(settlement),
            _ => Err(format!("{settlement:?}; {}", stage::said(&status))),
        })
    })
    .await?;
    println!("    audit: {}", report.message.clone().unwrap_or_default());
    let map = report
        .report_config_map
        .context("the settlement names its report")?;
    let map = cluster.config_maps(SHOP).get(&map).await?;
    ensure!(
        map.metadata.owner_references.unwrap_or_default().is_empty(),
        "the report would go with the sale"
    );
    Ok(())
}

/// After the teardown and the deletion nothing is left but the report.
async fn gone(
    cluster: &Cluster,
    script: &Script,
    objects: std::collections::BTreeSet<String>,
    topics: std::collections::BTreeSet<String>,
) -> Result<()> {
    crate::wait::until("pods and topics are gone", Duration::from_secs(120), async || {
        let left: Vec<String> = left::objects(cluster)
            .await?
            .difference(&objects)
            .cloned()
            .collect();
        let of_the_sale = |o: &&String| !o.starts_with("FlashSale/") && !o.ends_with("-report");
        let left: Vec<&String> = left.iter().filter(of_the_sale).collect();
        let log: Vec<String> = left::log_namespaces(cluster)
            .await?
            .difference(&topics)
            .cloned()
            .collect();
        Ok(if left.is_empty() && log.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} {log:?}"))
        })
    })
    .await?;
    let sales = cluster.sales();
    sales
        .delete(script.name, &kube::api::DeleteParams::default())
        .await?;
    crate::wait::until("the sale is gone", Duration::from_secs(60), async || {
        let left = sales.get_opt(script.name).await?;
        Ok(left.map_or(Ok(()), |s| Err(stage::said(&s.status.unwrap_or_default()))))
    })
    .await?;
    let after = left::objects(cluster).await?;
    let more: Vec<&String> = after
        .difference(&objects)
        .filter(|o| !o.ends_with("-report"))
        .collect();
    if !more.is_empty() {
        bail!("left behind: {more:?}");
    }
    println!(
        "    left behind: the report only ({} objects before, {} after)",
        objects.len(),
        after.len()
    );
    Ok(())
}
