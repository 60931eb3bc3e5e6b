//! The shards on Redis: the function library's caller, the gate, the outbox.
//!
//! A shard's engine runs in Redis as a function library (`lua/`), equal to [`flashsale_core::engine::Engine`] in every answer, every
//! event and the whole state. Gateways call it through a [`BuyerShard`]; the shard's owner has a [`SidecarShard`], with which it
//! rebuilds Redis from its engine at each takeover, opens the gate, reads the outbox and issues all other commands.
//!
//! # Guarantees
//! - An operation checks everything before its first write; what is refused changed nothing.
//! - A connection is never replaced and a call never repeated silently: [`CallError`] says whether it may have taken effect.
//! - Every operation of another epoch, owner or sale is refused by Redis itself.

mod address;
mod buyer;
mod dump;
mod error;
mod gate;
mod layout;
mod library;
mod link;
mod names;
mod outbox;
mod rebuild;
mod sidecar;
mod state;
mod wire;

pub use address::{Options, Persistence};
pub use buyer::BuyerShard;
pub use error::{CallError, ConnectError};
pub use gate::Credentials;
pub use library::{LIBRARY, LIBRARY_VERSION, source};
pub use names::ShardName;
pub use outbox::{Leftover, decode_entry};
pub use sidecar::{Memory, SidecarShard, Standing};
pub use state::{Kept, State, Stock};
pub use wire::{ATTEMPTS_MAX, BUYER_ID_BYTES_MAX};
