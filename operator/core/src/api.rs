//! The resources' types, in one place for everything in this crate.

pub use flashsale_crds::class::*;
pub use flashsale_crds::objects::{FlashSale, FlashSaleClass, FlashSaleSwitch};
pub use flashsale_crds::status::*;
pub use flashsale_crds::switch::*;
pub use flashsale_crds::{
    Buyers, Cancellation, DataPlane, Entry, FlashSaleSpec, HumanDuration, Item, KeyRef, LabelSelector,
    Orders, Payments, Registration, Risk, Switches, Teardown, TeardownPolicy, Timestamp, UnpaidOrders,
};

/// The finalizer that keeps a sale until its parts are gone in order.
pub const FINALIZER: &str = "flashsale.dev/teardown";
/// The field manager of all that the operator applies.
pub const FIELD_MANAGER: &str = "flashsale-operator";
/// The annotation with the digest of an object as it was applied.
pub const HASH_ANNOTATION: &str = "flashsale.dev/hash";
/// The label with the sale's name, on everything that belongs to it.
pub const SALE_LABEL: &str = "flashsale.dev/sale";
/// The label with the sale's uid, on everything that belongs to it.
pub const SALE_UID_LABEL: &str = "flashsale.dev/sale-uid";
