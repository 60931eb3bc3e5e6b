//! One look at a sale: what was observed, with what follows from it directly.

use crate::accept::{self, Basis, Refused};
use crate::api::{FlashSaleSpec, FlashSaleStatus, HumanDuration, LockLevel, Phase, SwitchInForce};
use crate::lifecycle::State;
use crate::names::Names;
use crate::observed::{Child, Figures, Kind, Observed};
use crate::pinned::{OWNER, Owner, Pin};
use crate::policy::Policy;
use crate::switches;
use crate::time::Millis;

/// One look at a sale.
pub(crate) struct View<'a> {
    pub(crate) seen: &'a Observed,
    pub(crate) now: Millis,
    pub(crate) names: Names,
    pub(crate) spec: &'a FlashSaleSpec,
    /// The status as it was written last.
    pub(crate) old: FlashSaleStatus,
    pub(crate) state: State,
    pub(crate) generation: i64,
    /// The newest pin that can be read, with its number.
    pub(crate) pin: Option<(i64, Pin)>,
    /// The first revision, which owns everything.
    pub(crate) owner: Option<Owner>,
    /// Class, values and sizes, or why the sale isn't accepted.
    pub(crate) basis: Result<Basis, Refused>,
    pub(crate) policy: Policy,
}

impl<'a> View<'a> {
    pub(crate) fn new(seen: &'a Observed, now: Millis) -> Self {
        let old = seen.sale.status.clone().unwrap_or_default();
        let state = State {
            phase: old.phase.unwrap_or(Phase::Pending),
            level: old.lock_level.unwrap_or_default(),
            outcome: old.outcome,
        };
        let pins = seen.revisions.iter().filter(|revision| !revision.deleting);
        let pins =
            pins.filter_map(|r| Some((r.revision, serde_json::from_value::<Pin>(r.data.clone()).ok()?)));
        let pin = pins.max_by_key(|(number, _)| *number);
        let first = seen.revisions.iter().find(|revision| revision.revision == OWNER);
        let owner = first.map(|first| Owner {
            name: first.name.clone(),
            uid: first.uid.clone(),
        });
        let names = Names::of(&seen.sale);
        let basis = accept::basis(seen, &names, state.level, pin.as_ref().map(|(_, pin)| pin));
        let class = pin.as_ref().map(|(_, pin)| &pin.class_spec);
        let class = class.or_else(|| basis.as_ref().ok().map(|basis| &basis.class_spec));
        let policy = class.map_or_else(Policy::default, Policy::of);
        Self {
            seen,
            now,
            names,
            spec: &seen.sale.spec,
            state,
            generation: seen.sale.metadata.generation.unwrap_or(0),
            pin,
            owner,
            basis,
            policy,
            old,
        }
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.seen.sale.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn has_finalizer(&self) -> bool {
        let finalizers = self.seen.sale.metadata.finalizers.as_deref().unwrap_or_default();
        finalizers
            .iter()
            .any(|finalizer| finalizer == crate::api::FINALIZER)
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.seen.sale.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    pub(crate) fn child(&self, kind: Kind, name: &str) -> Option<&Child> {
        self.seen
            .children
            .iter()
            .find(|child| child.kind == kind && child.name == name)
    }

    pub(crate) fn figures(&self) -> Option<&Figures> {
        self.seen.world.figures.told()
    }

    /// When buying starts, by what is pinned; before that, by what is asked for.
    pub(crate) fn open_ms(&self) -> Millis {
        match &self.pin {
            Some((_, pin)) if self.state.level >= LockLevel::Loading => pin.spec.open_time.millis(),
            _ => self.spec.open_time.millis(),
        }
    }

    /// When buying ends, with what was amended.
    pub(crate) fn close_ms(&self) -> Millis {
        match &self.pin {
            Some((_, pin)) if self.state.level >= LockLevel::Loading => {
                pin.amendments.close_ms(pin.spec.close_time.millis())
            }
            _ => self.spec.close_time.millis(),
        }
    }

    /// How long the class, as pinned, lets a FlashSaleSwitch hold.
    pub(crate) fn switch_duration(&self) -> Option<HumanDuration> {
        let class = self.pin.as_ref().map(|(_, pin)| &pin.class_spec);
        let class = class.or_else(|| self.basis.as_ref().ok().map(|basis| &basis.class_spec));
        class?.limits.as_ref()?.switch_duration
    }

    /// The switches in force.
    pub(crate) fn switches(&self) -> Vec<SwitchInForce> {
        let own = self.spec.switches.as_ref();
        switches::in_force(own, &self.seen.switches, self.switch_duration(), self.now)
    }

    /// When the sale's parts are made.
    pub(crate) fn provision_ms(&self) -> Millis {
        let registration = self
            .spec
            .registration
            .as_ref()
            .map(|registration| registration.open_time.millis());
        let first = registration.unwrap_or(Millis::MAX).min(self.open_ms());
        first.saturating_sub(self.policy.provision_before)
    }

    /// When registration is open, if there is one.
    pub(crate) fn registration(&self) -> Option<(Millis, Millis)> {
        let registration = self.spec.registration.as_ref()?;
        let ends = registration
            .close_time
            .map_or(self.open_ms(), crate::api::Timestamp::millis);
        Some((registration.open_time.millis(), ends))
    }

    /// How many gateways each room should have.
    pub(crate) fn gateways_wanted(&self) -> i32 {
        let wanted = self.basis.as_ref().ok().map(|basis| basis.sized.sizes.gateways);
        wanted
            .or_else(|| self.pin.as_ref().map(|(_, pin)| pin.sizes.gateways))
            .unwrap_or(0)
    }

    /// Whether the sale's stock is, or may be, in the shards.
    pub(crate) fn is_loading(&self) -> bool {
        self.state.level >= LockLevel::Loading
    }
}
