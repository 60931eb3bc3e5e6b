//! The link: how the processes of a sale tell each other what the threads of one process share.
//!
//! Sidecars and the worker listen; gateways connect to all of them, and the worker to all sidecars. A connection
//! carries frames: a length, and a message of [`words`]. Both sides first prove that they know the sale's key, and
//! agree on the protocol's version and the sale ([`handshake`]).
//!
//! # Guarantees
//! - A sidecar tells of each winner before it shows a view of the shard that counts them: whoever hears that nothing
//!   is left knows everybody who may hold a ticket.
//! - The worker shows an order's new state before it answers the request that changed it.
//! - Reading never waits for writing, on either side, so two sides never wait for each other.
//! - Nothing queues up for a slow reader: each gets what is true when it can take it. One that takes nothing for
//!   [`frame::WRITE_MAX`] is cut off; it comes back and gets everything anew.
//! - Everything that goes to a shard is repeated by whoever wants it done, so frames may get lost with a connection.

mod client;
mod desk;
mod feed;
mod frame;
mod handshake;
mod hub;
mod key;
mod listener;
mod server;
mod shards;
mod sidecar;
mod words;

pub(crate) use client::{Dial, Links, keep};
pub use desk::close_early;
pub(crate) use desk::{DeskLink, Figures};
pub(crate) use feed::Feed;
pub use handshake::{Role, VERSION};
pub(crate) use hub::Hub;
pub use key::{KeyError, LinkKey};
pub(crate) use listener::SwitchesLink;
pub(crate) use server::Listening;
pub(crate) use shards::{Known, ShardsLink};
pub(crate) use sidecar::SidecarLink;
pub(crate) use words::{ToSidecar, Transfer};
