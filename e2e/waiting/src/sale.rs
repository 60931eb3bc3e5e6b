//! The sale that everybody waits in: items of unequal stock, bought in proportion to it.

use rand::Rng;
use rand::seq::SliceRandom;
use std::fmt::Write as _;

/// The sale's name.
pub(crate) const NAME: &str = "long-queue";
/// How the buyers choose, in per cent: two hot items, some middling ones, two that hardly anybody wants.
const POPULARITY: [u32; 8] = [30, 22, 16, 12, 9, 6, 3, 2];
/// Items of the sale.
pub(crate) const ITEMS: usize = POPULARITY.len();
/// How many shards the stock is split over.
pub(crate) const SHARDS: u16 = 8;
/// How long an order waits for its payment, in milliseconds: longer than any run, so that nothing lapses.
pub(crate) const PAYMENT_TIMEOUT_MS: u64 = 30 * 60_000;

/// An item's id.
pub(crate) fn item_id(item: usize) -> String {
    format!("item-{item}")
}

/// The sale's file: a tenth more units of each item than buyers who want it, so that everybody gets to wait.
pub(crate) fn yaml(buyers: u32, rate_per_minute: u32) -> String {
    let mut items = String::new();
    for (item, (share, id)) in POPULARITY.iter().zip((0..).map(item_id)).enumerate() {
        let stock = u64::from(buyers) * u64::from(*share) / 100 * 11 / 10 + 64;
        // Writing to a string can't fail.
        let _ = writeln!(
            items,
            "    - {{id: {id}, title: \"Item {item}\", price: \"9.00\", stock: {stock}}}"
        );
    }
    let minutes = PAYMENT_TIMEOUT_MS / 60_000;
    format!(
        "apiVersion: flashsale.dev/v1alpha1\nkind: FlashSale\nmetadata: {{name: {NAME}}}\nspec:\n  \
         openTime: \"2026-12-01T12:00:00Z\"\n  closeTime: \"2026-12-01T13:00:00Z\"\n  currency: EUR\n  items:\n{items}  \
         orders:\n    ratePerMinute: {rate_per_minute}\n    paymentTimeout: {minutes}m\n  dataPlane: {{shards: {SHARDS}}}\n"
    )
}

/// Which item each buyer wants, in an order that says nothing.
pub(crate) fn wishes(buyers: u32, rng: &mut impl Rng) -> Vec<u8> {
    let mut wishes: Vec<u8> = (0..buyers)
        .map(|buyer| {
            let mut percent = (u64::from(buyer) * 100 / u64::from(buyers)) as u32;
            let mut item = 0;
            while percent >= POPULARITY[item] {
                percent -= POPULARITY[item];
                item += 1;
            }
            item as u8
        })
        .collect();
    wishes.shuffle(rng);
    wishes
}
