//! The status of a sale, put together from what was decided.

use crate::api::{
    Amendment, AmendmentState, ConditionStatus, EffectiveValue, FlashSaleStatus, LoadState, LoadStatus,
    LockLevel, Phase, PlanSummary, RevisionPin, RoomState, RoomStatus, Schedule, SettlementReport,
    ShardState, ShardStatus, condition,
};
use crate::conditions::{self, Facts};
use crate::figures;
use crate::gates::{self, Stand};
use crate::lifecycle::State;
use crate::observed::{Answer, Audit, Kind};
use crate::pages;
use crate::pinning::Pinning;
use crate::render;
use crate::teardown;
use crate::time::{Millis, timestamp};
use crate::view::View;

/// Longest message of an audit or amendment in the status, in characters.
const MESSAGE_CHARS_MAX: usize = 480;

/// The status if all steps succeed.
pub(crate) fn status(view: &View<'_>, state: State, gates: &[Stand], pinning: &Pinning) -> FlashSaleStatus {
    let mut status = view.old.clone();
    let is_edge = view.old.phase != Some(state.phase);
    status.observed_generation = Some(view.generation);
    status.phase = Some(state.phase);
    status.outcome = state.outcome;
    status.lock_level = Some(state.level);
    pinned(view, state, pinning, &mut status);
    status.load = load(view, state);
    status.schedule = Some(schedule(view, state));
    figures::put(view, is_edge, &mut status);
    let is_before = matches!(
        state.phase,
        Phase::Pending | Phase::Provisioning | Phase::Warming | Phase::Registering | Phase::Armed
    );
    if is_before && state.phase != Phase::Pending {
        status.gates = gates::listed(gates, view.open_ms());
    }
    let count = match (
        is_before && state.phase != Phase::Pending,
        status.summary.as_ref(),
    ) {
        (true, _) => Some(counted(gates)),
        (false, summary) => summary.and_then(|summary| summary.gates.clone()),
    };
    status.summary = Some(figures::summary(view, &status.items, count));
    status.rooms = rooms(view, &view.old);
    status.shards = shards(view, &view.old);
    status.switches = view.switches();
    if let Some(audit) = view.seen.world.audit.told() {
        status.settlement = Some(settlement(view, audit));
    }
    if let (Some(settlement), Answer::Told { at, .. }) = (&mut status.settlement, &view.seen.world.told) {
        settlement.told_time = settlement.told_time.or_else(|| Some(timestamp(*at)));
    }
    status.pages = pages::status(view);
    let conditions = conditions::conditions(
        view,
        &Facts {
            state,
            gates,
            pinning,
            status: &status,
        },
    );
    status.conditions = conditions;
    status.amendment = amendment(view, pinning, &status);
    status
}

fn counted(gates: &[Stand]) -> String {
    let (green, all) = gates::count(gates);
    format!("{green}/{all}")
}

fn pinned(view: &View<'_>, state: State, pinning: &Pinning, status: &mut FlashSaleStatus) {
    if let Ok(basis) = &view.basis {
        status.class = Some(basis.class.clone());
        status.plan = Some(PlanSummary {
            shards: Some(i32::from(basis.sized.sizes.shards)),
            gateways: Some(basis.sized.sizes.gateways),
            workers: Some(1),
            rate_per_minute: i32::try_from(basis.sized.declared.effective.orders.rate_per_minute).ok(),
            reason: Some(basis.sized.sizes.reason.clone()),
        });
        status.effective = effective(&basis.sized.declared.filled);
        let host = crate::pinned::host(view.spec, &basis.class_spec, &view.names.sale);
        status.entry_url = Some(render::entry_url(&basis.class_spec.entry, &host));
    }
    if let Some((number, pin)) = pinning.new.as_ref().or(view.pin.as_ref()) {
        status.entry_url = Some(render::entry_url(&pin.class_spec.entry, &pin.host));
        // Once armed, later revisions only add amendments: the pods stay what they were made from, and the API server
        // refuses anything else.
        let is_fixed = state.level >= LockLevel::Armed && status.revision.is_some();
        if !is_fixed {
            status.revision = Some(RevisionPin {
                name: view.names.revision(*number),
                operator_version: Some(pin.operator_version.clone()),
                image: Some(pin.image.clone()),
                spec_digest: Some(pin.digest(LockLevel::Pending)),
            });
        }
    }
}

