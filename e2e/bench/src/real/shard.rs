//! One shard in a Redis, open, without the sale around it.

use flashsale_core::engine::{Engine, Rules};
use flashsale_core::ids::{Epoch, ItemIx, OwnerId};
use flashsale_core::units::UnitRange;
use flashsale_redis::{BuyerShard, Options, ShardName, SidecarShard};

/// The epoch of every shard here.
pub(super) const EPOCH: Epoch = Epoch(1);

/// The owner's side of an open shard, and the buyers'.
pub(super) struct Open {
    pub(super) sidecar: SidecarShard,
    pub(super) gateway: BuyerShard,
}

impl Open {
    /// Opens a shard of one item with these units, of which a buyer may have one.
    pub(super) async fn new(options: &Options, name: ShardName, units: UnitRange) -> anyhow::Result<Self> {
        let mut sidecar = SidecarShard::connect(options, name.clone()).await?;
        let rules = Rules {
            opens: 0,
            closes: u64::MAX,
            limits: vec![1],
            registered_only: false,
            registrations_max: 0,
        };
        sidecar.load(&Engine::new(rules), EPOCH, OwnerId(1)).await?;
        sidecar.load_units(1, ItemIx(0), units).await?;
        let login = sidecar.open_gate(EPOCH).await?;
        let gateway = BuyerShard::connect(options, name, &login).await?;
        Ok(Self { sidecar, gateway })
    }
}
