//! What must hold before a sale opens.

use crate::api::{Gate, GateStatus, LoadState};
use crate::observed::{Answer, Kind, Reference};
use crate::pages;
use crate::policy::CLOCK_OFF_MAX;
use crate::render;
use crate::time::{Millis, timestamp};
use crate::view::View;
use flashsale_crds::objects::SUPERSEDES_ANNOTATION;

/// Longest message of a gate, in characters; the schema takes 512 bytes of mostly ASCII.
const MESSAGE_CHARS_MAX: usize = 480;

/// How one gate stands.
pub(crate) struct Stand {
    pub(crate) name: &'static str,
    pub(crate) is_blocking: bool,
    /// Nothing: it holds. Else why not.
    pub(crate) red: Option<Red>,
}

/// Why a gate is red.
pub(crate) struct Red {
    /// Whether it may turn green by itself: it is only early.
    pub(crate) is_pending: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

pub(crate) fn pending(reason: &'static str, message: impl Into<String>) -> Option<Red> {
    Some(Red {
        is_pending: true,
        reason,
        message: message.into(),
    })
}

pub(crate) fn failed(reason: &'static str, message: impl Into<String>) -> Option<Red> {
    Some(Red {
        is_pending: false,
        reason,
        message: message.into(),
    })
}

/// All gates of a sale, in the order in which they are shown.
pub(crate) fn gates(view: &View<'_>) -> Vec<Stand> {
    let blocking = |name, red| Stand {
        name,
        is_blocking: true,
        red,
    };
    let advisory = |name, red| Stand {
        name,
        is_blocking: false,
        red,
    };
    let mut all = vec![
        blocking("CredentialsReady", credentials(view)),
        blocking("OrderLogReady", log(view)),
        blocking("DatabasesReady", databases(view)),
        blocking("ShardsReady", shards(view)),
        blocking("StockLoaded", stock(view)),
        blocking("GatewaysWarm", gateways(view)),
        blocking("ClocksInSync", clocks(view)),
        blocking("NoPredecessor", predecessor(view)),
    ];
    if let Some(age_max) = view.policy.drill_max_age {
        all.push(blocking("DrillPassed", drill(view, age_max)));
    }
    all.push(advisory("EntryReachable", entry(view)));
    all.push(advisory("PagesPublished", pages::gate(view)));
    all.push(advisory("SpareRoomReady", spare_room(view)));
    all
}

/// Whether all blocking gates hold.
pub(crate) fn are_green(gates: &[Stand]) -> bool {
    gates.iter().all(|gate| !gate.is_blocking || gate.red.is_none())
}

/// As the status shows it: `9/11`.
pub(crate) fn count(gates: &[Stand]) -> (usize, usize) {
    (
        gates.iter().filter(|gate| gate.red.is_none()).count(),
        gates.len(),
    )
}

/// As the status lists it.
pub(crate) fn listed(gates: &[Stand], due: Millis) -> Vec<Gate> {
    let one = |gate: &Stand| {
        let red = gate.red.as_ref();
        Gate {
            name: gate.name.to_owned(),
            status: match red {
                None => GateStatus::Passed,
                Some(red) if red.is_pending => GateStatus::Pending,
                Some(_) => GateStatus::Failed,
            },
            blocking: Some(gate.is_blocking),
            due_time: Some(timestamp(due)),
            reason: red.map(|red| red.reason.to_owned()),
            message: red.map(|red| red.message.chars().take(MESSAGE_CHARS_MAX).collect()),
        }
    };
    gates.iter().map(one).collect()
}

fn credentials(view: &View<'_>) -> Option<Red> {
    let namespace = &view.names.namespace;
    let pages = pages::own(view);
    for ((kind, name), found) in &view.seen.references {
        // Pages have a gate of their own, which stops nobody.
        let is_pages = *kind == Kind::ConfigMap && pages == Some(name);
        if *found == Reference::Missing && !is_pages {
            let what = format!("{kind} {namespace}/{name}, which the sale names, isn't there: create it");
            return failed("SecretMissing", what);
        }
    }
    if let Some((name, key)) = missing_key(view) {
        let what = format!(
            "Secret {namespace}/{name} has no key {key}, which signs payment callbacks: add it, or name another in spec.payments.callbackSecretRef"
        );
        return failed("SecretMissing", what);
    }
    let missing = missing_secret(view)?;
    if view.is_loading() {
        let what = format!(
            "Secret {namespace}/{missing} is gone, and another one can't take its place: restore it from a backup; the sale's processes go on until they are restarted"
        );
        return failed("SecretMissing", what);
    }
    pending(
        "SecretMissing",
        format!("Secret {namespace}/{missing} isn't made yet"),
    )
}

/// The key with the payment secret, if the sale's own Secret lacks it.
fn missing_key(view: &View<'_>) -> Option<(String, String)> {
    let basis = view.basis.as_ref().ok()?;
    let own = basis.sized.declared.effective.callback_secret.as_ref()?;
    let key = own.key.as_deref().unwrap_or(render::CALLBACK_KEY);
    match view.seen.references.get(&(Kind::Secret, own.name.clone()))? {
        Reference::There { keys, .. } if keys.iter().all(|found| found != key) => {
            Some((own.name.clone(), key.to_owned()))
        }
        Reference::There { .. } | Reference::Missing => None,
    }
}

/// A Secret of the sale's own that isn't there.
pub(crate) fn missing_secret(view: &View<'_>) -> Option<String> {
    let basis = view.basis.as_ref().ok()?;
    let own = basis.sized.declared.effective.callback_secret.is_some();
    let wanted = render::secrets(&view.names, &basis.class_spec, &view.seen.minted, own);
    let missing = wanted
        .into_iter()
        .find(|wanted| view.child(Kind::Secret, &wanted.name).is_none());
    missing.map(|wanted| wanted.name)
}

fn log(view: &View<'_>) -> Option<Red> {
    match &view.seen.world.log {
        Answer::Told { value, .. } => match value.drift.first() {
            None => None,
            Some(first) => pending(
                "OrderLogDrift",
                format!("the order log isn't as it should be yet: {first}"),
            ),
        },
        Answer::Failed { error, .. } => failed(
            "OrderLogUnreachable",
            format!("the order log's admin API: {error}"),
        ),
        Answer::NotAsked => pending("NotAsked", "the order log hasn't been asked yet"),
    }
}

fn databases(view: &View<'_>) -> Option<Red> {
    let all = &view.seen.world.databases.each;
    if all.is_empty() {
        return pending("NotAsked", "no database has been asked yet");
    }
    all.iter().find_map(|database| {
        let name = &database.name;
        match &database.answer {
            Answer::Told { value, .. } if value.ready => None,
            Answer::Told { .. } => pending(
                "NotReady",
                format!("database {name}: the sale's schema isn't made yet"),
            ),
            Answer::Failed { error, .. } => {
                failed("DatabaseUnreachable", format!("database {name}: {error}"))
            }
            Answer::NotAsked => pending("NotAsked", format!("database {name} hasn't been asked yet")),
        }
    })
}

fn shards(view: &View<'_>) -> Option<Red> {
    let Some((_, pin)) = &view.pin else {
        return pending("NotReady", "no shard is made yet");
    };
    let namespace = &view.names.namespace;
    pin.sizes.rooms.iter().find_map(|room| {
        let name = view.names.shards(&room.name);
        let wanted = i32::from(room.shards);
        let found = view
            .child(Kind::StatefulSet, &name)
            .and_then(|child| child.replicas);
        let ready = found
            .filter(|found| found.observed)
            .map_or(0, |found| found.ready.min(found.updated));
        let look = format!(
            "kubectl -n {namespace} get pods -l flashsale.dev/sale={}",
            view.names.sale
        );
        if ready >= wanted {
            return None;
        }
        pending(
            "NotReady",
            format!("StatefulSet {name}: {ready} of {wanted} shards are open ({look})"),
        )
    })
}

fn stock(view: &View<'_>) -> Option<Red> {
    let is_loaded = view.figures().is_none_or(|figures| figures.loaded);
    match view.seen.world.databases.load {
        LoadState::Seeded if is_loaded => None,
        LoadState::Seeded | LoadState::Seeding => pending(
            "Loading",
            "the stock is being loaded; it goes on where it was, and never from the start",
        ),
        LoadState::Unseeded => pending("NotLoaded", "no stock is loaded yet"),
    }
}

fn gateways(view: &View<'_>) -> Option<Red> {
    let Some((_, pin)) = &view.pin else {
        return pending("NotReady", "no gateway is made yet");
    };
    let wanted = view.gateways_wanted();
    pin.sizes.rooms.iter().find_map(|room| {
        let name = view.names.gateways(&room.name);
        let found = view
            .child(Kind::Deployment, &name)
            .and_then(|child| child.replicas);
        let ready = found
            .filter(|found| found.observed)
            .map_or(0, |found| found.ready.min(found.updated));
        if ready >= wanted {
            return None;
        }
        pending(
            "NotReady",
            format!("Deployment {name}: {ready} of {wanted} gateways are warm"),
        )
    })
}

fn clocks(view: &View<'_>) -> Option<Red> {
    match &view.seen.world.clocks {
        Answer::NotAsked => pending("NotAsked", "no process has been asked for its time yet"),
        Answer::Failed { error, .. } => pending("Unknown", format!("the processes' clocks: {error}")),
        Answer::Told { value, .. } => value.iter().find_map(|clock| {
            let off = clock.offset_ms.unsigned_abs().saturating_sub(clock.uncertain_ms);
            if off <= CLOCK_OFF_MAX {
                return None;
            }
            let (pod, limit) = (&clock.process, CLOCK_OFF_MAX);
            // Not by how much: that changes with every look, and each change would be a write.
            failed(
                "ClockSkew",
                format!(
                    "the clock of {pod} is off by more than {limit} ms: mend time synchronisation on its node"
                ),
            )
        }),
    }
}

fn predecessor(view: &View<'_>) -> Option<Red> {
    if view.seen.world.databases.each.is_empty() {
        return pending("NotAsked", "no database has been asked yet");
    }
    let found = view.seen.world.databases.predecessor.as_ref()?;
    let plain = |uid: &str| uid.replace('-', "");
    if view
        .annotation(SUPERSEDES_ANNOTATION)
        .is_some_and(|said| plain(said) == plain(&found.uid))
    {
        return None;
    }
    let (namespace, sale) = (&view.names.namespace, &view.names.sale);
    let what = format!(
        "database {} knows a sale of this name with uid {} that isn't settled: restore that object, or say that you know with kubectl -n {namespace} annotate flashsale {sale} {SUPERSEDES_ANNOTATION}={}",
        found.database, found.uid, found.uid
    );
    failed("PreviousSaleUnsettled", what)
}

fn drill(view: &View<'_>, age_max: Millis) -> Option<Red> {
    let namespace = &view.names.namespace;
    match &view.seen.drill {
        None => failed(
            "DrillMissing",
            format!(
                "the class demands a drill that this sale passed, and there is none: kubectl -n {namespace} create a FlashSaleDrill"
            ),
        ),
        Some(drill) if !drill.passed => failed(
            "DrillMissing",
            format!(
                "drill {} failed: kubectl -n {namespace} get flashsaledrill {} -o yaml",
                drill.name, drill.name
            ),
        ),
        Some(drill) if drill.at.saturating_add(age_max) < view.now => failed(
            "DrillMissing",
            format!(
                "drill {} is older than the class allows: run it again",
                drill.name
            ),
        ),
        Some(_) => None,
    }
}

fn entry(view: &View<'_>) -> Option<Red> {
    let name = view.names.child("entry");
    let kinds = [Kind::HttpRoute, Kind::Ingress, Kind::Service];
    let Some((kind, child)) = kinds
        .iter()
        .find_map(|kind| Some((kind, view.child(*kind, &name)?)))
    else {
        return pending("NotReady", format!("{name} isn't made yet"));
    };
    match child.admitted {
        Some(true) => None,
        Some(false) => failed(
            "NotAccepted",
            format!(
                "{kind} {name} isn't accepted: kubectl -n {} describe {} {name}",
                view.names.namespace,
                kind.plural()
            ),
        ),
        None => pending(
            "Unknown",
            format!("nobody has said yet whether {kind} {name} is accepted"),
        ),
    }
}

fn spare_room(view: &View<'_>) -> Option<Red> {
    let Some((_, pin)) = &view.pin else {
        return pending("NotReady", "no room is made yet");
    };
    if pin.sizes.rooms.len() < 2 {
        return failed(
            "OneRoom",
            "the sale runs in one room: if that is lost, it waits until the room is back",
        );
    }
    let ready = |room: &&crate::sizing::RoomSize| {
        let child = view.child(Kind::Deployment, &view.names.gateways(&room.name));
        child
            .and_then(|child| child.replicas)
            .is_some_and(|replicas| replicas.ready > 0)
    };
    let ready = pin.sizes.rooms.iter().filter(ready).count();
    if ready >= 2 {
        return None;
    }
    pending("NotReady", "only one room serves buyers so far")
}
