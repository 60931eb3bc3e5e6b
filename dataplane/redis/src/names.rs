//! What a shard's keys and users in Redis are called.

use flashsale_core::ids::{Epoch, SaleUid, ShardId};

/// One shard of one sale: all its keys begin with the same prefix, in one hash slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardName {
    /// The sale.
    pub sale: SaleUid,
    /// The shard.
    pub shard: ShardId,
}

impl ShardName {
    /// The shard `shard` of the sale `sale`.
    #[must_use]
    pub fn new(sale: SaleUid, shard: ShardId) -> Self {
        Self { sale, shard }
    }

    /// The sale's uid as it stands in keys and arguments.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("{:032x}", self.sale.0)
    }

    /// What all keys of the shard begin with. Holds nothing that a pattern would take for more than itself.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("fs:{{{}:{}}}:", self.uid(), self.shard.0)
    }

    /// A key of the shard.
    #[must_use]
    pub fn key(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix())
    }

    /// The user of the gateways of one epoch.
    #[must_use]
    pub fn gateway_user(&self, epoch: Epoch) -> String {
        format!("{}{}", self.gateway_users(), epoch.0)
    }

    /// What the names of all users of this shard's gateways begin with.
    pub(crate) fn gateway_users(&self) -> String {
        format!("gw-{}:{}-", self.uid(), self.shard.0)
    }
}
