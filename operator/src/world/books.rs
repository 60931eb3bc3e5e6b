//! A sale's books: its order databases and its log, read as the data plane reads them.

use super::{World, data_uid};
use flashsale_core::engine::Engine;
use flashsale_core::ids::ShardId;
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::amendments::Amended;
use flashsale_dataplane::audit::{self, Audit as Verdict, Evidence, Served};
use flashsale_dataplane::data_dir::{self, Decided, Overrides};
use flashsale_dataplane::embedded::described;
use flashsale_dataplane::evidence;
use flashsale_dataplane::sale::Sale;
use flashsale_operator_core::api::FlashSaleClassSpec;
use flashsale_operator_core::names::{Names, REDIS_PORT};
use flashsale_operator_core::observed::{Audit, Kind};
use flashsale_operator_core::pinned::Pin;
use flashsale_operator_core::{Millis, SecretText};
use flashsale_orders::{Orders, TicketSecret};
use flashsale_pulsar::{Delivery, From as Begin, Names as LogNames, Reader, Service};
use flashsale_redis::{Options, ShardName, SidecarShard, State};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the log may be silent while it is read to its end.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long one Redis may take to say what it holds.
const DUMP_MAX: Duration = Duration::from_secs(60);
/// At most so many findings are told in the status; all are in the report.
const FINDINGS_MAX: usize = 16;

/// What it takes to read a sale's books.
pub(crate) struct Books<'a> {
    /// What things are called.
    pub(crate) names: &'a Names,
    /// The class, as pinned.
    pub(crate) class: &'a FlashSaleClassSpec,
    /// What the sale is made from.
    pub(crate) pin: &'a Pin,
}

/// Records of the log, by partition.
pub(crate) type Log = VecDeque<(u16, bytes::Bytes)>;

impl Books<'_> {
    /// The sale as its processes have it.
    ///
    /// # Errors
    /// What is pinned can't be read.
    pub(crate) fn sale(&self) -> Result<(Sale, Value), String> {
        let run = self.names.run();
        let template = self
            .pin
            .templates
            .iter()
            .find(|t| t.kind == Kind::ConfigMap && t.name == run);
        let file = |name: &str| {
            let text = template.and_then(|template| template.object["data"][name].as_str());
            text.ok_or_else(|| format!("the revision pins no {name}: was it edited?"))
        };
        let (yaml, json) = (file("sale.yaml")?, file("sale.json")?);
        let decided: Decided =
            serde_json::from_str(json).map_err(|e| format!("the pinned sale.json can't be read: {e}"))?;
        // Who buyers are doesn't matter to the books.
        let overrides = Overrides {
            buyers: Some(EffectiveBuyers::development()),
            ..Overrides::default()
        };
        let sale = data_dir::build(yaml, &overrides, &decided).map_err(|e| e.to_string())?;
        Ok((sale, Value::String(yaml.to_owned())))
    }

    /// Opens the sale's databases at `urls`, and enters it where it is new, with this secret for its tickets.
    ///
    /// # Errors
    /// A database can't be used.
    pub(crate) async fn open(
        &self,
        urls: &[SecretText],
        tickets: TicketSecret,
    ) -> Result<(Sale, Orders), String> {
        let (sale, spec) = self.sale()?;
        let targets: Vec<&str> = urls.iter().map(SecretText::reveal).collect();
        let orders = Orders::open_all(&targets, described(&sale, spec, tickets))
            .await
            .map_err(|e| e.to_string())?;
        // As the worker has taken changes of the running sale.
        let (revision, amended) = orders.amended().await.map_err(|e| e.to_string())?;
        if revision == 0 {
            return Ok((sale, orders));
        }
        let amended =
            Amended::read(&amended).map_err(|e| format!("the sale's changes can't be read: {e}"))?;
        Ok((amended.of(&sale), orders))
    }
}

/// Everything that the log holds now.
///
/// # Errors
/// It can't be read to its end.
pub(crate) async fn read_all((service, names): &(Service, LogNames), shards: u16) -> Result<Log, String> {
    let partitions = (0..shards).map(|partition| (partition, Begin::Start));
    let mut reader = Reader::start(service, names, partitions);
    let (mut records, mut open) = (Log::new(), shards);
    while open > 0 {
        match tokio::time::timeout(SILENCE_MAX, reader.next()).await {
            Ok(Some(Delivery::Record(record))) => records.push_back((record.partition, record.bytes)),
            Ok(Some(Delivery::CaughtUp { .. })) => open -= 1,
            Ok(None) => break,
            Err(_) => {
                let trouble = reader.state().trouble();
                let why = trouble.map_or_else(String::new, |(_, why)| format!(": {why}"));
                return Err(format!("the order log can't be read to its end{why}"));
            }
        }
    }
    Ok(records)
}

