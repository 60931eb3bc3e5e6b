//! What a class says about time and manners, with what holds where it says nothing.

use crate::api::{FlashSaleClassSpec, HumanDuration, LateOpening, Lifecycle, LiveDeletion, Policies};
use crate::time::Millis;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Before the last minute: a sale whose registration ends with its opening is armed by then.
pub(crate) const ARM_BEFORE: Millis = MINUTE;
/// How far a process' clock may be off.
pub(crate) const CLOCK_OFF_MAX: Millis = 500;
/// How long after settlement a sale's parts stay, where nobody says.
pub(crate) const TEARDOWN_AFTER: Millis = HOUR;
/// How long the operator tries to close a sale from its log once its namespace is going.
pub(crate) const CLOSE_FROM_LOG_MAX: Millis = 10 * MINUTE;
/// How long the order log or a database may be away before a sale that is going says that it waits for it: longer than
/// a server takes to restart.
pub(crate) const AWAY_MAX: Millis = MINUTE;
/// From when on red gates are worth an event.
pub(crate) const READY_BEFORE: Millis = 15 * MINUTE;

/// A class' policies and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Before the first opening, a sale's parts are made.
    pub(crate) provision_before: Millis,
    /// How long that may take.
    pub(crate) provision_timeout: Millis,
    /// How long loading may take.
    pub(crate) warm_timeout: Millis,
    /// How long after the end the books may take to agree.
    pub(crate) settle_timeout: Millis,
    /// Before the opening, pods are left alone.
    pub(crate) freeze_before: Millis,
    /// How late a sale may open; 0 where the class wants no late ones.
    pub(crate) grace: Millis,
    /// Whether deleting a live sale needs an annotation.
    pub(crate) refuses_deletion: bool,
    /// How old the drill may be that a sale needs, if it needs one.
    pub(crate) drill_max_age: Option<Millis>,
}

impl Policy {
    /// What a class says.
    #[must_use]
    pub(crate) fn of(class: &FlashSaleClassSpec) -> Self {
        Self::said(
            &class.lifecycle.clone().unwrap_or_default(),
            &class.policies.clone().unwrap_or_default(),
        )
    }

    fn said(lifecycle: &Lifecycle, policies: &Policies) -> Self {
        let or = |given: Option<HumanDuration>, default| given.map_or(default, HumanDuration::millis);
        let Lifecycle {
            provision_before,
            provision_timeout,
            warm_timeout,
            settle_timeout,
        } = *lifecycle;
        let Policies {
            drill,
            drill_max_age,
            freeze_before,
            late_opening,
            late_opening_grace,
            live_deletion,
        } = *policies;
        let is_late_allowed = late_opening != Some(LateOpening::Fail);
        let is_drill_needed = drill == Some(crate::api::DrillPolicy::Required);
        Self {
            provision_before: or(provision_before, HOUR),
            provision_timeout: or(provision_timeout, 15 * MINUTE),
            warm_timeout: or(warm_timeout, 10 * MINUTE),
            settle_timeout: or(settle_timeout, 24 * HOUR),
            freeze_before: or(freeze_before, 30 * MINUTE),
            grace: if is_late_allowed {
                or(late_opening_grace, 10 * MINUTE)
            } else {
                0
            },
            refuses_deletion: live_deletion == Some(LiveDeletion::Refuse),
            drill_max_age: is_drill_needed.then(|| or(drill_max_age, 168 * HOUR)),
        }
    }
}

impl Default for Policy {
    /// Where no class says anything.
    fn default() -> Self {
        Self::said(&Lifecycle::default(), &Policies::default())
    }
}
