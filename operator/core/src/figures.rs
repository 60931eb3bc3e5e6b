//! Figures of the data plane in the status: written at edges, else seldom, so that a sale costs the API server little.

use crate::api::{FlashSaleStatus, ItemFigures, Summary};
use crate::time::Millis;
use crate::view::View;

/// Between two writes of figures for their own sake.
const EVERY: Millis = 10_000;
/// What they must differ by to be worth one, in percent of the stock.
const PERCENT_MIN: i64 = 1;

/// Puts new figures into the status if they are due. `is_edge`: the phase changes with this plan.
///
/// # Guarantees
/// They are written when there were none, with each new phase, when something sells out or comes back, and else at
/// most every ten seconds, when they differ by a hundredth of the stock.
pub(crate) fn put(view: &View<'_>, is_edge: bool, status: &mut FlashSaleStatus) {
    let Some(figures) = view.figures() else { return };
    let last = status.figures_time.map_or(0, crate::api::Timestamp::millis);
    let is_due = view.now >= last.saturating_add(EVERY) && is_worth_it(&status.items, &figures.items);
    let is_new = status.figures_time.is_none() || status.items.len() != figures.items.len();
    if status.items == figures.items
        || !(is_new || is_edge || is_due || is_turned(&status.items, &figures.items))
    {
        return;
    }
    status.items.clone_from(&figures.items);
    status.figures_time = Some(crate::time::timestamp(view.now));
}

/// Whether an item has sold out, or has units again.
fn is_turned(old: &[ItemFigures], new: &[ItemFigures]) -> bool {
    old.iter().zip(new).any(|(old, new)| {
        (old.sellable == 0) != (new.sellable == 0)
            || (old.sold == old.stock) != (new.sold == new.stock)
            || old.stock != new.stock
    })
}

fn is_worth_it(old: &[ItemFigures], new: &[ItemFigures]) -> bool {
    let differs = |(old, new): (&ItemFigures, &ItemFigures)| {
        let most = [
            old.sellable - new.sellable,
            old.locked - new.locked,
            old.sold - new.sold,
        ];
        most.iter().any(|by| by.abs() * 100 >= new.stock * PERCENT_MIN)
    };
    old.iter().zip(new).any(differs)
}

/// What the columns of `kubectl get` show, from what the status holds.
pub(crate) fn summary(view: &View<'_>, items: &[ItemFigures], gates: Option<String>) -> Summary {
    let declared = view
        .basis
        .as_ref()
        .ok()
        .map(|basis| &basis.sized.declared.effective);
    let stock = declared.map(flashsale_crds::EffectiveSale::total_stock);
    let sold: i64 = items.iter().map(|item| item.locked + item.sold).sum();
    Summary {
        items: declared.and_then(|declared| i32::try_from(declared.items.len()).ok()),
        stock: stock.map(|stock| stock.to_string()),
        sold: (!items.is_empty()).then(|| sold.to_string()),
        gates,
    }
}
