//! Reads and writes at the Kubernetes API, each within a time; writes only while this process leads.

use crate::error;
use crate::lead::{Deposed, Term};
use crate::metrics::Metrics;
use flashsale_operator_core::api::FIELD_MANAGER;
use flashsale_operator_core::observed::Kind;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::Value;
use std::time::Duration;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(15);

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// This process may not write any more; it ends.
    #[error(transparent)]
    Deposed(#[from] Deposed),
    /// The API refused, or didn't answer as it should.
    #[error("{}", error::brief(.0))]
    Api(#[from] kube::Error),
    /// It didn't answer in time; a write may have been carried out.
    #[error("no answer from the Kubernetes API within {0:?}")]
    Late(Duration),
}

impl CallError {
    /// The HTTP status, if the API answered.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Api(error) => error::code(error),
            Self::Deposed(_) | Self::Late(_) => None,
        }
    }

    /// What the API said, if it did.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Api(kube::Error::Api(status)) => &status.message,
            _ => "",
        }
    }
}

/// What all calls go through.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) client: Client,
    pub(crate) term: Term,
    pub(crate) metrics: Metrics,
}

impl Hand {
    /// Reads.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        match tokio::time::timeout(READ_MAX, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::Late(READ_MAX)),
        }
    }

    /// Writes, while this process leads.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        let within = self.term.write_within()?;
        match tokio::time::timeout(within, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::Late(within)),
        }
    }

    /// The objects of a kind in a namespace.
    pub(crate) fn objects(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
    }

    /// Applies an object, server-side, and takes fields over that others have set.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn apply(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        object: &Value,
    ) -> Result<DynamicObject, CallError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.write(api.patch(name, &params, &Patch::Apply(object))).await
    }
}

/// Who patches.
pub(crate) fn patching() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// A kind as the client's dynamic objects know it.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let api_version = kind.api_version();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.as_str().to_owned(),
        plural: kind.plural().to_owned(),
    }
}
