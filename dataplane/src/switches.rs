//! Degradation switches, as a process of the data plane knows them.
//!
//! Control sidecars put together what holds for their sale ([`Document`]): the class' switches, the sale's own, and
//! the `FlashSaleSwitch` objects that mean it. Every process keeps all of it, not only what wins: so each finds out by
//! its own clock what is in force when something expires, whoever else is away.
//!
//! # Guarantees
//! - What is in force depends on what is known and the time alone, not on the order in which it was heard.
//! - The document of the highest revision wins; an older one changes nothing.
//! - Nothing that was switched is ignored silently: what has no effect in this version says so, and why.

mod board;
mod document;
mod force;
mod glass;
mod keep;

pub use board::{Door, Switchboard};
pub use document::{Document, Entry, Kept, Source, entries, in_force};
pub use force::{InForce, Shown};
pub(crate) use glass::{Refused, broken};
pub(crate) use keep::keep;

#[cfg(test)]
mod tests;
