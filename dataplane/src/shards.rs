//! The shards when they live in Redis: who keeps them, who calls them, and how units move between them.
//!
//! Each shard has a [`keeper`]: it takes the shard over, rebuilds Redis from the order log, opens the gate to the
//! gateways, and from then on carries what Redis decides into the log and reads it back. Gateways call Redis
//! themselves, by a [`caller`] per shard. The [`planner`] asks shards that have units to send some to those whose
//! buyers wait.
//!
//! What goes from one shard to another is repeated until it has arrived, so nothing here has to be delivered surely.

mod apart;
mod caller;
mod keeper;
mod planner;
mod room;
mod takeover;
mod waits;

pub(crate) use apart::{Callers, Keepers, Kept, plan, seats};
pub use keeper::{Gate, KeeperError};
pub use room::{Room, RoomOptions};
pub(crate) use waits::Wanted;

use crate::audit::Served;
use flashsale_core::attempt::Attempt;
use flashsale_core::engine::Outgoing;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, ItemIx, Millis, Seq, ShardId};
use flashsale_core::units::UnitRange;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What was amended, for one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    /// The revision of the amendments.
    pub revision: u64,
    /// When the sale ends, if later than the shard knows.
    pub closes: Millis,
    /// The shard's part of what was added: load, item, units.
    pub loads: Vec<(u32, ItemIx, UnitRange)>,
}

/// What a shard's keeper is asked to do. All of it is safe to repeat.
#[derive(Debug)]
pub enum Command {
    /// The database has closed these orders: free their units. Repeated until applied.
    Release(Vec<(TicketNo, ReleaseReason)>),
    /// Send units to another shard.
    TransferOut {
        /// The recipient.
        to: ShardId,
        /// Of which item.
        item: ItemIx,
        /// At most how many.
        units: u32,
    },
    /// A transfer of another shard arrives. Repeated until acknowledged.
    TransferArrived {
        /// The donor.
        from: ShardId,
        /// What it sent.
        transfer: Outgoing,
    },
    /// The recipient has promised a transfer of this shard.
    Acked {
        /// The recipient.
        to: ShardId,
        /// The number of the `TransferOut`.
        number: Seq,
    },
    /// Load the declared stock; answers when the shard's part of it is promised.
    Load(oneshot::Sender<()>),
    /// Take what was amended: let the sale end later, and load more units; answers when that is promised.
    Amend(Amend, oneshot::Sender<()>),
    /// Send the state that Redis holds, for the audit.
    Dump(oneshot::Sender<Served>),
}

/// What a caller is asked to do.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Attempts of buyers whose home is the shard.
    Purchase(Vec<Attempt>),
    /// A buyer registers.
    Register {
        /// The gateway's mark.
        token: u64,
        /// Who.
        buyer: BuyerKey,
    },
}
