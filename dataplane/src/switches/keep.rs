//! Lets switches expire.

use crate::clock::now_ms;
use crate::shared::Shared;
use std::sync::Weak;
use std::time::Duration;

/// How often it is looked whether something has expired. By the wall clock, which may be set: so not once at the time
/// that was said.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until the sale is gone.
pub(crate) async fn keep(shared: Weak<Shared>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.switches.tick(now_ms()) {
            tracing::info!("a switch has expired");
        }
    }
}
