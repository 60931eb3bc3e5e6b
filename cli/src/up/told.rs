//! The shop is told how a sale ended, if it wants to be.

use flashsale_crds::Settled;
use flashsale_dataplane::sale::Sale;
use flashsale_dataplane::shop::Message;
use flashsale_screen::report::Report;
use std::time::Duration;

/// Pauses between tries. Whoever starts the sale again on its data tells the shop again, with the same id.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 0];

/// Calls the shop's webhook, signed with `secret`, a few times until it has taken the report. Whether nothing is left to tell.
pub(crate) async fn tell(sale: &Sale, report: &Report, secret: &str) -> bool {
    let Some(call) = &sale.settlement else { return true };
    let items = report
        .items
        .iter()
        .map(|item| (item.id.clone(), item.stock as i64, item.sold as i64));
    let settled = Settled::new((&sale.namespace, &sale.name, &report.uid), items);
    let (id, body) = (
        settled.message_id(),
        serde_json::to_string(&settled).unwrap_or_default(),
    );
    let message = Message {
        id: &id,
        event: "settled",
        body: &body,
    };
    let client = flashsale_dataplane::shop::client();
    let mut why = String::new();
    for pause in PAUSES {
        match call.send(&client, secret, message).await {
            Ok(()) => {
                println!(
                    "the shop has taken the report: {} units go back to it",
                    settled.returned
                );
                return true;
            }
            Err(error) => why = error,
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    eprintln!(
        "spec.teardown.settlement.webhook: {} didn't take the report ({why}); start the sale again on its data to try again",
        call.url
    );
    false
}
