//! A sale with every value filled in, in the plain types that the data plane needs.

mod buyers;
mod orders;
mod unserved;

pub use buyers::{EffectiveBuyers, JwksSource};
pub use orders::{EffectiveFollowUp, EffectiveHandover, EffectiveOrders, EffectiveWebhook};

use crate::{
    defaults::{EmbeddedDefaults, Fill, Filled},
    duration::HumanDuration,
    money::{Currency, Money},
    refusal::Refusal,
    sale::{
        AdmissionPolicy, Cancellation, FlashSaleSpec, Item, KeyRef, Registration, RegistrationMode, Risk,
        Switches, TeardownPolicy,
    },
    validate::validate,
};

/// Why a default holds when nothing else about the sale decides.
const WHY_EMBEDDED: &str = "the default when one process serves the sale";

/// A sale with every value filled in.
///
/// # Guarantees
/// It passed [`validate`]: the window is 10 s to 168 h long, ids are unique, no limit is above its stock.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveSale {
    /// When buying starts, in milliseconds since 1970.
    pub open_ms: u64,
    /// When buying ends, in milliseconds since 1970; the first moment at which nothing is sold.
    pub close_ms: u64,
    /// The currency of all prices.
    pub currency: Currency,
    /// What is sold, in the sale's order; never empty.
    pub items: Vec<EffectiveItem>,
    /// Registration ahead of the sale, if there is one.
    pub registration: Option<EffectiveRegistration>,
    /// How buyers prove who they are. `None` when nobody says: a server must then refuse to start.
    pub buyers: Option<EffectiveBuyers>,
    /// Who gets a unit.
    pub admission: AdmissionPolicy,
    /// How orders are made and handed over.
    pub orders: EffectiveOrders,
    /// The secret that signs payment callbacks, if the sale names one.
    pub callback_secret: Option<KeyRef>,
    /// Calls that follow an order's events, up to 8.
    pub follow_ups: Vec<EffectiveFollowUp>,
    /// How many shards, 1 to 128.
    pub shards: u16,
    /// Limits on buyers and addresses; what is open is not limited.
    pub risk: Risk,
    /// Switches set from the start.
    pub switches: Switches,
    /// How long open orders may take after the close before it is called blocked.
    pub drain_timeout: HumanDuration,
    /// What becomes of the data after settlement.
    pub teardown_policy: TeardownPolicy,
    /// The call that tells the shop how the sale ended, if it wants to be told.
    pub settlement: Option<EffectiveWebhook>,
    /// Called for each page when pages have changed.
    pub cdn_purge: Option<EffectiveWebhook>,
    /// Set when the sale is called off.
    pub cancellation: Option<Cancellation>,
    /// The fields that the sale leaves open, in the order of this struct, for showing them.
    pub filled: Vec<Filled>,
}

/// One item, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveItem {
    /// Its id, unique in the sale.
    pub id: String,
    /// What buyers read.
    pub title: String,
    /// The shop's own number of the article.
    pub sku: Option<String>,
    /// The price of one unit, in the sale's currency; 0 for a free item.
    pub price: Money,
    /// Units sold in all, 1 to 100,000,000.
    pub stock: u32,
    /// Units that one buyer may have, 1 to 1,000 and at most the stock.
    pub limit: u16,
}

/// Registration ahead of the sale, complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveRegistration {
    /// When it starts, in milliseconds since 1970.
    pub open_ms: u64,
    /// When it ends, in milliseconds since 1970; never after the sale opens.
    pub close_ms: u64,
    /// Whether only registered buyers may buy.
    pub required: bool,
    /// How many buyers may register.
    pub registrations_max: u64,
}

impl EffectiveSale {
    /// Units over all items.
    pub fn total_stock(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.stock)).sum()
    }
}

