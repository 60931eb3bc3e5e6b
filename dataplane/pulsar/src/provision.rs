//! A sale's namespace and topics: what should be there, what differs, making it so, and removing it.

use crate::admin::{Admin, AdminError};
use crate::names::{Names, Topic};
use crate::policies::{self, POLICIES};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a broker may take to show what it was told: right after a topic was deleted, it can still call it there when
/// it is created, and missing when it is looked for.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a sale needs at Pulsar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What it is called.
    pub names: Names,
    /// Partitions of the order log: one per shard.
    pub shards: u16,
}

/// One thing that differs from the [`Layout`], and that [`Admin::ensure`] mends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The tenant is missing.
    Tenant(String),
    /// The namespace is missing.
    Namespace(String),
    /// A policy of the namespace is otherwise.
    Policy {
        /// Which.
        name: &'static str,
        /// What it is.
        found: Value,
        /// What it should be.
        wanted: Value,
    },
    /// A topic is missing, or has fewer partitions than it should.
    Topic {
        /// Its full name.
        name: String,
        /// How many partitions it has.
        found: u16,
        /// How many it should have.
        wanted: u16,
    },
    /// The topic is known, and yet one of its partitions is gone. If it held records, they are lost: the
    /// database's cursor then stands behind the partition's end, and a claim of the shard says so.
    Partition(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) => write!(f, "tenant {name} created"),
            Self::Namespace(name) => write!(f, "namespace {name} created"),
            Self::Policy { name, found, wanted } => write!(f, "{name} set to {wanted}, was {found}"),
            Self::Topic {
                name,
                found: 0,
                wanted,
            } => write!(f, "{name} created with {wanted} partitions"),
            Self::Topic { name, found, wanted } => {
                write!(f, "{name} grown from {found} to {wanted} partitions")
            }
            Self::Partition(name) => write!(f, "{name} was gone, and is created anew, empty"),
        }
    }
}

impl Layout {
    fn partitions(&self, topic: Topic) -> u16 {
        match topic {
            Topic::Orders => self.shards,
            Topic::Close | Topic::FollowUps | Topic::Retry | Topic::DeadLetter => 1,
        }
    }

    fn namespace_path(&self) -> String {
        format!("namespaces/{}", self.names)
    }

    fn topic_path(&self, topic: Topic) -> String {
        format!("persistent/{}/{}", self.names, topic.name())
    }
}

