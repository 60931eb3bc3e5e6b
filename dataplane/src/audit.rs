//! The audit: explains every unit of every item from the log, the database and the engines, and names
//! each one that it can't explain.
//!
//! It trusts nobody: the units' lives are followed event by event over all shards, and the database's
//! orders, payments and cursors must tell the same story.

mod ledger;
mod lives;

use crate::amendments::Amended;
use crate::sale::Sale;
use flashsale_core::engine::Engine;
use flashsale_core::event::{Change, Event, ReleaseReason, Reservation, TicketNo};
use flashsale_core::ids::{BuyerKey, ItemIx, RequestKey, Seq, ShardId};
use flashsale_core::order::State;
use flashsale_core::units::{self, Units};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// At most so many offenders are named per check; the detail says how many there are.
const OFFENDERS_MAX: usize = 50;

/// An order as the database has it.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// Its shard.
    pub shard: ShardId,
    /// Its ticket number.
    pub ticket: TicketNo,
    /// The buyer's id.
    pub buyer_id: String,
    /// The item.
    pub item: ItemIx,
    /// The units.
    pub units: Units,
    /// The state.
    pub state: State,
    /// The order's id.
    pub order_id: String,
}

/// A payment as the database has it.
#[derive(Debug, Clone)]
pub struct PaymentRow {
    /// The provider's id.
    pub payment_id: String,
    /// The order it was for.
    pub order_id: String,
    /// How much, in the currency's smallest unit.
    pub amount_minor: i64,
    /// Whether the order was paid by it; otherwise the money is to be given back.
    pub accepted: bool,
}

/// What served a shard's buyers.
#[derive(Debug, Clone)]
pub enum Served {
    /// An engine in memory, or one that equals what Redis holds.
    Engine(Box<Engine>),
    /// Redis holds something else than what follows from its own decisions; says what.
    Differs(String),
}

/// Everything that is known of a sale.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Per shard: the events that count, in order.
    pub events: Vec<Vec<Event>>,
    /// Per shard: the number up to which the database has applied.
    pub cursors: Vec<Seq>,
    /// All orders.
    pub orders: Vec<OrderRow>,
    /// All payments.
    pub payments: Vec<PaymentRow>,
    /// The database's index of live units: (shard, item, unit).
    pub live_units: Vec<(ShardId, ItemIx, u32)>,
    /// Events that the database refused and quarantined.
    pub dead: Vec<(ShardId, TicketNo)>,
    /// Per shard: what served buyers, if it is still there.
    pub engines: Vec<Option<Served>>,
    /// What was amended of the sale.
    pub amended: Amended,
    /// Tickets that a buyer was shown as `reserved`, if somebody wrote them down.
    pub shown_reserved: Vec<(ShardId, TicketNo)>,
}

/// One check's outcome.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Whether everything adds up.
    pub ok: bool,
    /// What was looked at, in words.
    pub detail: String,
    /// What doesn't add up, by name; at most 50.
    pub offenders: Vec<String>,
}

/// The audit's verdict.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Whether all checks are ok.
    pub ok: bool,
    /// By name.
    pub checks: BTreeMap<&'static str, Check>,
}

/// Where an item's units are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemTotals {
    /// Declared.
    pub stock: u64,
    /// Free in a shard.
    pub sellable: u64,
    /// On the way between shards.
    pub in_transfer: u64,
    /// Reserved or waiting for payment.
    pub locked: u64,
    /// Paid.
    pub sold: u64,
}

/// Collects what a check finds.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    looked_at: u64,
    wrong: u64,
    offenders: Vec<String>,
}

impl Findings {
    pub(crate) fn look(&mut self, fine: bool, offender: impl FnOnce() -> String) {
        self.looked_at += 1;
        if !fine {
            self.wrong += 1;
            if self.offenders.len() < OFFENDERS_MAX {
                self.offenders.push(offender());
            }
        }
    }

    fn check(self, of_what: &str) -> Check {
        let Self {
            looked_at,
            wrong,
            offenders,
        } = self;
        let detail = match wrong {
            0 => format!("{looked_at} {of_what}"),
            _ => format!("{wrong} of {looked_at} {of_what}"),
        };
        Check {
            ok: wrong == 0,
            detail,
            offenders,
        }
    }
}

/// How a reservation is named in findings.
pub(crate) fn name(sale: &Sale, shard: ShardId, ticket: TicketNo, item: ItemIx, units: &Units) -> String {
    let units: Vec<String> = units
        .iter()
        .map(|r| {
            if r.len == 1 {
                r.first.to_string()
            } else {
                format!("{}-{}", r.first, r.end() - 1)
            }
        })
        .collect();
    let id = sale.items.get(item.ix()).map_or("?", |i| i.id.as_str());
    format!(
        "{id} unit {} (shard {} epoch {} event {})",
        units.join(","),
        shard.0,
        ticket.made.0,
        ticket.n
    )
}

