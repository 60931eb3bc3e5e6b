//! The order database of a flash sale.
//!
//! A worker reads the order log, and what counted is applied here, in order and once (`apply`): the shards'
//! cursors, the orders, and the index of live units that makes an oversell impossible, move in one
//! transaction. Reservations become orders at the sale's rate (`make`), and whether an order is paid or
//! closed is decided by its row alone (`pay`, `close`). Whatever others have to be told is written in the
//! same transaction (`messages`) and sent afterwards.
//!
//! Every decision on an order is [`flashsale_core::order::step`]'s, and every move of a shard's row is
//! [`flashsale_core::row::Row`]'s; the SQL carries them out. It is written so that SQLite and PostgreSQL read
//! it alike; what differs is in `db` and `bulk`. A sale's orders may lie in several databases (`orders`): all
//! of a shard lies in one, so that everything that has to change together can. The applied events themselves
//! aren't kept: promising through this database while the log is down ("bypass") would need that table, to be
//! added by a migration.

mod apply;
mod audit;
mod bulk;
mod close;
mod codec;
mod db;
mod error;
mod health;
mod live;
mod make;
mod messages;
mod orders;
mod pay;
mod poison;
mod query;
mod reads;
mod recover;
mod row;
mod sale;
mod shards;
mod statements;
mod steward;
mod store;
mod writes;
mod writing;

pub use apply::{Applied, Counted, ShardBatch, Stall};
pub use audit::{DeadEvent, ItemTotals, PaymentRow, Sum, Totals};
pub use close::Cancelled;
pub use error::{Error, ErrorKind, Result};
pub use make::Made;
pub use messages::{Delivery, Kind, Message, Replay, Retry};
pub use orders::{Failed, Orders, Parts};
pub use pay::{Payment, PaymentOutcome, PaymentRefusal, Recorded};
pub use poison::Poison;
pub use recover::{Recovered, Release};
pub use row::{OrderRow, Waiting};
pub use sale::{LoadState, Routes, Sale, SaleItem, TicketSecret};
pub use shards::Claimed;
pub use steward::{Seen, Steward, Tenant};
