//! A small, bounded HTTP/1.1 and HTTP/2 server for one thread per core.
//!
//! Each thread owns a listener (`SO_REUSEPORT`), a single-threaded tokio runtime and one [`Service`], which may
//! therefore hold plain `Rc` and `Cell` state and spawn tasks of its own with [`tokio::task::spawn_local`].
//!
//! HTTP/1.1 is read by an own loop over `httparse`; a connection that opens with the HTTP/2 preface is handed to
//! hyper. Both call the same service.
//!
//! ## Guarantees
//!
//! - Nothing a client sends is kept without a bound: heads, bodies, pipelined requests, streams, connections.
//! - Every wait for a client has a deadline (see [`Limits`]).
//! - Answers on one connection leave in the order of their requests.
//! - A request whose framing is ambiguous is refused with 400 and the connection is closed.
//! - An idle HTTP/1.1 connection holds no read or write buffer.

mod accept;
mod h1;
mod h2;
mod limits;
mod peers;
mod problem;
mod reply;
mod request;
mod response;
mod rewind;
mod server;
mod stats;
mod table;
mod thread;
mod worker;

pub use limits::{Limits, MAX_HEADERS};
pub use reply::{Reply, Service};
pub use request::{Headers, Method, Repeated, Request, Version};
pub use response::{Prepared, Response};
pub use server::{BindError, Running, ServeError, Server};
pub use stats::{Snapshot, Stats};

/// The types of the `http` crate which appear in this crate's interface.
pub use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
