//! The shop's own pages, and the CDN that keeps copies of them.

use super::{Job, StepError};
use crate::observe::map_version;
use crate::world::now_ms;
use flashsale_operator_core::ShopCall;
use flashsale_operator_core::api::HASH_ANNOTATION;
use flashsale_operator_core::observed::Purged;
use flashsale_operator_core::outcome::Rendered;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

impl Job<'_> {
    /// Copies a ConfigMap as it is now.
    pub(super) async fn publish_pages(&mut self, from: &str, into: &Rendered) -> Result<(), StepError> {
        let api: Api<ConfigMap> = Api::namespaced(self.operator.hand.client.clone(), &self.key.namespace);
        let found = self.operator.hand.read(api.get_opt(from)).await?;
        let Some(found) = found else {
            let namespace = &self.key.namespace;
            return Err(StepError::other(format!(
                "ConfigMap {namespace}/{from} has just gone: create it again"
            )));
        };
        let version = map_version(&found);
        let mut wanted = into.clone();
        wanted.object["metadata"]["annotations"][HASH_ANNOTATION] = json!(version);
        wanted.object["data"] = json!(found.data);
        wanted.object["binaryData"] = json!(found.binary_data);
        wanted.hash = version;
        self.apply(&wanted).await
    }

    /// Tells the CDN, up to the first call that isn't taken: a CDN that is down holds nothing else up.
    pub(super) async fn purge_cdn(
        &mut self,
        version: &str,
        calls: &[(String, ShopCall)],
    ) -> Result<(), StepError> {
        if self.memory.purge.version != version {
            self.memory.purge = Purged {
                version: version.to_owned(),
                ..Purged::default()
            };
        }
        for (path, call) in calls {
            let taken = match self.call(call).await {
                Ok(taken) => taken,
                Err(StepError::Failed { error, .. }) => Err(error),
                Err(moved) => return Err(moved),
            };
            let purge = &mut self.memory.purge;
            purge.at = now_ms();
            if let Err(why) = taken {
                tracing::warn!(path, why, "the CDN didn't take the call");
                purge.refused += 1;
                purge.error = Some(why);
                return Ok(());
            }
            purge.taken.insert(path.clone());
            (purge.refused, purge.error) = (0, None);
        }
        Ok(())
    }
}
