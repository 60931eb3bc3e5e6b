//! Events that were counted and can't be applied. Each is kept as a dead event; its units stay locked in
//! the shard, since freeing what the database believes to be somebody else's would sell it again.

use crate::sale::Sale;
use flashsale_core::event::Reservation;
use flashsale_core::units::UnitRange;

/// Most units of one reservation: what a ticket can hold.
const QUANTITY_MAX: u64 = u16::MAX as u64;
/// Most bytes of a buyer's id.
const BUYER_BYTES_MAX: usize = 128;

/// Why an event can't be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Poison {
    /// The sale has no such item.
    #[error("the sale has no such item")]
    Item,
    /// No unit, too many, the same one twice, or numbers beyond all bounds.
    #[error("its units are impossible")]
    Units,
    /// The buyer's id is empty, too long or can't be stored.
    #[error("its buyer id is impossible")]
    Buyer,
    /// Its price is beyond all bounds.
    #[error("its amount is impossible")]
    Amount,
    /// Another live reservation holds one of its units: an oversell, stopped here.
    #[error("another live reservation holds one of its units")]
    Oversell,
    /// The database has another order under this ticket.
    #[error("there is another order under its ticket")]
    Taken,
    /// It releases a reservation that the database doesn't have.
    #[error("it releases an unknown reservation")]
    Unknown,
    /// It releases a reservation that is paid.
    #[error("it releases a paid order")]
    Paid,
}

/// What a reservation costs, in minor units.
///
/// # Errors
/// The reservation is impossible.
pub(crate) fn price(sale: &Sale, reservation: &Reservation) -> Result<u64, Poison> {
    let item = sale.items.get(reservation.item.ix()).ok_or(Poison::Item)?;
    let quantity = quantity(&reservation.units).ok_or(Poison::Units)?;
    let buyer = &*reservation.buyer_id;
    if buyer.is_empty() || buyer.len() > BUYER_BYTES_MAX || buyer.contains('\0') {
        return Err(Poison::Buyer);
    }
    let amount = item.price.checked_mul(quantity).ok_or(Poison::Amount)?;
    i64::try_from(amount).map(|_| amount).map_err(|_| Poison::Amount)
}

/// How many units these are, if they can be a reservation's.
fn quantity(units: &[UnitRange]) -> Option<u64> {
    let mut total = 0;
    for (at, range) in units.iter().enumerate() {
        let end = range.first.checked_add(range.len)?;
        let overlaps = |other: &UnitRange| {
            u64::from(other.first) < u64::from(end)
                && u64::from(range.first) < u64::from(other.first) + u64::from(other.len)
        };
        if range.len == 0 || units[..at].iter().any(overlaps) {
            return None;
        }
        total += u64::from(range.len);
    }
    (1..=QUANTITY_MAX).contains(&total).then_some(total)
}

/// The buyer's id as any database can store it.
pub(crate) fn storable(buyer: &str) -> String {
    buyer
        .replace('\0', "\u{fffd}")
        .chars()
        .take(BUYER_BYTES_MAX)
        .collect()
}