impl Admin {
    /// Makes what the sale needs, mends what differs, and reads it all back. Answers what it changed: nothing
    /// if all was well. May be called again at any time, also by two at once.
    ///
    /// # Errors
    /// The API can't be reached or refuses, or what is there can't become what is wanted.
    pub async fn ensure(&self, layout: &Layout) -> Result<Vec<Change>, AdminError> {
        self.version().await?;
        let mut changed = Vec::new();
        let mut unkept_since = None;
        // Each round can see more: policies need the namespace, partitions their topic.
        loop {
            let drift = self.drift(layout).await?;
            if drift.is_empty() {
                return Ok(changed);
            }
            if let Some(again) = drift.iter().find(|change| changed.contains(*change)) {
                if unkept_since.get_or_insert_with(Instant::now).elapsed() >= SHOWN_WITHIN {
                    return Err(AdminError::Unkept {
                        url: self.url().to_owned(),
                        what: again.to_string(),
                    });
                }
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            for change in drift {
                tracing::info!(namespace = %layout.names, %change, "provisioning");
                self.mend(layout, &change).await?;
                if !changed.contains(&change) {
                    changed.push(change);
                }
            }
        }
    }

    /// What differs from `layout` now; changes nothing.
    ///
    /// # Errors
    /// The API can't be reached or refuses, or what is there can't become what is wanted.
    pub async fn drift(&self, layout: &Layout) -> Result<Vec<Change>, AdminError> {
        let names = &layout.names;
        let tenants: Vec<String> = self.get("tenants", "listing the tenants").await?;
        if !tenants.iter().any(|t| t == names.tenant()) {
            return Ok(vec![Change::Tenant(names.tenant().to_owned())]);
        }
        let path = layout.namespace_path();
        let Some(found) = self
            .find::<Value>(&path, "reading the namespace's policies")
            .await?
        else {
            return Ok(vec![Change::Namespace(names.namespace())]);
        };
        let mut drift = policies::drift(&found);
        let there: BTreeSet<String> = self.topics(names).await?.into_iter().collect();
        for topic in Topic::ALL {
            drift.extend(self.topic_drift(layout, topic, &there).await?);
        }
        Ok(drift)
    }

    /// The full names of the topics (partitions, one by one) that are in the sale's namespace.
    ///
    /// # Errors
    /// The API can't be reached or refuses, or the namespace is missing.
    pub async fn topics(&self, names: &Names) -> Result<Vec<String>, AdminError> {
        self.get(&format!("persistent/{names}"), "listing the topics")
            .await
    }

    async fn topic_drift(
        &self,
        layout: &Layout,
        topic: Topic,
        there: &BTreeSet<String>,
    ) -> Result<Vec<Change>, AdminError> {
        let path = format!("{}/partitions", layout.topic_path(topic));
        let wanted = layout.partitions(topic);
        let name = layout.names.topic(topic);
        let found: Option<Value> = self.find(&path, "reading a topic's partitions").await?;
        let found = found.and_then(|v| v["partitions"].as_u64()).unwrap_or(0);
        let found = u16::try_from(found).unwrap_or(u16::MAX);
        if found > wanted {
            return Err(AdminError::TooManyPartitions {
                url: self.url().to_owned(),
                topic: name,
                found,
                wanted,
            });
        }
        if found < wanted {
            return Ok(vec![Change::Topic { name, found, wanted }]);
        }
        let partitions = (0..wanted).map(|p| layout.names.partition(topic, p));
        Ok(partitions
            .filter(|p| !there.contains(p))
            .map(Change::Partition)
            .collect())
    }

    async fn mend(&self, layout: &Layout, change: &Change) -> Result<(), AdminError> {
        let names = &layout.names;
        match change {
            Change::Tenant(tenant) => {
                let clusters: Vec<String> = self.get("clusters", "listing the clusters").await?;
                let body = json!({"adminRoles": [], "allowedClusters": clusters});
                self.create(&format!("tenants/{tenant}"), "creating the tenant", body)
                    .await
            }
            Change::Namespace(_) => {
                // Born with its policies, so that there is no moment without them.
                let path = layout.namespace_path();
                self.create(&path, "creating the namespace", policies::at_birth())
                    .await
            }
            Change::Policy { name, .. } => {
                let Some(policy) = POLICIES.iter().find(|p| p.name == *name) else {
                    return Ok(());
                };
                let path = format!("{}/{}", layout.namespace_path(), policy.path);
                let doing = format!("setting the namespace's {name}");
                self.set(&path, &doing, (policy.body)()).await
            }
            Change::Topic { name, found, wanted } => {
                let Some(topic) = Topic::ALL.into_iter().find(|t| names.topic(*t) == *name) else {
                    return Ok(());
                };
                let path = format!("{}/partitions", layout.topic_path(topic));
                if *found == 0 {
                    self.create(&path, &format!("creating {name}"), wanted).await
                } else {
                    self.set(&path, &format!("growing {name}"), wanted).await
                }
            }
            Change::Partition(partition) => {
                let of = |t: &Topic| partition.starts_with(&format!("{}-partition-", names.topic(*t)));
                let Some(topic) = Topic::ALL.into_iter().find(of) else {
                    return Ok(());
                };
                let path = format!("{}/createMissedPartitions", layout.topic_path(topic));
                self.set(&path, &format!("creating {partition}"), Value::Null)
                    .await
            }
        }
    }

    /// Removes the sale's topics and its namespace, with everything in them; the tenant stays. Answers what was
    /// there and is gone. May be called again, also where nothing is left.
    ///
    /// Whoever calls this has seen to it that nothing is pending: it asks no more.
    ///
    /// # Errors
    /// The API can't be reached or refuses; what was removed until then stays removed.
    pub async fn teardown(&self, layout: &Layout) -> Result<Vec<String>, AdminError> {
        self.version().await?;
        let mut removed = Vec::new();
        for topic in Topic::ALL {
            let name = layout.names.topic(topic);
            let path = format!("{}/partitions?force=true", layout.topic_path(topic));
            if self.delete(&path, &format!("deleting {name}")).await? {
                tracing::info!(topic = name, "removed");
                removed.push(name);
            }
        }
        let namespace = layout.names.namespace();
        if self
            .delete(
                &layout.namespace_path(),
                &format!("deleting namespace {namespace}"),
            )
            .await?
        {
            tracing::info!(namespace, "removed");
            removed.push(namespace);
        }
        Ok(removed)
    }
}
