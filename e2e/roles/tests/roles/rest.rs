//! A sale at rest: what its log, its databases and its Redis say, when nobody serves it any more.

use crate::stage::Stage;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_buyers::{Outcome, TicketHistory, TicketState};
use flashsale_core::engine::Engine;
use flashsale_core::event::Change;
use flashsale_core::ids::{Keyring, ShardId};
use flashsale_core::order::State;
use flashsale_core::ticket::{Signer, Ticket, TicketBytes};
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::audit::{self, Audit, Evidence, Served};
use flashsale_dataplane::data_dir::{DataDir, Overrides};
use flashsale_dataplane::embedded::audit_closed;
use flashsale_dataplane::sale::Sale;
use flashsale_redis::{Options, ShardName, SidecarShard};
use std::collections::HashMap;

/// What is left of a sale.
pub(crate) struct AtRest {
    pub(crate) sale: Sale,
    pub(crate) evidence: Evidence,
    signer: Signer,
}

impl AtRest {
    /// Reads all of it.
    pub(crate) async fn read(stage: &Stage) -> Self {
        let overrides = Overrides {
            buyers: Some(EffectiveBuyers::development()),
            ..Overrides::default()
        };
        let prepared = DataDir::new(stage.sale_dir()).load(&overrides).unwrap();
        let (dir, sale) = (prepared.dir, prepared.sale);
        let spec = serde_json::Value::Null;
        let (_, _, mut evidence) = audit_closed(&dir, &sale, spec, &stage.parts).await.unwrap();
        let rules = evidence.amended.of(&sale).rules();
        evidence.engines = Vec::new();
        for (shard, events) in (0..).map(ShardId).zip(&evidence.events) {
            let mut engine = Engine::new(rules.clone());
            // What doesn't follow is what the audit is for.
            let _ = events.iter().try_for_each(|event| engine.apply(event));
            let url = &stage.parts.redis[shard.ix() % stage.parts.redis.len()];
            let name = ShardName::new(sale.uid, shard);
            let redis = SidecarShard::connect(&Options::new(url), name).await.unwrap();
            let state = redis.dump().await.unwrap();
            evidence
                .engines
                .push(Some(if state == flashsale_redis::State::from(&engine) {
                    Served::Engine(Box::new(engine))
                } else {
                    let (held, logged) = (state.n, events.len());
                    Served::Differs(format!(
                        "Redis (up to event {held}) differs from the log (up to event {logged})"
                    ))
                }));
        }
        Self {
            signer: Signer::new(sale.uid, Stage::ticket_secret().as_bytes()),
            sale,
            evidence,
        }
    }

    /// Audits it, with what the buyers were shown.
    pub(crate) fn audit(&mut self, outcome: &Outcome) -> Audit {
        let reserved = outcome
            .tickets
            .iter()
            .filter(|t| t.was_shown(TicketState::Reserved));
        let tickets = reserved.filter_map(|shown| self.open(shown).ok());
        self.evidence.shown_reserved = tickets.map(|ticket| (ticket.shard, ticket.no)).collect();
        audit::audit(&self.sale, &self.evidence).0
    }

    /// Units of each item that were paid.
    pub(crate) fn paid(&self) -> Vec<u32> {
        let mut paid = vec![0; self.sale.items.len()];
        for order in self
            .evidence
            .orders
            .iter()
            .filter(|order| order.state == State::Paid)
        {
            paid[order.item.ix()] += flashsale_core::units::count(&order.units);
        }
        paid
    }

    fn open(&self, shown: &TicketHistory) -> Result<Ticket, &'static str> {
        let bytes = URL_SAFE_NO_PAD
            .decode(&shown.ticket)
            .map_err(|_| "not a ticket")?;
        let bytes = TicketBytes::try_from(bytes).map_err(|_| "not a ticket")?;
        let buyer = Keyring::new(self.sale.uid).buyer(&shown.buyer);
        self.signer.open(&bytes, buyer).ok_or("not this buyer's ticket")
    }

    /// What was promised to buyers and isn't there: a ticket that was shown as reserved (or further) must be in the
    /// log, for this buyer, and an order; one that was shown as paid must be a paid order.
    pub(crate) fn unkept(&self, outcome: &Outcome) -> Vec<String> {
        let orders = self.evidence.orders.iter();
        let orders: HashMap<_, _> = orders
            .map(|o| ((o.shard, o.ticket), (o.buyer_id.as_str(), o.state)))
            .collect();
        let promised = [TicketState::Reserved, TicketState::Ordered, TicketState::Paid];
        let promised = outcome
            .tickets
            .iter()
            .filter(|t| promised.iter().any(|state| t.was_shown(*state)));
        let kept = |shown: &TicketHistory| {
            let ticket = self.open(shown)?;
            let events = self
                .evidence
                .events
                .get(ticket.shard.ix())
                .ok_or("no such shard")?;
            let event = events
                .get(ticket.no.n as usize - 1)
                .filter(|e| e.ticket() == ticket.no);
            match event.map(|event| &event.change) {
                Some(Change::Reserved(r)) if *r.buyer_id == *shown.buyer => {}
                Some(_) => return Err("in the log is something else"),
                None => return Err("not in the log"),
            }
            let (buyer, state) = orders
                .get(&(ticket.shard, ticket.no))
                .ok_or("not in the order database")?;
            if *buyer != shown.buyer {
                return Err("the order is somebody else's");
            }
            if shown.was_shown(TicketState::Paid) && *state != State::Paid {
                return Err("shown as paid, but not a paid order");
            }
            Ok(())
        };
        let unkept = promised.filter_map(|shown| Some((shown, kept(shown).err()?)));
        unkept
            .map(|(shown, what)| format!("{}: {what}: {shown:?}", shown.buyer))
            .collect()
    }
}
