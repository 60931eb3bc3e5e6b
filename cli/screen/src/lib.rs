//! What a person sees of a sale: the live terminal view, its plain lines, and the settlement at the end.
//!
//! [`live`] is what the server says of the sale at `/live.json`; [`report`] holds the types of the report.

/// `/live.json` of the admin port, as the server writes it.
pub mod live {
    pub use flashsale_dataplane::live::{Funnel, Live, LiveItem, LiveLatency, LiveQueue, LiveShard, Rates};
}
pub mod report;

mod crowd;
mod plain;
mod run;
mod settlement;
mod trend;
mod view;
mod words;

pub use live::Live;
pub use report::{Audit, Check, Report, ReportBuyers, ReportItem, ReportLatency};

pub use crowd::{CrowdProgress, Quantiles};
pub use plain::PlainLines;
pub use run::{Left, Options, Snapshot, run};
pub use settlement::settlement;
pub use trend::Trend;
pub use view::{Theme, draw};
