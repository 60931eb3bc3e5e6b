//! What a sale's namespace and topics are called.

use flashsale_core::ids::SaleUid;
use std::fmt;

/// The topics of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The order log; its partition *s* holds shard *s*'s records.
    Orders,
    /// Delayed hints that a payment deadline has come.
    Close,
    /// What happens after a payment: points, messages, webhooks.
    FollowUps,
    /// What a consumer couldn't do now and tries again later.
    Retry,
    /// What nobody could do; kept for a replay.
    DeadLetter,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Orders,
        Self::Close,
        Self::FollowUps,
        Self::Retry,
        Self::DeadLetter,
    ];

    /// The topic's name within the namespace.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Close => "close",
            Self::FollowUps => "follow-ups",
            Self::Retry => "retry",
            Self::DeadLetter => "dead-letter",
        }
    }
}

/// The names of one sale: a namespace of its own, derived from the sale's uid, so that a sale of the same
/// name is another sale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    tenant: String,
    namespace: String,
}

impl Names {
    /// The names of the sale `uid` in `tenant`.
    #[must_use]
    pub fn new(tenant: &str, uid: SaleUid) -> Self {
        Self {
            tenant: tenant.to_owned(),
            namespace: format!("fs-{:032x}", uid.0),
        }
    }

    /// The tenant, which outlives the sale.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// `tenant/fs-<uid>`.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("{}/{}", self.tenant, self.namespace)
    }

    /// The partitioned topic's full name.
    #[must_use]
    pub fn topic(&self, topic: Topic) -> String {
        format!("persistent://{self}/{}", topic.name())
    }

    /// The full name of one partition, which is a topic itself.
    #[must_use]
    pub fn partition(&self, topic: Topic, partition: u16) -> String {
        format!("{}-partition-{partition}", self.topic(topic))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, Topic};
    use flashsale_core::ids::SaleUid;

    #[test]
    fn another_sale_has_other_topics() {
        let (one, two) = (Names::new("shop", SaleUid(1)), Names::new("shop", SaleUid(2)));
        assert_ne!(one.topic(Topic::Orders), two.topic(Topic::Orders));
        assert_eq!(
            one.partition(Topic::Orders, 3),
            "persistent://shop/fs-00000000000000000000000000000001/orders-partition-3"
        );
    }
}
