//! The shop's own pages, in front of them a CDN that is told when they change; and the shop that is told how it ended.

use crate::cluster::{Cluster, SHOP};
use crate::shop::{Call, Shop};
use crate::stage::{self, Script, reaches, status};
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use flashsale_crds::status::{ConditionStatus, GateStatus, Phase, condition};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use std::time::Duration;

/// Nodes bring changed ConfigMaps to their pods about once a minute, and the operator looks for changes as often.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(240);
const LOGO: &[u8] = b"\x89PNG\r\n\x1a\n\x00not a picture";

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    publish(cluster, "page-one").await?;
    let shop = Shop::open(cluster).await?;
    let mut script = Script::new("dressed", &[("phone", 100)]).with(json!({
        "entry": {"pagesConfigMapRef": {"name": "own-pages"}, "cdnPurge": {"url": shop.url}},
        "teardown": {"settlement": {"webhook": {"url": shop.url}}},
    }));
    script.opens_in = Duration::from_secs(60);
    script.open_for = Duration::from_secs(300);
    stage::apply(cluster, &script.object()).await?;
    reaches(cluster, script.name, Phase::Open, Duration::from_secs(120)).await?;
    told(cluster, &script, &shop, 3).await?;
    let gates = status(cluster, script.name).await?.gates;
    let gate = gates.iter().find(|gate| gate.name == "PagesPublished");
    let gate = gate.context("there is no gate PagesPublished")?;
    ensure!(gate.status == GateStatus::Passed, "before the opening: {gate:?}");

    let site = Site::of(cluster, &script)?;
    let page = site.get("/", None).await?;
    let etag = page
        .headers()
        .get("etag")
        .context("a page has an ETag")?
        .to_str()?
        .to_owned();
    let text = page.text().await?;
    ensure!(
        text.contains("page-one") && text.contains("\"dressed\""),
        "{text}"
    );
    let known = site.get("/", Some(&etag)).await?;
    ensure!(known.status() == StatusCode::NOT_MODIFIED, "{}", known.status());
    let logo = site.get("/pages/logo.png", None).await?;
    ensure!(
        logo.headers()["content-type"] == "image/png",
        "{:?}",
        logo.headers()
    );
    ensure!(logo.bytes().await? == LOGO, "it isn't the logo");
    let ticket = site.get("/ticket", None).await?.text().await?;
    ensure!(
        !ticket.contains("page-one"),
        "the shop has no page of its own there"
    );
    println!("    the shop's own pages are served, with tags");

    // The logo is asked for most, then the sale.
    for _ in 0..30 {
        site.get("/pages/logo.png", None).await?;
    }
    for _ in 0..10 {
        site.get("/", None).await?;
    }
    let before = shop.calls().len();
    shop.refuse(2);
    publish(cluster, "page-two").await?;
    told(cluster, &script, &shop, before + 3).await?;
    let calls: Vec<Call> = shop.calls().split_off(before);
    let order: Vec<(bool, String)> = calls
        .iter()
        .map(|call| (call.taken, path(call, script.name)))
        .collect();
    let wanted = [
        (false, "/pages/logo.png"),
        (false, "/pages/logo.png"),
        (true, "/pages/logo.png"),
        (true, "/"),
        (true, "/ticket"),
    ];
    ensure!(
        order
            .iter()
            .map(|(taken, path)| (*taken, path.as_str()))
            .eq(wanted),
        "the CDN was told of {order:?}"
    );
    ensure!(
        calls[0].id == calls[2].id && calls[0].body["version"] == calls[4].body["version"],
        "{calls:?}"
    );
    let text = site.get("/", None).await?.text().await?;
    ensure!(text.contains("page-two"), "{text}");
    println!("    the CDN was told of each changed page, those asked for most first, again after a refusal");

    settled(cluster, &script, &shop).await
}

/// The shop's pages, in this version.
async fn publish(cluster: &Cluster, version: &str) -> Result<()> {
    let map: ConfigMap = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own-pages"},
        "data": {"sale.html": format!("<!doctype html><title>{version}</title><script>const sale = __SALE__;</script>")},
        "binaryData": {"logo.png": k8s_openapi::ByteString(LOGO.to_vec())},
    }))?;
    let params = PatchParams::apply(stage::PIPELINE);
    cluster
        .config_maps(SHOP)
        .patch("own-pages", &params, &Patch::Apply(map))
        .await?;
    Ok(())
}

/// Waits until the CDN has taken so many calls, and the sale says that it was told of all.
async fn told(cluster: &Cluster, script: &Script, shop: &Shop, calls: usize) -> Result<()> {
    until("the CDN is told of all pages", PUBLISHED_WITHIN, async || {
        let status = status(cluster, script.name).await?;
        let said = condition(&status.conditions, "CdnPurged");
        let is_told = said.is_some_and(|said| said.status == ConditionStatus::True);
        let taken = shop.calls().iter().filter(|call| call.taken).count();
        Ok(if is_told && taken >= calls {
            Ok(())
        } else {
            Err(format!(
                "{taken} calls taken, {} forged; {:?}; {:?}",
                shop.forged(),
                said,
                status.pages
            ))
        })
    })
    .await
}

/// The path of the page that a call is about.
fn path(call: &Call, sale: &str) -> String {
    let url = call.body["url"].as_str().unwrap_or_default();
    let host = format!("https://{sale}.{}", stage::DOMAIN);
    let is_it = call.event == "pages-changed";
    url.strip_prefix(&host)
        .filter(|_| is_it)
        .unwrap_or(url)
        .to_owned()
}

/// Nobody has bought anything: all of it goes back to the shop.
async fn settled(cluster: &Cluster, script: &Script, shop: &Shop) -> Result<()> {
    shop.refuse(1);
    let within = script.open_for + Duration::from_secs(120);
    reaches(cluster, script.name, Phase::Settled, within).await?;
    until(
        "the shop has taken the report",
        Duration::from_secs(120),
        async || {
            let status = status(cluster, script.name).await?;
            let said = condition(&status.conditions, "ShopTold").map(|said| said.status);
            Ok(match said {
                Some(ConditionStatus::True) => Ok(()),
                said => Err(format!("{said:?}; {}", stage::said(&status))),
            })
        },
    )
    .await?;
    let calls = shop.calls();
    let reports: Vec<&Call> = calls.iter().filter(|call| call.event == "settled").collect();
    let [refused, taken] = reports.as_slice() else {
        anyhow::bail!("{} reports: {reports:?}", reports.len())
    };
    ensure!(
        !refused.taken && taken.taken && refused.id == taken.id,
        "{reports:?}"
    );
    let item = json!({"id": "phone", "stock": 100, "sold": 0, "returned": 100});
    ensure!(taken.body["items"] == json!([item]), "{}", taken.body);
    ensure!(
        shop.forged() == 0,
        "{} calls weren't signed as they should be",
        shop.forged()
    );
    println!("    the shop was told what goes back to it, again after a refusal");
    Ok(())
}

/// The sale as buyers see it, by its host name through the entry.
struct Site {
    client: Client,
    base: String,
    host: String,
}

impl Site {
    fn of(cluster: &Cluster, script: &Script) -> Result<Self> {
        Ok(Self {
            client: Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()?,
            base: format!("http://{}", cluster.entry),
            host: script.host(),
        })
    }

    async fn get(&self, path: &str, etag: Option<&str>) -> Result<Response> {
        let request = self
            .client
            .get(format!("{}{path}", self.base))
            .header("host", &self.host);
        let request = match etag {
            Some(etag) => request.header("if-none-match", etag),
            None => request,
        };
        Ok(request.send().await?.error_for_status()?)
    }
}
