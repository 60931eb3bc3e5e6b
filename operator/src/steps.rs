//! Carrying out a plan's steps. Each can be repeated: a second time it finds its work done.

mod books;
mod objects;
mod pages;
mod secrets;
mod tell;

use crate::cache::Key;
use crate::hand::{CallError, patching};
use crate::memory::Memory;
use crate::observe::{newest, pin};
use crate::operator::Operator;
use crate::status;
use flashsale_operator_core::api::{FINALIZER, FlashSaleClassSpec, LockLevel};
use flashsale_operator_core::names::Names;
use flashsale_operator_core::pinned::Pin;
use flashsale_operator_core::{FailureKind, Observed, Step};
use kube::api::Patch;
use serde_json::json;

/// Why a plan isn't carried out to its end.
#[derive(Debug)]
pub(crate) enum StepError {
    /// The sale was changed by somebody, or this process doesn't lead any more: plan anew.
    Moved(String),
    /// Something is wrong.
    Failed {
        /// What kind of thing.
        kind: FailureKind,
        /// What, in one line.
        error: String,
    },
}

impl StepError {
    pub(crate) fn of(kind: FailureKind, error: impl std::fmt::Display) -> Self {
        Self::Failed {
            kind,
            error: error.to_string(),
        }
    }

    fn other(error: impl std::fmt::Display) -> Self {
        Self::of(FailureKind::Other, error)
    }
}

impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        let said = error.message();
        match error.code() {
            _ if matches!(error, CallError::Deposed(_)) => Self::Moved(error.to_string()),
            Some(403) if said.contains("exceeded quota") || said.contains("LimitRange") => {
                Self::of(FailureKind::Quota, error)
            }
            Some(403) if said.contains("being terminated") => Self::other(error),
            Some(403) => Self::of(FailureKind::Forbidden, error),
            _ => Self::other(error),
        }
    }
}

/// The steps of one plan.
pub(crate) struct Job<'a> {
    operator: &'a Operator,
    memory: &'a mut Memory,
    observed: &'a Observed,
    names: Names,
    key: Key,
    /// The sale's resourceVersion, as it is after the last step.
    pub(crate) version: String,
    /// Whether the sale has been let go.
    pub(crate) released: bool,
}

impl<'a> Job<'a> {
    pub(crate) fn new(operator: &'a Operator, memory: &'a mut Memory, observed: &'a Observed) -> Self {
        let meta = &observed.sale.metadata;
        Self {
            operator,
            memory,
            observed,
            names: Names::of(&observed.sale),
            key: Key::of(meta),
            version: meta.resource_version.clone().unwrap_or_default(),
            released: false,
        }
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// See [`StepError`]; nothing behind it may be carried out.
    pub(crate) async fn carry_out(&mut self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::AddFinalizer => self.finalizer(true).await,
            Step::RemoveFinalizer => self.finalizer(false).await,
            Step::Lock(level) => self.lock(*level).await,
            Step::PinRevision(revision) => self.pin(revision).await,
            Step::WriteSecret(wanted) => self.secret(wanted).await,
            Step::Apply(object) | Step::WriteReport(object) => self.apply(object).await,
            Step::Scale { name, replicas } => self.scale(name, *replicas).await,
            Step::Delete { kind, name, uid } => self.delete(*kind, name, uid).await,
            Step::EnsureLog { shards } => self.ensure_log(*shards).await,
            Step::EnsureDatabase { database } => self.ensure_database(database).await,
            Step::CloseFromLog => self.close_from_log().await,
            Step::Audit => self.audit().await,
            Step::PublishPages { from, into } => self.publish_pages(from, into).await,
            Step::PurgeCdn { version, calls } => self.purge_cdn(version, calls).await,
            Step::TellShop(call) => self.tell_shop(call).await,
            Step::TearDownLog => self.tear_down_log().await,
            Step::LeaveDatabase {
                database,
                forget_orders,
            } => self.leave_database(database, *forget_orders).await,
        }
    }

    /// Puts the finalizer on, or takes it off. The list is replaced whole, on condition that nobody has changed the sale.
    async fn finalizer(&mut self, wanted: bool) -> Result<(), StepError> {
        let before = self.observed.sale.metadata.finalizers.clone().unwrap_or_default();
        let mut after: Vec<String> = before.iter().filter(|one| *one != FINALIZER).cloned().collect();
        if wanted {
            after.push(FINALIZER.to_owned());
        }
        if before == after {
            return Ok(());
        }
        let patch = json!({"metadata": {"resourceVersion": self.version, "finalizers": after}});
        let api = status::sales(&self.operator.hand, &self.key.namespace);
        let (params, patch) = (patching(), Patch::Merge(&patch));
        match self
            .operator
            .hand
            .write(api.patch(&self.key.name, &params, &patch))
            .await
        {
            Ok(sale) => self.replaced(sale.metadata.resource_version),
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(moved(error)),
        }
        self.released = !wanted && self.observed.sale.metadata.deletion_timestamp.is_some();
        Ok(())
    }

    /// Raises the level by a write that fails if anybody has changed the sale since it was observed.
    async fn lock(&mut self, level: LockLevel) -> Result<(), StepError> {
        let patch = json!({
            "metadata": {"resourceVersion": self.version},
            "status": {"lockLevel": i32::from(level)},
        });
        let api = status::sales(&self.operator.hand, &self.key.namespace);
        let (params, patch) = (patching(), Patch::Merge(&patch));
        let write = api.patch_status(&self.key.name, &params, &patch);
        let sale = self.operator.hand.write(write).await.map_err(moved)?;
        self.replaced(sale.metadata.resource_version);
        Ok(())
    }

    /// The sale has another version from now on; a cache that has an older one is behind.
    fn replaced(&mut self, version: Option<String>) {
        let Some(version) = version else { return };
        if version != self.version {
            let before = std::mem::replace(&mut self.version, version);
            self.memory.replaced.push(before);
        }
    }

    /// What is pinned by the newest revision that the cache has.
    fn pinned(&self) -> Result<Pin, StepError> {
        let revisions: Vec<_> = self.observed.revisions.clone();
        let pinned = newest(&revisions).and_then(pin);
        pinned.ok_or_else(|| StepError::Moved("the sale's revision isn't seen yet".to_owned()))
    }

    /// The class as pinned; before that as it is.
    fn class(&self) -> Result<FlashSaleClassSpec, StepError> {
        if let Some(pin) = newest(&self.observed.revisions).and_then(pin) {
            return Ok(pin.class_spec);
        }
        let class = crate::observe::class_of(&self.observed.sale, &self.observed.classes);
        class
            .map(|class| class.spec.clone())
            .ok_or_else(|| StepError::other("the sale's class is gone: create it again"))
    }
}

/// A conflict is no failure: somebody was faster.
fn moved(error: CallError) -> StepError {
    match error.code() {
        Some(404 | 409) => StepError::Moved(error.to_string()),
        _ => error.into(),
    }
}
