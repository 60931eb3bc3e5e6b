//! The shop's own pages, and the CDN that keeps copies of them.

use super::{Job, StepError};
use crate::observe::map_seen;
use crate::world::now_ms;
use flashsale_operator_core::ShopCall;
use flashsale_operator_core::api::HASH_ANNOTATION;
use flashsale_operator_core::observed::{Kind, Purged, Reference, Setback};
use flashsale_operator_core::outcome::Rendered;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use std::time::Instant;

impl Job<'_> {
    /// Copies a ConfigMap as it is now. That it can't be done holds nothing else up.
    pub(super) async fn publish_pages(&mut self, from: &str, into: &Rendered) -> Result<(), StepError> {
        match self.copy_pages(from, into).await {
            Ok(()) => self.memory.publishing = None,
            Err(StepError::Failed { error, .. }) => {
                tracing::warn!(from, error, "the pages can't be published");
                let before = self.memory.publishing.take();
                self.memory.publishing = Some(Setback::after(before, now_ms(), error));
            }
            Err(moved) => return Err(moved),
        }
        Ok(())
    }

    async fn copy_pages(&mut self, from: &str, into: &Rendered) -> Result<(), StepError> {
        let api: Api<ConfigMap> = Api::namespaced(self.operator.hand.client.clone(), &self.key.namespace);
        let found = self.operator.hand.read(api.get_opt(from)).await?;
        let Some(found) = found else {
            // The next look says so.
            self.memory.references.remove(&(Kind::ConfigMap, from.to_owned()));
            return Ok(());
        };
        let seen = map_seen(&found);
        let Reference::There { version, .. } = seen.clone() else {
            return Ok(());
        };
        let named = (Kind::ConfigMap, from.to_owned());
        self.memory.references.insert(named, (Instant::now(), seen));
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
            if let Err(why) = taken {
                tracing::warn!(path, why, "the CDN didn't take the call");
                purge.refused = Some(Setback::after(purge.refused.take(), now_ms(), why));
                return Ok(());
            }
            purge.taken.insert(path.clone());
            purge.refused = None;
        }
        Ok(())
    }
}