fn effective(filled: &[EffectiveValue]) -> Vec<EffectiveValue> {
    let mut values = filled.to_vec();
    values.dedup_by(|a, b| a.field == b.field);
    values
}

/// How far the stock is loaded. What was loaded once stays so in here, also when nobody can be asked any more.
fn load(view: &View<'_>, state: State) -> Option<LoadStatus> {
    let old = view.old.load.clone();
    let known = view.seen.world.databases.load;
    let is_early =
        matches!(state.phase, Phase::Pending | Phase::Provisioning) && known == LoadState::Unseeded;
    if is_early || old.is_none() && state.level < LockLevel::Loading {
        return old;
    }
    // A sale that was given up before its stock was loaded has nothing to say here.
    if old.is_none() && matches!(state.phase, Phase::Settled | Phase::Failed) && known == LoadState::Unseeded
    {
        return None;
    }
    let was = old.as_ref().map_or(LoadState::Unseeded, |load| load.state);
    let state = if rank(known) > rank(was) { known } else { was };
    let is_loaded = state == LoadState::Seeded;
    let generation = view.pin.as_ref().map(|(_, pin)| pin.generation);
    let units = view
        .figures()
        .filter(|_| is_loaded)
        .map(|figures| figures.items.iter().map(|item| item.stock).sum());
    let old = old.unwrap_or(LoadStatus {
        state,
        id: Some("1".to_owned()),
        generation,
        units: None,
        loaded_time: None,
    });
    Some(LoadStatus {
        state,
        units: units.or(old.units),
        loaded_time: old.loaded_time.or_else(|| is_loaded.then(|| timestamp(view.now))),
        ..old
    })
}

fn rank(state: LoadState) -> u8 {
    match state {
        LoadState::Unseeded => 0,
        LoadState::Seeding => 1,
        LoadState::Seeded => 2,
    }
}

/// Times that follow from the spec are worked out anew; those that count from something that happened stay.
fn schedule(view: &View<'_>, state: State) -> Schedule {
    let old = view.old.schedule.clone().unwrap_or_default();
    let policy = &view.policy;
    let after = |reached: bool, span: Millis| reached.then(|| timestamp(view.now.saturating_add(span)));
    let has_closed = matches!(state.phase, Phase::Draining | Phase::Settling | Phase::Settled);
    let drain = view.basis.as_ref().map_or(10 * 60_000, |basis| {
        basis.sized.declared.effective.drain_timeout.millis()
    });
    let registration = view.registration();
    let settled = view.seen.world.audit.told().map(|audit| audit.at);
    let settled = settled.or_else(|| Some(view.old.settlement.as_ref()?.time?.millis()));
    Schedule {
        provision_time: Some(timestamp(view.provision_ms())),
        provision_deadline: old
            .provision_deadline
            .or_else(|| after(state.phase != Phase::Pending, policy.provision_timeout)),
        warm_deadline: old.warm_deadline.or_else(|| {
            let has_begun = !matches!(state.phase, Phase::Pending | Phase::Provisioning | Phase::Failed);
            after(
                has_begun && state.level >= LockLevel::Loading,
                policy.warm_timeout,
            )
        }),
        registration_open_time: registration.map(|(from, _)| timestamp(from)),
        registration_close_time: registration.map(|(_, until)| timestamp(until)),
        freeze_time: Some(timestamp(view.open_ms().saturating_sub(policy.freeze_before))),
        open_time: Some(timestamp(view.open_ms())),
        opening_deadline: Some(timestamp(view.open_ms().saturating_add(policy.grace))),
        close_time: Some(timestamp(view.close_ms())),
        drain_deadline: old.drain_deadline.or_else(|| after(has_closed, drain)),
        settle_deadline: old
            .settle_deadline
            .or_else(|| after(has_closed, policy.settle_timeout)),
        teardown_time: settled
            .filter(|_| state.phase == Phase::Settled)
            .map(|at| timestamp(teardown::due(view, at))),
    }
}

