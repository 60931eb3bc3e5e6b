//! HTTP/1: one connection from its first byte to its last.

mod chunked;
mod connection;
mod deadlines;
mod events;
mod exchange;
mod head;
mod replies;
mod sending;

pub(crate) use connection::{Connection, End};
