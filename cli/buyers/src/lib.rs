//! A simulated crowd of buyers against the public HTTP API of a sale.
//!
//! The crowd is an *open loop*: every buyer's arrival is drawn ahead from a seeded curve, and latency is measured
//! from that intended arrival. A slow server, or a client that cannot keep up, shows as latency and never as a
//! gentler load. Everything about buyer `i` (name, item, behaviour, arrival, jitter) follows from the seed.
//!
//! While it buys, the crowd remembers every ticket with the states it was shown and lists each broken promise as a
//! [`Violation`]; the whole history can be written as JSON lines for an offline checker.
//!
//! ```no_run
//! # async fn example() -> Result<(), flashsale_buyers::CrowdError> {
//! use flashsale_buyers::{Crowd, CrowdConfig, Item};
//! let address = std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
//! let items = vec![Item::new("phone-15-black", 10_000)];
//! let crowd = Crowd::new(CrowdConfig::new(address, "phone-launch", items, 500_000))?;
//! let progress = crowd.progress(); // readable from any thread while the crowd runs
//! let outcome = crowd.run(std::future::pending()).await?;
//! assert!(outcome.violations.is_empty(), "{:?} after {:?}", outcome.violations, progress.snapshot());
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a buyer
//!
//! Each buyer is counted in exactly one final bucket of [`BuyerCounts`]:
//!
//! | bucket | the buyer … |
//! |---|---|
//! | `won` | was given a ticket in this run which was not shown as `failed`; also if it was cancelled or never paid |
//! | `duplicate` | holds only a ticket that was taken under the same name before this run began |
//! | `soldOut` | has no ticket; the last word was `sold-out` or `sale-closed` |
//! | `limited` | has no ticket; the last word was `limit-exceeded` or `too-many-requests` (retries used up) |
//! | `failed` | has no ticket; anything else: retries used up, an unexpected answer, or the crowd stopped first |

mod agent;
mod answer;
mod buyer;
mod clock;
mod config;
mod connection;
mod crowd;
mod driver;
mod follow;
mod history;
mod ledger;
mod notes;
mod outcome;
mod patience;
mod plan;
mod progress;
mod purchase;
mod schedule;
mod seed;
mod verify;
mod watch;
mod wire;

pub use answer::TicketState;
pub use config::{
    Address, Auth, CrowdConfig, CrowdError, Item, PATIENT_TRIES_LIMIT, PaymentSecret, Popularity, Shards,
    Shares, Skew,
};
pub use crowd::Crowd;
pub use outcome::{BuyerCounts, Latency, Outcome, TicketHistory};
pub use progress::{Progress, Snapshot};
pub use verify::{Violation, ViolationKind};
