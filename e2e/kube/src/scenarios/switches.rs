//! An SRE flips a switch in the middle of a sale: every gateway answers by it within a second, whatever else is down.

use crate::cluster::{Cluster, SHOP};
use crate::stage::{self, Script, reaches};
use crate::{frozen, server, wait};
use anyhow::{Context, Result, ensure};
use flashsale_crds::objects::FlashSaleSwitch;
use flashsale_crds::status::Phase;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Gateways of each of the two rooms.
const GATEWAYS_PER_ROOM: u32 = 5;
/// Flips while all is well, and while Redis or Pulsar is down.
const FLIPS: u32 = 30;
const FLIPS_IN_NEED: u32 = 10;
/// How often each gateway is asked.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// A purchase that isn't answered for so long wasn't refused at the door.
const UNANSWERED: Duration = Duration::from_millis(300);
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const P99_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn play(cluster: &Cluster) -> Result<()> {
    stage::set(cluster).await?;
    let spec = json!({"dataPlane": {"shards": 2, "gateways": {"replicas": GATEWAYS_PER_ROOM}}});
    let mut script = Script::new("switched", &[("phone", 1_000)]).with(spec);
    script.open_for = Duration::from_secs(900);
    let object = script.object();
    stage::apply(cluster, &object).await?;
    reaches(cluster, script.name, Phase::Open, Duration::from_secs(180)).await?;
    let gateways = gateways(cluster).await?;
    ensure!(
        gateways.len() == 2 * GATEWAYS_PER_ROOM as usize,
        "{} gateways",
        gateways.len()
    );

    let mut flips = Flips {
        cluster,
        script: &script,
        gateways: &gateways,
        number: 0,
    };
    let quiet = flips.times(FLIPS).await?;
    let redis = {
        let _down = frozen::Frozen::all(cluster, SHOP, "redis-server").await?;
        flips.times(FLIPS_IN_NEED).await.context("with Redis down")?
    };
    server::freeze(cluster, "pulsar")?;
    let pulsar = flips.times(FLIPS_IN_NEED).await.context("with Pulsar down");
    server::thaw(cluster, "pulsar")?;
    let all: Vec<Duration> = [quiet, redis, pulsar?].concat();
    let p99 = quantile(&all, 0.99);
    println!(
        "    {} flips at {} gateways: p50 {:?}, p99 {p99:?}",
        all.len() / gateways.len(),
        gateways.len(),
        quantile(&all, 0.5)
    );
    ensure!(p99 < P99_MAX, "p99 {p99:?}");

    flips.survives_the_pipeline(&object).await?;
    flips.expires().await
}

fn quantile(times: &[Duration], q: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let ix = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[ix]
}

/// The addresses of the gateways' pods.
async fn gateways(cluster: &Cluster) -> Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SHOP);
    let list = pods
        .list(&ListParams::default().labels("app.kubernetes.io/component=gateway"))
        .await?;
    let ip = |pod: &Pod| pod.status.as_ref()?.pod_ip.clone();
    Ok(list.iter().filter_map(ip).collect())
}

struct Flips<'a> {
    cluster: &'a Cluster,
    script: &'a Script,
    gateways: &'a [String],
    number: u32,
}

impl Flips<'_> {
    fn switches(&self) -> Api<FlashSaleSwitch> {
        Api::namespaced(self.cluster.client.clone(), SHOP)
    }

    async fn flip(&mut self, expires_after: &str) -> Result<String> {
        self.number += 1;
        let name = format!("pause-{}", self.number);
        let switch = json!({
            "apiVersion": "flashsale.dev/v1alpha1", "kind": "FlashSaleSwitch", "metadata": {"name": name},
            "spec": {
                "saleName": self.script.name, "set": {"sale": {"paused": true}}, "reason": "a rehearsal",
                "expiresAfter": expires_after,
            },
        });
        self.switches()
            .create(&PostParams::default(), &serde_json::from_value(switch)?)
            .await?;
        Ok(name)
    }

    /// On and off again, so many times; how long it took at each gateway.
    async fn times(&mut self, flips: u32) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..flips / 2 {
            let begun = Instant::now();
            let name = self.flip("10m").await?;
            times.extend(self.all_answer(true, begun).await?);
            let begun = Instant::now();
            self.switches().delete(&name, &DeleteParams::default()).await?;
            times.extend(self.all_answer(false, begun).await?);
        }
        Ok(times)
    }

    /// Until each gateway answers as switched: how long after `begun`.
    async fn all_answer(&self, paused: bool, begun: Instant) -> Result<Vec<Duration>> {
        let mut asking = JoinSet::new();
        let client = reqwest::Client::builder().timeout(UNANSWERED).build()?;
        for (ix, gateway) in self.gateways.iter().enumerate() {
            let url = format!("http://{gateway}:8080/v1/sales/{}/purchases", self.script.name);
            let (client, buyer) = (client.clone(), format!("asker-{ix}"));
            asking.spawn(async move {
                loop {
                    if is_paused(&client, &url, &buyer).await? == paused {
                        return Ok::<_, anyhow::Error>(begun.elapsed());
                    }
                    ensure!(begun.elapsed() < SEEN_WITHIN, "{url} still isn't paused={paused}");
                    tokio::time::sleep(ASK_EVERY).await;
                }
            });
        }
        let mut times = Vec::new();
        while let Some(answered) = asking.join_next().await {
            times.push(answered??);
        }
        Ok(times)
    }

    /// A pipeline that applies its YAML again takes no switch back.
    async fn survives_the_pipeline(&mut self, object: &Value) -> Result<()> {
        let name = self.flip("10m").await?;
        self.all_answer(true, Instant::now()).await?;
        stage::apply(self.cluster, object).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let still = self.all_answer(true, Instant::now()).await?;
        ensure!(
            still.iter().all(|t| *t < Duration::from_secs(1)),
            "the pipeline took the switch back"
        );
        self.switches().delete(&name, &DeleteParams::default()).await?;
        self.all_answer(false, Instant::now()).await?;
        println!("    a server-side apply of the original changes nothing of it");
        Ok(())
    }

    /// It ends by itself.
    async fn expires(&mut self) -> Result<()> {
        let name = self.flip("1m").await?;
        self.all_answer(true, Instant::now()).await?;
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(50)).await;
        self.all_answer(true, Instant::now())
            .await
            .context("before it expires")?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.all_answer(false, Instant::now())
            .await
            .context("after it expired")?;
        let switches = self.switches();
        wait::until(
            "the switch says that it expired",
            Duration::from_secs(30),
            async || {
                let status = switches.get(&name).await?.status.unwrap_or_default();
                let phase = format!("{:?}", status.phase);
                Ok(if phase.contains("Expired") {
                    Ok(())
                } else {
                    Err(phase)
                })
            },
        )
        .await?;
        println!(
            "    it expired by itself, {:?} after it was seen",
            begun.elapsed()
        );
        self.switches().delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Whether a purchase is answered with "paused"; a buyer who has a ticket is told so as often as they ask.
async fn is_paused(client: &reqwest::Client, url: &str, buyer: &str) -> Result<bool> {
    let body = json!({"item": "phone", "quantity": 1});
    let request = client
        .post(url)
        .header("X-Buyer-Id", buyer)
        .header("Idempotency-Key", buyer);
    let answer = match request.json(&body).send().await {
        // It is on its way to a shard that doesn't answer: nobody has refused it.
        Err(error) if error.is_timeout() => return Ok(false),
        answer => answer?,
    };
    let document: Value = answer.json().await.unwrap_or_default();
    Ok(document["type"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("paused")))
}
