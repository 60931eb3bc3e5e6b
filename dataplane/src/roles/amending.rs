//! Takes amendments: writes down what is taken of them, and has every shard act by it.

use super::RoleError;
use super::worker::Routes;
use crate::amendments::{Amended, Amendments};
use crate::clock::now_ms;
use crate::link::{Known, ToSidecar};
use crate::shards::Amend;
use crate::shared::{SalePhase, Shared};
use flashsale_core::ids::ShardId;
use flashsale_orders::{Error, Orders};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked who hasn't taken them, and a database that can't be written is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Takes what comes until the process ends.
///
/// # Errors
/// Something that waiting doesn't mend.
pub(super) async fn run(
    shared: &Shared,
    orders: &Orders,
    known: &Known,
    routes: &Routes,
    mut amendments: watch::Receiver<Option<Amendments>>,
) -> Result<(), RoleError> {
    loop {
        let found = amendments.borrow_and_update().clone();
        match take(shared, orders, found.as_ref()).await {
            Ok(()) => {}
            Err(error) if error.kind().may_pass() => tracing::warn!(%error, "the sale can't be amended now"),
            Err(error) => return Err(RoleError::failed(error)),
        }
        pass_on(shared, known, routes);
        // Either way it is looked again.
        let _ = tokio::time::timeout(LOOK_EVERY, amendments.changed()).await;
    }
}

/// Writes down what is taken, then acts by it. Whatever of this was done before is done again without an effect.
async fn take(shared: &Shared, orders: &Orders, found: Option<&Amendments>) -> Result<(), Error> {
    let taken = shared.amended();
    let now = now_ms();
    let over = shared.phase(now) >= SalePhase::Draining;
    if let Some(next) = found.and_then(|found| taken.take(&shared.sale, found, now, over)) {
        if orders.amend(taken.revision, next.revision, &next.text()).await? {
            for why in &next.refused {
                tracing::error!(revision = next.revision, %why, "the sale isn't amended as declared");
            }
            shared.amend(next);
        } else {
            // Somebody else has: a worker that is about to end.
            let (_, text) = orders.amended().await?;
            if let Ok(theirs) = Amended::read(&text) {
                shared.amend(theirs);
            }
        }
    }
    Ok(())
}

/// Asks every shard that hasn't taken all of it, again and again.
fn pass_on(shared: &Shared, known: &Known, routes: &Routes) {
    let amended = shared.amended();
    // The declared stock comes first.
    if amended.revision == 0 || !shared.loaded.load(Ordering::Acquire) {
        return;
    }
    for (shard, route) in (0..).map(ShardId).zip(routes.iter()) {
        let view = shared.shards[shard.ix()].load();
        // A shard that was taken over while its database was away may not know it any more.
        let behind = known.amended_to(shard) < amended.revision || view.closes < amended.closes;
        if behind && view.takes() {
            let amend = Amend {
                revision: amended.revision,
                closes: amended.closes,
                loads: amended.loads(shard, shared.sale.shards).collect(),
            };
            let _ = route.try_send(ToSidecar::Amend(shard, amend));
        }
    }
}
