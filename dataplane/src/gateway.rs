//! The gateway: what buyers talk to. One [`Gateway`] per thread of the HTTP server.
//!
//! # Guarantees
//! - "Sold out" is said only when the host said that no unit is free, and never to somebody who may hold a ticket.
//! - "Busy" means that nothing was taken: it is never said of an attempt that was sent to the host. If the host's
//!   answer to one doesn't come in time, the answer is "outcome unknown".
//! - Nothing here waits for the disk or the database but cancelling and payments, which do so without holding
//!   anybody else up.
//! - Everything kept for a buyer has a bound.
//!
//! Read in this order: [`options`], `route` (which call it is), `purchase` and `funnel` (how attempts reach the
//! host), `ticket` (what a ticket says), `watchers` (event streams), `identity` and `jwt` (who asks).

mod answers;
mod cancel;
mod client;
mod funnel;
mod identity;
mod jwks;
mod jwt;
mod limiter;
pub mod options;
mod owned;
pub mod pages;
mod payment;
mod problem;
mod purchase;
mod registration;
mod route;
mod sale_view;
mod thread;
mod throttle;
mod ticket;
mod watchers;

pub use options::{GatewayError, GatewayLimits, GatewayOptions, Rate, Secret};
pub use thread::{Gateway, Gateways};