/// Fills in every value that a sale leaves open.
///
/// # Errors
/// The spec breaks a rule of [`validate`], or sets a field that this version does nothing with.
pub fn effective(spec: &FlashSaleSpec, defaults: &EmbeddedDefaults) -> Result<EffectiveSale, Vec<Refusal>> {
    let mut refused = validate(spec);
    if refused.is_empty() {
        refused = unserved::refusals(spec);
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut fill = Fill::default();
    let (currency, items) = items(spec, defaults, &mut fill)?;
    let stock: u64 = items.iter().map(|item| u64::from(item.stock)).sum();
    let registration = spec
        .registration
        .as_ref()
        .map(|given| registration(given, spec, stock, defaults, &mut fill));
    let buyers = buyers::effective(spec.buyers.as_ref(), defaults, &mut fill);
    let admission = spec.admission.as_ref().map(|admission| admission.policy);
    let admission = fill.or(
        admission,
        "spec.admission.policy",
        defaults.admission,
        |policy| format!("{policy:?}"),
        WHY_EMBEDDED,
    );
    let orders = orders::effective(spec.orders.as_ref(), stock, defaults, &mut fill);
    let follow_ups = orders::follow_ups(spec.payments.as_ref(), defaults, &mut fill);
    let shards = spec
        .data_plane
        .as_ref()
        .and_then(|plane| plane.shards)
        .and_then(|shards| u16::try_from(shards).ok());
    let shards = fill.or(
        shards,
        "spec.dataPlane.shards",
        defaults.shards,
        u16::to_string,
        WHY_EMBEDDED,
    );
    let teardown = spec.teardown.clone().unwrap_or_default();
    let drain_timeout = fill.or(
        teardown.drain_timeout,
        "spec.teardown.drainTimeout",
        defaults.drain_timeout,
        HumanDuration::to_string,
        WHY_EMBEDDED,
    );
    let teardown_policy = fill.or(
        teardown.policy,
        "spec.teardown.policy",
        defaults.teardown_policy,
        |policy| format!("{policy:?}"),
        "orders are kept unless the sale says otherwise",
    );
    let settlement = teardown.settlement.and_then(|settlement| settlement.webhook);
    let path = "spec.teardown.settlement.webhook";
    let settlement = settlement.map(|call| orders::webhook(&call, path, defaults, &mut fill));
    let purge = spec.entry.as_ref().and_then(|entry| entry.cdn_purge.as_ref());
    let cdn_purge = purge.map(|call| orders::webhook(call, "spec.entry.cdnPurge", defaults, &mut fill));
    Ok(EffectiveSale {
        open_ms: spec.open_time.millis(),
        close_ms: spec.close_time.millis(),
        currency,
        items,
        registration,
        buyers,
        admission,
        orders,
        callback_secret: spec
            .payments
            .as_ref()
            .and_then(|payments| payments.callback_secret_ref.clone()),
        follow_ups,
        shards,
        risk: spec.risk.clone().unwrap_or_default(),
        switches: spec.switches.clone().unwrap_or_default(),
        drain_timeout,
        teardown_policy,
        settlement,
        cdn_purge,
        cancellation: spec.cancellation.clone(),
        filled: fill.0,
    })
}

fn items(
    spec: &FlashSaleSpec,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> Result<(Currency, Vec<EffectiveItem>), Vec<Refusal>> {
    let given = spec.items.as_deref().unwrap_or_default();
    let currency: Currency = spec
        .currency
        .parse()
        .map_err(|why: crate::InvalidMoney| vec![Refusal::new("spec.currency", why.to_string())])?;
    let items: Result<Vec<_>, Refusal> = given
        .iter()
        .enumerate()
        .map(|(index, one)| item(one, index, currency, defaults, fill))
        .collect();
    Ok((currency, items.map_err(|refusal| vec![refusal])?))
}

fn item(
    item: &Item,
    index: usize,
    currency: Currency,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> Result<EffectiveItem, Refusal> {
    let path = format!("spec.items[{index}]");
    let price = Money::parse(&item.price, currency)
        .map_err(|why| Refusal::new(format!("{path}.price"), why.to_string()).of_text(&item.price))?;
    let stock = u32::try_from(item.stock)
        .map_err(|_| Refusal::new(format!("{path}.stock"), "is out of range").of(item.stock))?;
    let at_most_stock = defaults
        .limit_per_buyer
        .min(u16::try_from(stock).unwrap_or(u16::MAX));
    let given = item.limit_per_buyer.and_then(|limit| u16::try_from(limit).ok());
    let limit = fill.or(
        given,
        &format!("{path}.limitPerBuyer"),
        at_most_stock,
        u16::to_string,
        WHY_EMBEDDED,
    );
    Ok(EffectiveItem {
        id: item.id.clone(),
        title: item.title.clone(),
        sku: item.sku.clone(),
        price,
        stock,
        limit,
    })
}

fn registration(
    given: &Registration,
    spec: &FlashSaleSpec,
    stock: u64,
    defaults: &EmbeddedDefaults,
    fill: &mut Fill,
) -> EffectiveRegistration {
    let closes = fill.or(
        given.close_time,
        "spec.registration.closeTime",
        spec.open_time,
        |time| format!("\"{time}\""),
        "registration ends when the sale opens",
    );
    let mode = fill.or(
        given.mode,
        "spec.registration.mode",
        defaults.registration_mode,
        |mode| format!("{mode:?}"),
        WHY_EMBEDDED,
    );
    let percent = fill.or(
        given
            .max_percent_of_stock
            .and_then(|percent| u32::try_from(percent).ok()),
        "spec.registration.maxPercentOfStock",
        defaults.max_percent_of_stock,
        u32::to_string,
        "more buyers than that can't get a unit anyway",
    );
    EffectiveRegistration {
        open_ms: given.open_time.millis(),
        close_ms: closes.millis(),
        required: mode == RegistrationMode::Required,
        // At most 128 items of 100 million units, ten thousand percent: far within a u64.
        registrations_max: stock * u64::from(percent) / 100,
    }
}
