//! Waiting between tries.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(20);
/// No wait is longer.
const MAX: Duration = Duration::from_millis(500);

/// Waits that double from try to try, up to half a second: a broker that is back is found soon.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(MAX);
    }

    /// The last try worked.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}