impl World {
    /// Folds the log anew and compares it with orders, payments, live units and what each Redis holds; `redis` is the
    /// password of the shards' sidecars, if their pods are still there.
    ///
    /// # Errors
    /// Log or databases can't be read.
    pub(crate) async fn audit(
        &self,
        books: &Books<'_>,
        redis: Option<&SecretText>,
        domain: &str,
        now: Millis,
    ) -> Result<Audit, String> {
        let log = self.log_service(books.class, books.names).await?;
        let urls = self.book_urls(books.class, books.names).await?;
        let (sale, orders) = books.open(&urls, TicketSecret(rand::random())).await?;
        let collected = async {
            let records = Box::new(read_all(&log, sale.shards).await?);
            let collected = evidence::collect(&sale, records, &orders, Vec::new()).await;
            let mut evidence = collected.map_err(|e| e.to_string())?;
            let totals = orders.totals().await.map_err(|e| e.to_string())?;
            if let Some(password) = redis {
                evidence.engines = engines(books, &sale, &evidence, password, domain).await;
            }
            Ok::<_, String>((evidence, totals))
        };
        let collected = collected.await;
        orders.close().await;
        let (evidence, totals) = collected?;
        let (verdict, items) = audit::audit(&sale, &evidence);
        Ok(report(&sale, &verdict, &items, &evidence, &totals, now))
    }
}

/// What each Redis holds, compared with what follows from the log.
async fn engines(
    books: &Books<'_>,
    sale: &Sale,
    evidence: &Evidence,
    password: &SecretText,
    domain: &str,
) -> Vec<Option<Served>> {
    let mut engines = Vec::new();
    for (shard, events) in (0..sale.shards).zip(&evidence.events) {
        let mut engine = Engine::new(sale.rules());
        // What doesn't follow is what the audit is for.
        let _ = events.iter().try_for_each(|event| engine.apply(event));
        let Some(room) = books.pin.sizes.room_of(shard) else {
            continue;
        };
        let host = format!("{}.{domain}", books.names.shard_host(&room.name, shard));
        let url = format!("redis://sidecar:{}@{host}:{REDIS_PORT}", password.reveal());
        let name = ShardName::new(data_uid(books.names), ShardId(shard));
        let dump = async {
            let redis = SidecarShard::connect(&Options::new(url), name)
                .await
                .map_err(|e| e.to_string())?;
            redis.dump().await.map_err(|e| e.to_string())
        };
        let served = match tokio::time::timeout(DUMP_MAX, dump).await {
            Ok(Ok(state)) if state == State::from(&engine) => Served::Engine(Box::new(engine)),
            Ok(Ok(state)) => Served::Differs(format!(
                "Redis (up to event {}) differs from the log (up to event {})",
                state.n,
                events.len()
            )),
            Ok(Err(why)) => Served::Differs(format!("its Redis can't be asked what it holds: {why}")),
            Err(_) => Served::Differs("its Redis can't be asked what it holds: no answer".to_owned()),
        };
        engines.push(Some(served));
    }
    engines
}

fn report(
    sale: &Sale,
    verdict: &Verdict,
    items: &[audit::ItemTotals],
    evidence: &Evidence,
    totals: &flashsale_orders::Totals,
    now: Millis,
) -> Audit {
    let failed = verdict.checks.iter().filter(|(_, check)| !check.ok);
    let findings = failed.map(|(name, check)| {
        let first = check
            .offenders
            .first()
            .map_or_else(String::new, |offender| format!("; first {offender}"));
        format!("{name}: {}{first}", check.detail)
    });
    let count = |wanted: fn(&flashsale_core::order::State) -> bool| {
        evidence
            .orders
            .iter()
            .filter(|order| wanted(&order.state))
            .count() as u64
    };
    let made = count(|state| *state != flashsale_core::order::State::Reserved);
    let named: Vec<Value> = sale
        .items
        .iter()
        .zip(items)
        .map(|(item, totals)| json!({"id": item.id, "units": totals}))
        .collect();
    Audit {
        at: now,
        findings: findings.take(FINDINGS_MAX).collect(),
        stock: items.iter().map(|item| item.stock).sum(),
        sold: items.iter().map(|item| item.sold).sum(),
        orders: made,
        closed: count(|state| matches!(state, flashsale_core::order::State::Closed(_))),
        refunds_due: totals.refund_due.0,
        report: json!({
            "sale": sale.name,
            "namespace": sale.namespace,
            "uid": format!("{:032x}", sale.uid.0),
            "ok": verdict.ok,
            "items": named,
            "orders": {"made": made, "closed": count(|s| matches!(s, flashsale_core::order::State::Closed(_)))},
            "payments": {"refundsDue": totals.refund_due.0},
            "checks": verdict.checks,
        }),
    }
}
