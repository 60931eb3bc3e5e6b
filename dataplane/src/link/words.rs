//! What is said on the links. Nothing here has a `Debug`: some of it is secret.

use crate::desk::{CancelOutcome, PaymentOutcome};
use crate::shards::{Amend, Command, Gate};
use crate::shared::SalePhase;
use flashsale_core::engine::Outgoing;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{BuyerKey, Epoch, ItemIx, Millis, Seq, ShardId};
use flashsale_core::units::Units;
use flashsale_core::view::ShardView;
use flashsale_redis::Credentials;
use serde::{Deserialize, Serialize};

/// Words of a filter, or places of a board, in one message.
pub(super) const PIECE: usize = 8 * 1024;
/// Winners, posts or tickets in one message.
pub(super) const LIST_MAX: usize = 4 * 1024;

/// What a sidecar tells gateways and the worker.
#[derive(Serialize, Deserialize)]
pub(super) enum FromSidecar {
    /// A piece of the filter of winners. Gateways only.
    Winners { at: u32, words: Vec<u64> },
    /// Whoever was added to it. Gateways only.
    Won(Vec<BuyerKey>),
    /// How a shard stands.
    View(ShardId, ShardView),
    /// How to reach a shard in Redis; nothing while it is closed. Gateways only.
    Gate(ShardId, Option<Login>),
    /// A command for a shard of another sidecar. Worker only.
    Relay(ShardId, Transfer),
    /// A shard's part of the stock is promised. Worker only.
    Loaded(ShardId),
    /// The shard has taken the amendments of this revision. Worker only.
    Amended(ShardId, u64),
    /// What is known of switches, as JSON (`switches::Kept`); control sidecars only. Before anything else.
    Switches(String),
    /// What was amended, as JSON (`Amendments`); control sidecars only. Worker only.
    Amendments(String),
    /// Nothing.
    Alive,
}

/// What gateways and the worker tell a sidecar.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToSidecar {
    /// Free the units of these orders.
    Release(ShardId, Vec<(TicketNo, ReleaseReason)>),
    /// The database has applied the shards' events so far.
    Applied(Vec<(ShardId, Seq)>),
    /// Something about units on their way between shards.
    Transfer(ShardId, Transfer),
    /// Load the shard's part of the stock.
    Load(ShardId),
    /// Take what was amended.
    Amend(ShardId, Amend),
    /// Nothing.
    Alive,
}

/// Commands about units on their way. See [`Command`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Transfer {
    Out {
        to: ShardId,
        item: ItemIx,
        units: u32,
    },
    Arrived {
        from: ShardId,
        number: Seq,
        item: ItemIx,
        units: Units,
    },
    Acked {
        to: ShardId,
        number: Seq,
    },
}

/// A [`Gate`].
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    epoch: Epoch,
    user: String,
    password: String,
}

/// What the worker tells gateways.
#[derive(Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// What stands on the board from a place on.
    Board { shard: ShardId, at: u32, bits: Vec<u64> },
    /// The board was shown whole.
    BoardShown,
    /// What stands at these places now.
    Posts(Vec<(ShardId, u32, u64)>),
    /// The rest of what the worker knows.
    Figures(Known),
    /// What became of a payment; nothing: report it again.
    Paid(u64, Option<PaymentOutcome>),
    /// What became of a wish to cancel; nothing: try again.
    Cancelled(u64, Option<CancelOutcome>),
    /// What was amended, as the worker has taken it, as JSON (`Amended`).
    Amended(String),
    /// The sale is closed; or it isn't: try again.
    Closed(bool),
    /// Nothing.
    Alive,
}

/// What the worker knows of the whole sale.
#[derive(Serialize, Deserialize, PartialEq, Clone)]
pub(super) struct Known {
    /// Whether all stock is loaded.
    pub(super) loaded: bool,
    pub(super) phase: SalePhase,
    pub(super) oldest_waiting: Millis,
    /// Per item: sold, served, waiting.
    pub(super) stock: Vec<(u32, u32, u32)>,
    /// The forecast's inputs.
    pub(super) lanes: Vec<u32>,
    pub(super) per_second: f64,
}

/// What gateways tell the worker.
#[derive(Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// A payment was reported: its number here, payment id, order id, minor units, currency.
    Pay(u64, String, String, i64, String),
    /// A buyer cancels.
    Cancel(u64, ShardId, TicketNo),
    /// So many units are waited for here, all that isn't named none.
    Wanted(Vec<(ShardId, ItemIx, u32)>),
    /// End the sale before its time. Tools only.
    Close,
    /// Nothing.
    Alive,
}

impl From<Gate> for Login {
    fn from(gate: Gate) -> Self {
        let Gate {
            epoch,
            login: Credentials { user, password },
        } = gate;
        Self {
            epoch,
            user,
            password,
        }
    }
}

impl From<Login> for Gate {
    fn from(login: Login) -> Self {
        let Login {
            epoch,
            user,
            password,
        } = login;
        Self {
            epoch,
            login: Credentials { user, password },
        }
    }
}

impl Transfer {
    /// A keeper's command, if it is about units on their way.
    pub(crate) fn of(command: &Command) -> Option<Self> {
        match command {
            &Command::TransferOut { to, item, units } => Some(Self::Out { to, item, units }),
            Command::TransferArrived { from, transfer } => {
                let Outgoing { number, item, units } = transfer;
                Some(Self::Arrived {
                    from: *from,
                    number: *number,
                    item: *item,
                    units: units.clone(),
                })
            }
            &Command::Acked { to, number } => Some(Self::Acked { to, number }),
            Command::Release(_) | Command::Load(_) | Command::Amend(..) | Command::Dump(_) => None,
        }
    }

    /// The keeper's command.
    pub(super) fn command(self) -> Command {
        match self {
            Self::Out { to, item, units } => Command::TransferOut { to, item, units },
            Self::Arrived {
                from,
                number,
                item,
                units,
            } => Command::TransferArrived {
                from,
                transfer: Outgoing { number, item, units },
            },
            Self::Acked { to, number } => Command::Acked { to, number },
        }
    }
}
