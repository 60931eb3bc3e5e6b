//! Collects what the audit looks at: the journal from its start, the order database, the engines.

use crate::amendments::Amended;
use crate::audit::{Evidence, OrderRow, PaymentRow, Served};
use crate::sale::Sale;
use crate::worker::{Counted, Intake, IntakeError, Records};
use flashsale_core::event::Event;
use flashsale_orders::Orders;

/// Events read at once.
const EVENTS_MAX: usize = 65_536;

/// What can't be collected.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] IntakeError),
    /// What was amended can't be read.
    #[error("what was amended can't be read ({0}): audit with the version that served the sale")]
    Amended(#[from] serde_json::Error),
    /// The order database can't be read.
    #[error(transparent)]
    Orders(#[from] flashsale_orders::Error),
}

/// Collects the evidence of a sale at rest; `engines` are those that served, if they still live.
///
/// # Errors
/// The log or the database can't be read.
pub async fn collect(
    sale: &Sale,
    records: Box<dyn Records>,
    orders: &Orders,
    engines: Vec<Option<Served>>,
) -> Result<Evidence, EvidenceError> {
    let (_, amended) = orders.amended().await?;
    let mut evidence = Evidence {
        events: counted(sale, records)?,
        amended: Amended::read(&amended)?,
        ..Evidence::default()
    };
    let recovered = orders
        .recover(|order| {
            evidence.orders.push(OrderRow {
                order_id: sale.order_id(order.shard, order.ticket),
                shard: order.shard,
                ticket: order.ticket,
                buyer_id: order.buyer.into(),
                item: order.item,
                units: order.units,
                state: order.state,
            });
        })
        .await?;
    evidence.cursors = recovered.rows.iter().map(|(_, row)| row.applied).collect();
    orders
        .payments(|payment| {
            evidence.payments.push(PaymentRow {
                payment_id: payment.id.into(),
                order_id: payment.order_id.into(),
                amount_minor: payment.amount as i64,
                accepted: !payment.refund_due,
            });
        })
        .await?;
    orders
        .live_units(|shard, item, unit, _| evidence.live_units.push((shard, item, unit)))
        .await?;
    evidence.dead = orders
        .dead_events()
        .await?
        .into_iter()
        .map(|d| (d.shard, d.event))
        .collect();
    evidence.engines = engines;
    Ok(evidence)
}

/// The events that count, by shard.
fn counted(sale: &Sale, records: Box<dyn Records>) -> Result<Vec<Vec<Event>>, IntakeError> {
    let mut lists: Vec<Vec<Event>> = vec![Vec::new(); usize::from(sale.shards)];
    let mut intake = Intake::new(sale.uid, sale.shards, records);
    loop {
        let taken = intake.take(EVENTS_MAX)?;
        if taken.is_empty() {
            return Ok(lists);
        }
        for (shard, counted) in taken {
            let list = &mut lists[shard.ix()];
            for step in counted {
                match step {
                    Counted::Opened { base, .. } => list.truncate(base as usize),
                    Counted::Events { events, .. } => list.extend(events),
                }
            }
        }
    }
}
