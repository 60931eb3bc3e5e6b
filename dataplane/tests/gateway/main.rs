//! The gateway over real sockets, with the real host and journal.

#![allow(clippy::unwrap_used, reason = "everything here is a test or its helper")]
#![allow(unreachable_pub, reason = "shared with an example")]

mod calls;
mod contract;
mod events;
mod limits;
mod payments;
mod purchases;
mod stand;
mod switches;
mod tickets;
mod tokens;
