//! What the shop is told when a sale's books agree: `spec.teardown.settlement.webhook`.

use serde::Serialize;

/// The body of the call, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// The sale's namespace.
    pub namespace: String,
    /// Its name.
    pub sale: String,
    /// Its uid, by which a sale of the same name is another one.
    #[serde(rename = "saleUID")]
    pub sale_uid: String,
    /// Units declared, over all items.
    pub stock: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units that go back to the shop.
    pub returned: i64,
    /// Each item.
    pub items: Vec<SettledItem>,
}

/// One item of a settled sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettledItem {
    /// Its id in the sale.
    pub id: String,
    /// Units declared.
    pub stock: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units that go back to the shop.
    pub returned: i64,
}

impl Settled {
    /// Of the sale with this namespace, name and uid; items are id, units declared and units paid for.
    pub fn new(
        (namespace, sale, sale_uid): (&str, &str, &str),
        items: impl IntoIterator<Item = (String, i64, i64)>,
    ) -> Self {
        let items: Vec<SettledItem> = items
            .into_iter()
            .map(|(id, stock, sold)| SettledItem {
                id,
                stock,
                sold,
                returned: stock - sold,
            })
            .collect();
        let sum = |of: fn(&SettledItem) -> i64| items.iter().map(of).sum();
        Self {
            namespace: namespace.to_owned(),
            sale: sale.to_owned(),
            sale_uid: sale_uid.to_owned(),
            stock: sum(|item| item.stock),
            sold: sum(|item| item.sold),
            returned: sum(|item| item.returned),
            items,
        }
    }

    /// The id of the call: the same each time that it is repeated.
    pub fn message_id(&self) -> String {
        format!("{}-settled", self.sale_uid)
    }
}
