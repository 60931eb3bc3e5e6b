//! Waiting for something, with a word about what was missing when it didn't come.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);

/// Looks until it is so; after `within` says what was the matter the last time.
///
/// `look` answers the value, or what is missing; an error of its own is taken for something that passes.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let missing = match look().await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(missing)) => missing,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > within {
            bail!("not within {} s: {what}; at last: {missing}", within.as_secs());
        }
        tokio::time::sleep(EVERY).await;
    }
}
