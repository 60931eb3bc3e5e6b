//! The FlashSale resources as Rust types, and their validation.
//!
//! A sale's file goes through two layers, and every problem of both is told at once:
//! *shape* (fields, types, ranges, patterns: the JSON schema derived from the types) and
//! *rules* across fields ([`validate`]). What passes is a [`FlashSale`]; [`effective`] then
//! fills in every value that the sale leaves open.
//!
//! ```
//! # let yaml = include_str!("../../examples/phone-launch.yaml");
//! use flashsale_crds::{EmbeddedDefaults, FlashSale, effective};
//! let sale = FlashSale::parse(yaml).expect("an example is right");
//! let effective = effective(&sale.spec, &EmbeddedDefaults::default()).expect("its items are inline");
//! assert_eq!(effective.items[0].price.to_string(), "699.00");
//! ```

pub mod class;
pub mod crd;
mod defaults;
mod duration;
mod effective;
pub mod generated;
mod load;
mod money;
pub mod objects;
mod patterns;
mod reference;
mod refusal;
pub mod rules;
mod sale;
mod schema;
mod selector;
mod settled;
mod shape;
pub mod status;
mod suggest;
pub mod switch;
mod time;
mod validate;
mod yaml;

pub use defaults::{EmbeddedDefaults, Filled};
pub use duration::{HumanDuration, InvalidDuration};
pub use effective::{
    EffectiveBuyers, EffectiveFollowUp, EffectiveHandover, EffectiveItem, EffectiveOrders,
    EffectiveRegistration, EffectiveSale, EffectiveWebhook, JwksSource, effective,
};
pub use load::Rules;
pub use money::{Currency, InvalidMoney, Money};
pub use refusal::Refusal;
pub use sale::*;
pub use schema::flash_sale_schema;
pub use selector::{LabelExpression, LabelOperator, LabelSelector};
pub use settled::{Settled, SettledItem};
pub use time::{InvalidTime, Timestamp};
pub use validate::validate;
