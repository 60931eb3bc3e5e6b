//! What a person sees of a sale: the live terminal view, its plain lines, and the settlement at the end.
//!
//! [`live`] and [`report`] hold the types of `/live.json` and of the report; they need serde only, so that the
//! server can use them without the terminal (`default-features = false`). The rest needs the feature `terminal`.

pub mod live;
pub mod report;

#[cfg(feature = "terminal")]
mod crowd;
#[cfg(feature = "terminal")]
mod plain;
#[cfg(feature = "terminal")]
mod run;
#[cfg(feature = "terminal")]
mod settlement;
#[cfg(feature = "terminal")]
mod trend;
#[cfg(feature = "terminal")]
mod view;
#[cfg(feature = "terminal")]
mod words;

pub use live::Live;
pub use report::{Audit, Check, Report, ReportBuyers, ReportItem, ReportLatency};

#[cfg(feature = "terminal")]
pub use crowd::{CrowdProgress, Quantiles};
#[cfg(feature = "terminal")]
pub use plain::PlainLines;
#[cfg(feature = "terminal")]
pub use run::{Left, Options, Snapshot, run};
#[cfg(feature = "terminal")]
pub use settlement::settlement;
#[cfg(feature = "terminal")]
pub use trend::Trend;
#[cfg(feature = "terminal")]
pub use view::{Theme, draw};
