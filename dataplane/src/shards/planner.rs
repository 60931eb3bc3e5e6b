//! Asks shards that have units to send some to those whose buyers wait.

use super::Command;
use super::waits::Wanted;
use crate::shared::Shared;
use flashsale_core::ids::{ItemIx, ShardId};
use flashsale_core::{transfer, view};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often it is looked who waits.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Plans transfers until all keepers are gone.
pub(super) async fn run(shared: Arc<Shared>, wanted: Arc<Wanted>, keepers: Vec<mpsc::WeakSender<Command>>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let shards = || (0..shared.sale.shards).map(ShardId);
    loop {
        looks.tick().await;
        let Some(keepers) = keepers
            .iter()
            .map(mpsc::WeakSender::upgrade)
            .collect::<Option<Vec<_>>>()
        else {
            return;
        };
        for item in (0..shared.sale.items.len()).map(|ix| ItemIx(ix as u16)) {
            if shards().all(|shard| wanted.units(shard, item) == 0) {
                continue;
            }
            let situations = view::situations(&shared.views(), item, |shard| wanted.units(shard, item));
            for ask in transfer::plan(item, &situations) {
                let transfer::Ask {
                    donor,
                    to,
                    item,
                    units,
                } = ask;
                // A keeper that has no room now is asked again at the next look.
                let _ = keepers[donor.ix()].try_send(Command::TransferOut { to, item, units });
            }
        }
    }
}
