//! The protocol of a flash sale as pure functions.
//!
//! Nothing here does I/O, reads a clock, draws a random number or awaits: time, identities and the
//! contents of the log come in as arguments, and what is to be done goes out as effects. The
//! adapters of the data plane, the simulation and the model all drive this same code.
//!
//! Read in this order: [`ids`], [`event`] (what a shard's log holds), [`fold`] (which of it counts),
//! [`engine`] (the state that the counted events make, and how the next ones are decided), [`owner`]
//! (one shard's owner: takeover, promises, transfers, bypass), [`room`] (all shards of one process),
//! [`row`] (the shard's row in the database), [`order`] and [`ticket`] (what a buyer sees of it),
//! [`lanes`] (in which order reservations become orders, and how long that takes).

pub mod attempt;
pub mod engine;
pub mod event;
pub mod fold;
pub mod ids;
pub mod lanes;
pub mod order;
pub mod owner;
pub mod room;
pub mod row;
pub mod ticket;
pub mod transfer;
pub mod units;
pub mod view;
