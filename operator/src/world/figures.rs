//! What the sale's own processes say: the worker's figures, and everybody's clock.

use super::World;
use crate::observe::{component, is_ready};
use flashsale_operator_core::api::ItemFigures;
use flashsale_operator_core::names::{ADMIN_PORT, Names};
use flashsale_operator_core::observed::{ClockOffset, DataPhase, Figures, PagesServed, ShardFigures};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clocks that are asked at once.
const AT_ONCE: usize = 8;
/// At most so many processes are asked for their clock.
const CLOCKS_MAX: usize = 64;
/// A document larger than this isn't read.
const BYTES_MAX: usize = 1 << 20;

/// What of `live.json` is read here. Whatever is missing in another version's is as empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Live {
    phase: String,
    now_ms: u64,
    items: Vec<LiveItem>,
    funnel: Funnel,
    queue: Queue,
    shards: Vec<LiveShard>,
    loaded: bool,
    amendments_revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LiveItem {
    id: String,
    stock: i64,
    sellable: i64,
    in_transfer: i64,
    locked: i64,
    sold: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Funnel {
    ordered: u64,
    closed: u64,
    refund_due: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Queue {
    waiting: u64,
    oldest_seconds: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LiveShard {
    id: u16,
    epoch: u32,
    state: String,
    open: bool,
    applied: u64,
}

/// What of `pages.json` is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedPages {
    version: String,
    own: String,
    pages: Vec<ListedPage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedPage {
    path: String,
    hits: u64,
}

impl World {
    /// The worker's figures.
    pub(super) async fn figures(&self, names: &Names, domain: &str) -> Result<Figures, String> {
        let live = self.live(&format!("{}.{domain}", names.worker_host())).await?;
        figures(live)
    }

    /// How far the clocks of the sale's processes are off, of those that answer.
    pub(super) async fn clocks(&self, pods: &[Arc<Pod>]) -> Vec<ClockOffset> {
        let asked = pods.iter().filter_map(|pod| {
            let serves = matches!(component(&pod.metadata), "gateway" | "shard" | "worker");
            let address = pod.status.as_ref()?.pod_ip.clone()?;
            let name = pod.metadata.name.clone()?;
            (serves && pod.metadata.deletion_timestamp.is_none()).then_some((name, address))
        });
        let asked: Vec<_> = asked.take(CLOCKS_MAX).collect();
        let offsets = stream::iter(asked)
            .map(|(name, address)| self.clock(name, address))
            .buffer_unordered(AT_ONCE);
        let mut offsets: Vec<ClockOffset> = offsets.filter_map(std::future::ready).collect().await;
        offsets.sort_by(|a, b| a.process.cmp(&b.process));
        offsets
    }

    /// What each gateway that is ready serves as pages.
    ///
    /// # Errors
    /// One doesn't say: its name, and why.
    pub(super) async fn pages(&self, pods: &[Arc<Pod>]) -> Result<Vec<PagesServed>, String> {
        let asked = pods.iter().filter(|pod| {
            component(&pod.metadata) == "gateway"
                && is_ready(pod)
                && pod.metadata.deletion_timestamp.is_none()
        });
        let asked = asked.filter_map(|pod| {
            let address = pod.status.as_ref()?.pod_ip.clone()?;
            Some((pod.metadata.name.clone()?, address))
        });
        let asked: Vec<_> = asked.take(CLOCKS_MAX).collect();
        let answers = stream::iter(asked).map(|(name, address)| async move {
            let listed: ListedPages = self.told(&host(&address), "pages.json").await?;
            Ok(PagesServed {
                gateway: name,
                version: listed.version,
                own: listed.own,
                hits: listed
                    .pages
                    .into_iter()
                    .map(|page| (page.path, page.hits))
                    .collect(),
            })
        });
        let answers: Vec<Result<PagesServed, String>> = answers.buffered(AT_ONCE).collect().await;
        answers.into_iter().collect()
    }

    async fn clock(&self, process: String, address: String) -> Option<ClockOffset> {
        let before = now_ms();
        let live = self
            .live(&host(&address))
            .await
            .ok()
            .filter(|live| live.now_ms > 0)?;
        let after = now_ms();
        Some(offset(process, (before, after), live.now_ms))
    }

    async fn live(&self, host: &str) -> Result<Live, String> {
        self.told(host, "live.json").await
    }

    /// A document of an admin port.
    async fn told<T: DeserializeOwned>(&self, host: &str, document: &str) -> Result<T, String> {
        let url = format!("http://{host}:{ADMIN_PORT}/{document}");
        let failed = |e: reqwest::Error| format!("{host}: {}", crate::error::chain(&e.without_url()));
        let answer = self.http.get(url).send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let bytes = answer.bytes().await.map_err(failed)?;
        if bytes.len() > BYTES_MAX {
            return Err(format!("{host}: {document} is larger than {BYTES_MAX} bytes"));
        }
        serde_json::from_slice(&bytes).map_err(|e| format!("{host}: {document} can't be read: {e}"))
    }
}

/// An address as URLs have it.
fn host(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

fn figures(live: Live) -> Result<Figures, String> {
    Ok(Figures {
        phase: match live.phase.as_str() {
            "Armed" => DataPhase::Armed,
            "Open" => DataPhase::Open,
            "Draining" => DataPhase::Draining,
            "Settling" => DataPhase::Settling,
            "Settled" => DataPhase::Settled,
            other => {
                return Err(format!(
                    "the worker is in a phase called {other:?}, which this operator doesn't know"
                ));
            }
        },
        items: live
            .items
            .into_iter()
            .map(|item| ItemFigures {
                id: item.id,
                stock: item.stock,
                sellable: item.sellable,
                locked: item.locked,
                sold: item.sold,
                in_transfer: item.in_transfer,
            })
            .collect(),
        shards: live
            .shards
            .into_iter()
            .map(|shard| ShardFigures {
                id: shard.id,
                epoch: shard.epoch,
                state: shard.state,
                open: shard.open,
                applied: shard.applied,
            })
            .collect(),
        waiting: live.queue.waiting,
        oldest_waiting_ms: (live.queue.oldest_seconds * 1e3) as u64,
        loaded: live.loaded,
        amended: live.amendments_revision,
        orders: live.funnel.ordered,
        closed: live.funnel.closed,
        refunds_due: live.funnel.refund_due,
    })
}

/// A clock that said `there` between two looks at ours. The document is made every 250 ms, so it can be that much older.
fn offset(process: String, (before, after): (u64, u64), there: u64) -> ClockOffset {
    const MADE_EVERY_MS: u64 = 250;
    let middle = before.midpoint(after);
    let uncertain_ms = after.saturating_sub(before).div_ceil(2) + MADE_EVERY_MS / 2;
    // On average half of the time between two documents has gone by.
    let offset = i128::from(there) + i128::from(MADE_EVERY_MS / 2) - i128::from(middle);
    ClockOffset {
        process,
        offset_ms: i64::try_from(offset).unwrap_or(i64::MAX),
        uncertain_ms,
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_another_version_is_read_as_far_as_it_goes() {
        let live: Live = serde_json::from_str(
            r#"{"phase": "Open", "later": {}, "items": [{"id": "a", "stock": 3, "sold": 2, "sellable": 1}], "queue": {"waiting": 2}}"#,
        )
        .unwrap();
        let figures = figures(live).unwrap();
        assert_eq!(
            (figures.phase, figures.waiting, figures.loaded),
            (DataPhase::Open, 2, false)
        );
        assert!(figures.items[0].adds_up());
        let odd: Live = serde_json::from_str(r#"{"phase": "Odd"}"#).unwrap();
        assert!(super::figures(odd).is_err());
    }

    #[test]
    fn a_clock_is_off_by_what_the_way_doesnt_explain() {
        let seen = offset("a".into(), (1_000, 1_020), 6_010 - 125);
        assert_eq!((seen.offset_ms, seen.uncertain_ms), (5_000, 135));
        let seen = offset("a".into(), (1_000, 1_000), 1_000 - 125);
        assert_eq!(seen.offset_ms, 0);
    }
}
