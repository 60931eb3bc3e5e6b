//! A sale's books: its order databases, and the audit of a sale that nobody serves.

use super::ServeError;
use super::parts::{self, Parts};
use crate::audit::{self, Audit, Evidence, ItemTotals};
use crate::clock::now_ms;
use crate::data_dir::DataDir;
use crate::evidence;
use crate::sale::{Occasion, Sale};
use crate::shared::SalePhase;
use crate::worker::Records;
use flashsale_orders::{Orders, Routes, SaleItem, TicketSecret};

/// Opens the audit's view of a sale that nobody serves.
///
/// # Errors
/// The evidence can't be collected.
pub async fn audit_closed(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
    parts: &Parts,
) -> Result<(Audit, Vec<ItemTotals>, Evidence), ServeError> {
    let records: Box<dyn Records> = match parts.log(sale.uid) {
        Some(log) => Box::new(parts::read_all(&log, sale.shards).await?),
        None => Box::new(flashsale_journal::read_closed(dir.journal())?.0),
    };
    let orders = open_existing_orders(dir, sale, spec, parts).await?;
    let evidence = evidence::collect(sale, records, &orders, Vec::new()).await?;
    orders.close().await;
    let (verdict, totals) = audit::audit(sale, &evidence);
    Ok((verdict, totals, evidence))
}

/// Opens the sale's order database, which must be there.
///
/// # Errors
/// There is none, or the file can't be used.
pub async fn open_existing_orders(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
    parts: &Parts,
) -> Result<Orders, ServeError> {
    if parts.databases.is_empty() {
        dir.require_orders()?;
    }
    Ok(open_orders(dir, sale, spec, parts).await?)
}

/// Opens the sale's order database, or makes it.
///
/// # Errors
/// The file can't be used.
pub async fn open_orders(
    dir: &DataDir,
    sale: &Sale,
    spec: serde_json::Value,
    parts: &Parts,
) -> Result<Orders, flashsale_orders::Error> {
    let sale = described(sale, spec, TicketSecret(rand::random()));
    if parts.databases.is_empty() {
        return Orders::open(&dir.orders().display().to_string(), sale).await;
    }
    let targets: Vec<&str> = parts.databases.iter().map(String::as_str).collect();
    Orders::open_all(&targets, sale).await
}

/// The sale as its order databases know it; `fresh_secret` signs its tickets if they see it for the first time.
#[must_use]
pub fn described(sale: &Sale, spec: serde_json::Value, fresh_secret: TicketSecret) -> flashsale_orders::Sale {
    let on = |occasion| {
        let told = sale.targets.iter().filter(move |t| t.on == occasion);
        told.map(|t| t.name.as_str().into()).collect::<Vec<Box<str>>>()
    };
    let items = sale.items.iter().map(|item| SaleItem {
        id: item.id.as_str().into(),
        price: item.price.minor().unsigned_abs(),
    });
    flashsale_orders::Sale {
        uid: sale.uid,
        namespace: sale.namespace.as_str().into(),
        name: sale.name.as_str().into(),
        spec,
        phase: SalePhase::Armed.word().into(),
        currency: sale.currency.code().into(),
        decimals: sale.currency.decimals(),
        shards: sale.shards,
        items: items.collect(),
        routes: Routes {
            handover: on(Occasion::Ordered),
            paid: on(Occasion::Paid),
            closed: on(Occasion::Closed),
            refund: on(Occasion::Paid),
        },
        fresh_secret,
        now: now_ms(),
    }
}
