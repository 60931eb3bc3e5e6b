//! Objects of the cluster: pinned, applied, scaled, deleted.

use super::{Job, StepError};
use crate::cache::label;
use crate::drift::Intruder;
use crate::hand::patching;
use crate::memory::Named;
use crate::observe::{applied, child, now as seen_now};
use flashsale_operator_core::FailureKind;
use flashsale_operator_core::api::SALE_UID_LABEL;
use flashsale_operator_core::observed::Kind;
use flashsale_operator_core::outcome::Rendered;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use serde_json::json;
use std::time::Instant;

/// The kinds that watches see.
fn is_watched(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::ConfigMap
            | Kind::Secret
            | Kind::ServiceAccount
            | Kind::Role
            | Kind::RoleBinding
            | Kind::PersistentVolumeClaim
    )
}

impl Job<'_> {
    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        self.operator.hand.objects(kind, &self.key.namespace)
    }

    /// Creates a revision; one that is there stays as it is.
    pub(super) async fn pin(&mut self, revision: &Rendered) -> Result<(), StepError> {
        let api = self.api(Kind::ControllerRevision);
        let object: DynamicObject =
            serde_json::from_value(revision.object.clone()).map_err(StepError::other)?;
        match self
            .operator
            .hand
            .write(api.create(&PostParams::default(), &object))
            .await
        {
            Ok(_) => {}
            Err(error) if error.code() == Some(409) => {
                let found = self.operator.hand.read(api.get(&revision.name)).await?;
                self.ours(revision, &found)?;
            }
            Err(error) => return Err(error.into()),
        }
        // What follows is owned by it: its uid is in the next observation.
        Ok(())
    }

    /// Applies an object that isn't there yet, isn't any more as it was, or is wanted otherwise.
    pub(super) async fn apply(&mut self, wanted: &Rendered) -> Result<(), StepError> {
        let named: Named = (wanted.kind, wanted.name.clone());
        let title = wanted.to_string();
        if let Some((who, left)) = self.memory.reverts.contended(&title, Instant::now()) {
            let error = format!(
                "{who} keeps changing it; it is left as it is for {} more minutes: stop that manager, or leave these fields to the operator",
                left.as_secs().div_ceil(60)
            );
            return Err(StepError::of(
                FailureKind::Contended {
                    manager: who.to_owned(),
                },
                error,
            ));
        }
        let known = self
            .observed
            .children
            .iter()
            .find(|child| (child.kind, &child.name) == (wanted.kind, &wanted.name));
        let intruder = match known {
            Some(child) if child.hash.is_some() => None,
            Some(_) => self.intruder(&named),
            None => {
                self.make_sure(wanted).await?;
                None
            }
        };
        let api = self.api(wanted.kind);
        let object = self
            .operator
            .hand
            .apply(&api, &wanted.name, &wanted.object)
            .await?;
        self.memory.foreign.remove(&named);
        if let Some(print) = applied(wanted.kind, &object) {
            self.memory.prints.insert(named.clone(), print);
        }
        let seen = child(wanted.kind, &object.metadata);
        if is_watched(wanted.kind) {
            self.memory.written.insert(named, (Instant::now(), seen));
        } else {
            self.memory.unwatched.insert(named, seen);
        }
        if let Some(intruder) = intruder {
            self.reverted(&title, wanted.kind, &intruder);
        }
        Ok(())
    }

    /// Somebody's change was taken back.
    fn reverted(&mut self, title: &str, kind: Kind, intruder: &Intruder) {
        self.operator.metrics.reverted(kind.as_str());
        tracing::warn!(
            object = title,
            manager = intruder.manager,
            fields = intruder.fields,
            "took a change back"
        );
        if self.memory.reverts.note(title, intruder, Instant::now()) {
            tracing::error!(
                object = title,
                manager = intruder.manager,
                "the change comes back again and again; left alone for now"
            );
        }
    }

    fn intruder(&self, (kind, name): &Named) -> Option<Intruder> {
        let key = crate::cache::Key {
            namespace: self.key.namespace.clone(),
            name: name.clone(),
        };
        seen_now(self.operator, *kind, &key)?.1
    }

    /// That a name isn't taken by somebody else's object.
    async fn make_sure(&mut self, wanted: &Rendered) -> Result<(), StepError> {
        let api = self.api(wanted.kind);
        let found = self.operator.hand.read(api.get_opt(&wanted.name)).await?;
        match found {
            Some(found) => self.ours(wanted, &found),
            None => Ok(()),
        }
    }

    fn ours(&mut self, wanted: &Rendered, found: &DynamicObject) -> Result<(), StepError> {
        if label(&found.metadata, SALE_UID_LABEL) == Some(self.names.uid.as_str()) {
            return Ok(());
        }
        self.memory.foreign.insert((wanted.kind, wanted.name.clone()));
        Err(StepError::other(format!(
            "{wanted} is there already and isn't this sale's: rename it, or give the sale another name"
        )))
    }

    /// Sets a Deployment's replicas.
    pub(super) async fn scale(&mut self, name: &str, replicas: i32) -> Result<(), StepError> {
        let api: Api<Deployment> = Api::namespaced(self.operator.hand.client.clone(), &self.key.namespace);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.operator
            .hand
            .write(api.patch_scale(name, &patching(), &patch))
            .await?;
        Ok(())
    }

    /// Deletes an object that still has this uid; what it owns goes after it.
    pub(super) async fn delete(&mut self, kind: Kind, name: &str, uid: &str) -> Result<(), StepError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(kind);
        match self.operator.hand.write(api.delete(name, &params)).await {
            Ok(_) => {}
            // Gone, or another one of the same name.
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(error) => return Err(error.into()),
        }
        let named = (kind, name.to_owned());
        self.memory.prints.remove(&named);
        self.memory.written.remove(&named);
        if !is_watched(kind) {
            self.memory.unwatched.remove(&named);
            self.memory.listed = None;
        }
        Ok(())
    }
}
