//! The audit of a served sale, with what its buyers were shown as evidence.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_buyers::{Outcome, TicketState};
use flashsale_core::ids::Keyring;
use flashsale_core::ticket::{Signer, TicketBytes};
use flashsale_dataplane::audit::{self, Audit, ItemTotals};
use flashsale_dataplane::embedded::{Embedded, ServeError};

pub(crate) async fn audit(
    embedded: &Embedded,
    outcome: Option<&Outcome>,
) -> Result<(Audit, Vec<ItemTotals>), ServeError> {
    let (verdict, totals, mut evidence) = embedded.audit().await?;
    let Some(outcome) = outcome else {
        return Ok((verdict, totals));
    };
    let sale = &embedded.shared.sale;
    let secret: String = embedded
        .orders()
        .ticket_secret()
        .0
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let (keys, signer) = (Keyring::new(sale.uid), Signer::new(sale.uid, secret.as_bytes()));
    let promised = outcome
        .tickets
        .iter()
        .filter(|t| t.was_shown(TicketState::Reserved));
    evidence.shown_reserved = promised
        .filter_map(|shown| {
            let bytes = TicketBytes::try_from(URL_SAFE_NO_PAD.decode(&shown.ticket).ok()?).ok()?;
            let ticket = signer.open(&bytes, keys.buyer(&shown.buyer))?;
            Some((ticket.shard, ticket.no))
        })
        .collect();
    Ok(audit::audit(sale, &evidence))
}