fn rooms(view: &View<'_>, old: &FlashSaleStatus) -> Vec<RoomStatus> {
    let Some((_, pin)) = &view.pin else {
        return old.rooms.clone();
    };
    let drained: Vec<String> = view
        .switches()
        .into_iter()
        .filter(|set| set.name == "rooms.drained")
        .filter_map(|set| serde_json::from_str::<Vec<String>>(&set.value).ok())
        .flatten()
        .collect();
    let gateways = view.gateways_wanted();
    let each = pin.sizes.rooms.iter().map(|room| {
        let ready = |kind, name: &str| {
            view.child(kind, name)
                .and_then(|child| child.replicas)
                .map_or(0, |r| r.ready)
        };
        let serving = ready(Kind::Deployment, &view.names.gateways(&room.name));
        let open = ready(Kind::StatefulSet, &view.names.shards(&room.name));
        let was_serving = old
            .rooms
            .iter()
            .any(|was| was.name == room.name && !matches!(was.state, None | Some(RoomState::Pending)));
        let state = match (serving, open) {
            _ if drained.contains(&room.name) => RoomState::Draining,
            (0, 0) if was_serving => RoomState::Lost,
            (serving, _) if serving > 0 => RoomState::Serving,
            _ => RoomState::Pending,
        };
        RoomStatus {
            name: room.name.clone(),
            state: Some(state),
            gateways: Some(format!("{serving}/{gateways}")),
            shards: Some(format!("{open}/{}", room.shards)),
        }
    });
    each.collect()
}

/// Shards by their owners' epochs. How far orders are made isn't in here: it moves all the time.
fn shards(view: &View<'_>, old: &FlashSaleStatus) -> Vec<ShardStatus> {
    let (Some(figures), Some((_, pin))) = (view.figures(), &view.pin) else {
        return old.shards.clone();
    };
    let each = figures.shards.iter().map(|shard| ShardStatus {
        id: i32::from(shard.id),
        room: pin.sizes.room_of(shard.id).map(|room| room.name.clone()),
        state: Some(if shard.open {
            ShardState::Redis
        } else {
            ShardState::Closed
        }),
        epoch: Some(i64::from(shard.epoch)),
        applied: None,
    });
    each.collect()
}

fn settlement(view: &View<'_>, audit: &Audit) -> SettlementReport {
    let is_ok = audit.findings.is_empty();
    let number = |value: u64| i64::try_from(value).ok();
    let message = if is_ok {
        format!(
            "{} of {} units sold, in {} orders; log, databases and Redis agree",
            audit.sold, audit.stock, audit.orders
        )
    } else {
        audit.findings.join("; ")
    };
    SettlementReport {
        time: Some(timestamp(audit.at)),
        told_time: view.old.settlement.as_ref().and_then(|old| old.told_time),
        audit_ok: Some(is_ok),
        message: Some(message.chars().take(MESSAGE_CHARS_MAX).collect()),
        report_config_map: Some(view.names.child("report")),
        stock: number(audit.stock),
        sold: number(audit.sold),
        returned: number(audit.stock.saturating_sub(audit.sold)),
        orders: number(audit.orders),
        closed: number(audit.closed),
        refunds_due: number(audit.refunds_due),
    }
}

fn amendment(view: &View<'_>, pinning: &Pinning, status: &FlashSaleStatus) -> Option<Amendment> {
    let said = condition(&status.conditions, "Amended")?;
    let pin = pinning.new.as_ref().or(view.pin.as_ref());
    let state = match (said.status, said.reason.as_str()) {
        (ConditionStatus::True, _) => AmendmentState::Applied,
        (_, "TooLate") => AmendmentState::Rejected,
        _ => AmendmentState::Pending,
    };
    let revision = pin.map_or(0, |(_, pin)| pin.amendments.revision);
    let generation = if state == AmendmentState::Rejected {
        view.generation
    } else {
        i64::try_from(revision).unwrap_or(0)
    };
    let message = Some(said.message.chars().take(MESSAGE_CHARS_MAX).collect());
    Some(Amendment {
        generation,
        state,
        message,
    })
}
