//! A model of the protocol that is explored to the end: every interleaving, within stated bounds.
//!
//! The decisions are the real ones: [`flashsale_core`]'s `Owner`, `Engine`, `Fold`, `Row` and
//! `order::step` are driven, not imitated. The environment is the model: messages that land late, twice,
//! in another order than other publishers' or never; owners that die or live on as zombies; workers that
//! stall; answers of the database that are lost; payments that come late or twice.
//!
//! Read in this order: [`config`] (bounds), [`world`] (state), [`step`] (what can happen), [`check`] and
//! [`recover`] (what must hold), [`models`] (what is explored). `docs/model.md` says why the reductions
//! lose nothing and what isn't modelled.

pub mod broken;
pub mod check;
pub mod config;
pub mod log;
pub mod models;
pub mod recover;
pub mod search;
pub mod seen;
pub mod step;
pub mod world;
