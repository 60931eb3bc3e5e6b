//! Whether orders are made at the rate that was set on real parts, too.

use super::Parts;
use crate::Bench;
use crate::orders::steady;
use crate::report::Section;

pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Section> {
    let parts = Parts::start(bench)?;
    let figures = steady::measure(bench, &parts.options()?)?;
    Ok(Section {
        name: "order-rate-real",
        method: format!(
            "{} reservations in `flashsale up` on {} at {} orders a minute, watched for {} s.",
            steady::STOCK,
            Parts::described(),
            steady::PER_MINUTE,
            steady::WATCHED.as_secs()
        ),
        figures,
        notes: Vec::new(),
    })
}
