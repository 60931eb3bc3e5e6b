//! Registration ahead of the sale.

use super::identity::NotKnown;
use super::problem::{Problem, with_api_headers};
use super::purchase::Answered;
use super::thread::{Arrival, Thread};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_core::attempt::Registered;
use flashsale_core::ids::BuyerKey;
use flashsale_http::{Reply, Request, Response, StatusCode};
use serde_json::json;
use std::rc::Rc;

impl Thread {
    pub(super) fn register(
        self: &Rc<Self>,
        sale: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        self.check_sale(sale)?;
        let shared = self.shared();
        let closed = match &shared.sale.registration {
            None => Some("This sale has no registration: everybody may buy once it opens."),
            Some(window) if arrival.ms < window.opens => Some("Registration has not begun yet."),
            Some(window) if arrival.ms >= window.closes => Some("Registration is over."),
            Some(_) => None,
        };
        if let Some(why) = closed {
            return Err(Problem::RegistrationNotOpen(why).into());
        }
        let buyer = self.buyer(request, arrival)?.key;
        if !matches!(request.body.trim_ascii(), b"" | b"{}") {
            return Err(Problem::InvalidRequest("A registration has no body.".to_owned()).into());
        }
        let shard = buyer.home(shared.sale.shards);
        let key = self.funnel.borrow_mut().register(buyer, shard, arrival.at);
        Ok(Reply::Later(Box::pin(Answered::new(
            self,
            key.ok_or(Problem::Busy)?,
            buyer,
        ))))
    }

    pub(super) fn registered(&self, buyer: BuyerKey, registered: Registered) -> Reply {
        let status = match registered {
            Registered::New => StatusCode::CREATED,
            Registered::Already => StatusCode::OK,
            Registered::Full => return self.answers.refuse(&Problem::RegistrationFull),
            Registered::Unavailable => return self.answers.refuse(&Problem::Busy),
        };
        let body = json!({ "entitlement": self.entitlement(buyer), "sale": self.shared().sale.name });
        with_api_headers(Response::json(status, body.to_string())).into()
    }

    /// The proof that this buyer is registered; the same each time.
    fn entitlement(&self, buyer: BuyerKey) -> String {
        let mut material = self.shared().sale.uid.0.to_be_bytes().to_vec();
        material.extend_from_slice(self.all.options.ticket_secret.expose().as_bytes());
        let key = blake3::derive_key("flashsale 2026 entitlements", &material);
        URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&key, &buyer.0.to_be_bytes()).as_bytes())
    }
}
