//! What a sale's data directory says, read by the library after the server has gone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_buyers::{TicketHistory, TicketState};
use flashsale_core::event::Change;
use flashsale_core::ids::Keyring;
use flashsale_core::order::State;
use flashsale_core::ticket::{Signer, TicketBytes};
use flashsale_crds::EffectiveBuyers;
use flashsale_dataplane::audit::Evidence;
use flashsale_dataplane::data_dir::{DataDir, Overrides};
use flashsale_dataplane::embedded::{Parts, audit_closed, open_orders};
use flashsale_dataplane::sale::Sale;
use std::path::Path;
use tokio::runtime::Handle;

/// A sale at rest.
pub(crate) struct AtRest {
    pub(crate) sale: Sale,
    pub(crate) evidence: Evidence,
    signer: Signer,
}

impl AtRest {
    /// Reads it on a thread of its own: the compiler can't see that the databases' futures may be moved between threads.
    pub(crate) async fn read(data: &Path) -> Self {
        let (data, runtime) = (data.to_owned(), Handle::current());
        let reading = tokio::task::spawn_blocking(move || runtime.block_on(Self::read_here(&data)));
        reading.await.unwrap()
    }

    async fn read_here(data: &Path) -> Self {
        let overrides = Overrides {
            buyers: Some(EffectiveBuyers::development()),
            ..Overrides::default()
        };
        let prepared = DataDir::new(data).load(&overrides).unwrap();
        let (dir, sale) = (prepared.dir, prepared.sale);
        let orders = open_orders(&dir, &sale, serde_json::Value::Null, &Parts::default())
            .await
            .unwrap();
        let secret: String = orders
            .ticket_secret()
            .0
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        orders.close().await;
        let (_, _, evidence) = audit_closed(&dir, &sale, serde_json::Value::Null, &Parts::default())
            .await
            .unwrap();
        let signer = Signer::new(sale.uid, secret.as_bytes());
        Self {
            sale,
            evidence,
            signer,
        }
    }

    /// What was promised to a buyer and isn't there: a ticket that was shown as reserved (or further) must be
    /// in the log, for this buyer, and an order; one that was shown as paid must be a paid order.
    pub(crate) fn unkept(&self, shown: &TicketHistory) -> Option<String> {
        let promised = [TicketState::Reserved, TicketState::Ordered, TicketState::Paid];
        if !promised.into_iter().any(|state| shown.was_shown(state)) {
            return None;
        }
        self.kept(shown)
            .err()
            .map(|what| format!("{}: {what}: {shown:?}", shown.buyer))
    }

    fn kept(&self, shown: &TicketHistory) -> Result<(), &'static str> {
        let bytes = URL_SAFE_NO_PAD
            .decode(&shown.ticket)
            .map_err(|_| "not a ticket")?;
        let bytes = TicketBytes::try_from(bytes).map_err(|_| "not a ticket")?;
        let buyer = Keyring::new(self.sale.uid).buyer(&shown.buyer);
        let ticket = self.signer.open(&bytes, buyer).ok_or("not this buyer's ticket")?;
        let events = self
            .evidence
            .events
            .get(ticket.shard.ix())
            .ok_or("no such shard")?;
        let event = events
            .get(ticket.no.n as usize - 1)
            .filter(|e| e.ticket() == ticket.no);
        match event.map(|e| &e.change) {
            Some(Change::Reserved(r)) if r.buyer == buyer && *r.buyer_id == *shown.buyer => {}
            Some(_) => return Err("in the log is something else"),
            None => return Err("not in the log"),
        }
        let order = self
            .evidence
            .orders
            .iter()
            .find(|o| (o.shard, o.ticket) == (ticket.shard, ticket.no))
            .ok_or("not in the order database")?;
        if order.buyer_id != shown.buyer {
            return Err("the order is somebody else's");
        }
        if shown.was_shown(TicketState::Paid) && order.state != State::Paid {
            return Err("shown as paid, but not a paid order");
        }
        Ok(())
    }
}
