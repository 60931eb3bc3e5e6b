//! How orders reach the shop. Places are within an `orders`, of a sale or of a class' defaults.

use super::Rule;

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "webhook-needed",
            "self.type != 'Webhook' || has(self.webhook)",
            "orders.handover.webhook is missing; type Webhook needs it: add webhook: {url: https://…}",
        )
        .field(".webhook")
        .required()
        .at("handover"),
        Rule::new(
            "webhook-unwanted",
            "self.type == 'Webhook' || !has(self.webhook)",
            "orders.handover.webhook is only for type Webhook; remove it or set type: Webhook",
        )
        .shows("'orders.handover.webhook is only for type Webhook, not ' + self.type + '; remove it or set type: Webhook'")
        .field(".webhook")
        .forbidden()
        .at("handover"),
    ]
}
