//! HTTP/1: one connection from its first byte to its last.

mod chunked;
mod connection;
mod events;
mod exchange;
mod head;
mod replies;

pub(crate) use connection::{Connection, End};