/// Audits a sale at rest.
#[must_use]
pub fn audit(sale: &Sale, evidence: &Evidence) -> (Audit, Vec<ItemTotals>) {
    let sale = &evidence.amended.of(sale);
    let mut checks = BTreeMap::new();
    let (lives, totals) = lives::follow(sale, evidence, &mut checks);
    ledger::orders(sale, evidence, &lives, &mut checks);
    ledger::money(sale, evidence, &mut checks);
    ledger::live_units(sale, evidence, &mut checks);
    checks.insert("buyersWithinLimit", limits(sale, evidence));
    checks.insert("insideWindow", window(sale, evidence));
    checks.insert("enginesMatchLog", engines(sale, evidence));
    checks.insert("promisesKept", promises(sale, evidence));
    (
        Audit {
            ok: checks.values().all(|c| c.ok),
            checks,
        },
        totals,
    )
}

fn reservations(evidence: &Evidence) -> impl Iterator<Item = (ShardId, TicketNo, &Reservation)> {
    evidence.events.iter().enumerate().flat_map(|(shard, events)| {
        events.iter().filter_map(move |event| match &event.change {
            Change::Reserved(reservation) => Some((ShardId(shard as u16), event.ticket(), reservation)),
            _ => None,
        })
    })
}

/// No buyer ever held more than the limit, lived in two shards, or used a key twice.
fn limits(sale: &Sale, evidence: &Evidence) -> Check {
    let mut findings = Findings::default();
    let mut homes: HashMap<BuyerKey, ShardId> = HashMap::new();
    let mut keys: HashSet<RequestKey> = HashSet::new();
    for (shard, events) in evidence.events.iter().enumerate() {
        let shard = ShardId(shard as u16);
        let mut held: HashMap<(BuyerKey, ItemIx), u32> = HashMap::new();
        let mut live: HashMap<TicketNo, (BuyerKey, ItemIx, u32)> = HashMap::new();
        for event in events {
            match &event.change {
                Change::Reserved(r) => {
                    let quantity = units::count(&r.units);
                    live.insert(event.ticket(), (r.buyer, r.item, quantity));
                    let held = held.entry((r.buyer, r.item)).or_default();
                    *held += quantity;
                    let fine = *held <= sale.items.get(r.item.ix()).map_or(0, |i| i.limit)
                        && *homes.entry(r.buyer).or_insert(shard) == shard
                        && r.key.is_none_or(|key| keys.insert(key));
                    findings.look(fine, || name(sale, shard, event.ticket(), r.item, &r.units));
                }
                Change::Released { ticket, .. } => {
                    if let Some((buyer, item, quantity)) = live.remove(ticket) {
                        *held.entry((buyer, item)).or_default() -= quantity;
                    }
                }
                _ => {}
            }
        }
    }
    findings.check("reservations within their buyer's limit, one shard per buyer, each key once")
}

fn window(sale: &Sale, evidence: &Evidence) -> Check {
    let mut findings = Findings::default();
    for (shard, ticket, r) in reservations(evidence) {
        let fine = (sale.opens..sale.closes).contains(&r.at);
        findings.look(fine, || name(sale, shard, ticket, r.item, &r.units));
    }
    findings.check("reservations made between opening and closing")
}

fn engines(sale: &Sale, evidence: &Evidence) -> Check {
    let mut findings = Findings::default();
    for (shard, events) in evidence.events.iter().enumerate() {
        let mut rebuilt = Engine::new(sale.rules());
        let applied = events.iter().try_for_each(|event| rebuilt.apply(event));
        findings.look(applied.is_ok(), || {
            format!(
                "shard {shard}: {}",
                applied.clone().err().map_or_else(String::new, |e| e.to_string())
            )
        });
        match evidence.engines.get(shard) {
            Some(Some(Served::Engine(live))) => findings.look(**live == rebuilt, || {
                format!("shard {shard}: the serving engine differs from its log")
            }),
            Some(Some(Served::Differs(how))) => findings.look(false, || format!("shard {shard}: {how}")),
            Some(None) | None => {}
        }
    }
    findings.check("shards rebuilt from their log, and compared with the engine that served")
}

fn promises(sale: &Sale, evidence: &Evidence) -> Check {
    let mut findings = Findings::default();
    for &(shard, ticket) in &evidence.shown_reserved {
        let event = ticket
            .n
            .checked_sub(1)
            .and_then(|ix| evidence.events.get(shard.ix())?.get(ix as usize));
        let kept = event.is_some_and(|e| e.made == ticket.made && matches!(e.change, Change::Reserved(_)));
        findings.look(kept, || {
            format!(
                "{} shard {} epoch {} event {}",
                sale.name, shard.0, ticket.made.0, ticket.n
            )
        });
    }
    findings.check("tickets that a buyer saw as reserved are in the log")
}

/// What the log says of one reservation's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It still holds its units.
    Live,
    /// Its units were released.
    Released(ReleaseReason),
}
