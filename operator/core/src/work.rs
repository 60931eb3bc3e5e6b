//! The steps of a sale that is being made or runs: what is wanted, minus what is there.

use crate::api::{HASH_ANNOTATION, LockLevel, Phase, Switches};
use crate::failure::FailureKind;
use crate::lifecycle::{Effect, State};
use crate::observed::{Answer, DataPhase, Kind};
use crate::outcome::{Rendered, Step};
use crate::pages;
use crate::pinned::{self, Owner, Pin};
use crate::pinning::{Pinning, is_over};
use crate::render::{self, Component};
use crate::time::Millis;
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// How long an object is left alone that somebody else takes back again and again.
const CONTENDED_REST: Millis = 10 * 60_000;

/// The steps of a sale in its next state.
pub(crate) fn work(view: &View<'_>, state: State, effects: &[Effect], pinning: &Pinning) -> Vec<Step> {
    let mut steps = Vec::new();
    if state.level == LockLevel::Pending {
        return steps;
    }
    if !view.has_finalizer() && !is_over(view) {
        steps.push(Step::AddFinalizer);
    }
    steps.extend(lock(effects));
    if let Some((number, pin)) = &pinning.new {
        steps.push(Step::PinRevision(pin.revision(
            &view.names,
            *number,
            view.owner.as_ref(),
        )));
    }
    let pin = pinning.new.as_ref().or(view.pin.as_ref()).map(|(_, pin)| pin);
    // The owner's uid is known once the first revision is there: the rest comes with the next look.
    let (Some(owner), Some(pin)) = (&view.owner, pin) else {
        return steps;
    };
    let secrets = secrets(view, pin, owner);
    let world = world(view, pin, state, &secrets);
    let objects = pin.objects(
        &view.names,
        owner,
        &standing(view, &Switches::default(), &BTreeMap::new()),
    );
    let is_made = pin.templates.iter().all(|template| {
        view.child(template.kind, &template.name).is_some() || is_worker(view, template.kind, &template.name)
    });
    steps.extend(secrets.into_iter().map(|(_, step)| step));
    // Before the gateways, so that their pods have the pages from the start.
    steps.extend(pages::publish(view, owner));
    let parts = parts(view, state, objects);
    // The first pods shouldn't start before what they need; but nothing that is down keeps a running sale from being mended.
    if is_made {
        steps.extend(parts);
        steps.extend(world);
    } else {
        steps.extend(world);
        steps.extend(parts);
    }
    steps.extend(scale(view, pin));
    steps.extend(stale(view, pin, pinning));
    steps.extend(audit(view, state));
    steps
}

/// The highest lock of some effects: the levels before it lie on the way.
pub(crate) fn lock(effects: &[Effect]) -> Option<Step> {
    let locks = effects.iter().filter_map(|effect| match effect {
        Effect::Lock(level) => Some(*level),
        Effect::CallOff => None,
    });
    locks.max().map(Step::Lock)
}

/// The sale's own switches, as the control sidecars are told them.
fn standing<'a>(
    view: &'a View<'_>,
    none: &'a Switches,
    no_labels: &'a BTreeMap<String, String>,
) -> pinned::Standing<'a> {
    pinned::Standing {
        labels: view.seen.sale.metadata.labels.as_ref().unwrap_or(no_labels),
        spec: view.spec.switches.as_ref().unwrap_or(none),
        class: Switches::default(),
        switch_duration: view.switch_duration(),
    }
}

/// Whether an object is the worker's Deployment.
fn is_worker(view: &View<'_>, kind: Kind, name: &str) -> bool {
    kind == Kind::Deployment && name == view.names.worker()
}

/// Whether the worker runs. It loads the stock as soon as it does, so it isn't there before that may be.
fn has_worker(view: &View<'_>, state: State) -> bool {
    let was_loading = view.old.load.is_some() || view.child(Kind::Deployment, &view.names.worker()).is_some();
    match state.phase {
        Phase::Pending | Phase::Provisioning => false,
        Phase::Warming
        | Phase::Registering
        | Phase::Armed
        | Phase::Open
        | Phase::Draining
        | Phase::Settling => true,
        Phase::Settled | Phase::Failed => was_loading,
    }
}

/// Secrets that are missing, or whose class' credentials have changed. A key that others hold already isn't made anew.
fn secrets(view: &View<'_>, pin: &Pin, owner: &Owner) -> Vec<(String, Step)> {
    let own = view
        .basis
        .as_ref()
        .is_ok_and(|basis| basis.sized.declared.effective.callback_secret.is_some());
    let keys = [view.names.child("signing"), view.names.child("redis")];
    let wanted = render::secrets(&view.names, &pin.class_spec, &view.seen.minted, own);
    let each = wanted
        .into_iter()
        .filter(|wanted| match view.child(Kind::Secret, &wanted.name) {
            Some(child) => !child.current,
            None => !view.is_loading() || !keys.contains(&wanted.name),
        });
    each.map(|mut wanted| {
        wanted.object = pinned::owned(wanted.object, owner);
        (wanted.name.clone(), Step::WriteSecret(wanted))
    })
    .collect()
}

/// What is missing in the order log and the databases. What doesn't answer isn't tried: it would fail.
fn world(view: &View<'_>, pin: &Pin, state: State, secrets: &[(String, Step)]) -> Vec<Step> {
    let mut steps = Vec::new();
    if matches!(state.phase, Phase::Settled | Phase::Failed) {
        return steps;
    }
    let is_wanted = match &view.seen.world.log {
        Answer::Told { value, .. } => !value.drift.is_empty(),
        Answer::NotAsked => true,
        Answer::Failed { .. } => false,
    };
    if is_wanted {
        steps.push(Step::EnsureLog {
            shards: pin.sizes.shards,
        });
    }
    for (index, database) in pin.class_spec.databases.iter().enumerate() {
        let secret = view.names.database_secret(index);
        let is_new = secrets.iter().any(|(name, _)| *name == secret);
        let seen = view
            .seen
            .world
            .databases
            .each
            .iter()
            .find(|seen| seen.name == database.name);
        let is_wanted = match seen.map(|seen| &seen.answer) {
            None | Some(Answer::NotAsked) => true,
            Some(Answer::Told { value, .. }) => !value.ready || is_new,
            Some(Answer::Failed { .. }) => false,
        };
        if is_wanted {
            steps.push(Step::EnsureDatabase {
                database: database.name.clone(),
            });
        }
    }
    steps
}

/// Objects that are missing or differ from what was applied last.
fn parts(view: &View<'_>, state: State, objects: Vec<Rendered>) -> Vec<Step> {
    let is_wanted = |object: &Rendered| {
        if is_worker(view, object.kind, &object.name) && !has_worker(view, state) {
            return false;
        }
        let child = view.child(object.kind, &object.name);
        let is_there =
            child.is_some_and(|child| !child.deleting && child.hash.as_deref() == Some(&object.hash));
        !is_there && !is_rested(view, object)
    };
    objects.into_iter().filter(is_wanted).map(Step::Apply).collect()
}

/// Whether somebody else has taken an object's fields back so often that it is left alone for a while.
fn is_rested(view: &View<'_>, object: &Rendered) -> bool {
    let failure = view.seen.failure.as_ref();
    let contended = failure.filter(|failure| matches!(failure.kind, FailureKind::Contended { .. }));
    contended.is_some_and(|failure| {
        failure.step == Step::Apply(object.clone()).name()
            && view.now < failure.since.saturating_add(CONTENDED_REST)
    })
}

/// Gateways by the sale's own number, or as planned.
fn scale(view: &View<'_>, pin: &Pin) -> Vec<Step> {
    let replicas = view.gateways_wanted();
    let each = pin.sizes.rooms.iter().filter_map(|room| {
        let name = view.names.gateways(&room.name);
        // One that is just being made has one pod, by the API's own default.
        let wanted = view
            .child(Kind::Deployment, &name)
            .and_then(|child| child.replicas)
            .map_or(1, |r| r.wanted);
        (wanted != replicas).then_some(Step::Scale { name, replicas })
    });
    each.collect()
}

/// What an earlier pin has left: objects of rooms that aren't in use any more, and shards' pods made from old templates.
fn stale(view: &View<'_>, pin: &Pin, pinning: &Pinning) -> Vec<Step> {
    if pinning.new.is_some() || view.state.level >= LockLevel::Armed {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if view.state.level < LockLevel::Loading {
        steps.extend(unwanted(view, pin));
    }
    let hashes: BTreeSet<&str> = pin
        .templates
        .iter()
        .filter(|template| template.kind == Kind::StatefulSet)
        .filter_map(|set| set.object["spec"]["template"]["metadata"]["annotations"][HASH_ANNOTATION].as_str())
        .collect();
    let shards: Vec<_> = view
        .seen
        .pods
        .iter()
        .filter(|pod| pod.component == Component::Shard.word())
        .collect();
    let is_quiet = shards.iter().all(|pod| pod.ready && !pod.deleting);
    let old = shards
        .iter()
        .filter(|pod| !pod.deleting && !pod.hash.as_deref().is_some_and(|hash| hashes.contains(hash)));
    let delete = |pod: &&&crate::observed::PodSeen| Step::Delete {
        kind: Kind::Pod,
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    };
    if view.state.level < LockLevel::Loading {
        steps.extend(old.map(|pod| delete(&pod)));
    } else if is_quiet {
        // With stock in them, one at a time.
        steps.extend(old.take(1).map(|pod| delete(&pod)));
    }
    steps
}

fn unwanted(view: &View<'_>, pin: &Pin) -> Vec<Step> {
    let wanted: BTreeSet<(Kind, &str)> = pin
        .templates
        .iter()
        .map(|template| (template.kind, template.name.as_str()))
        .collect();
    let kept = [Kind::Secret, Kind::PersistentVolumeClaim];
    let pages = view.names.pages();
    let each = view.seen.children.iter().filter(|child| {
        !child.deleting
            && !kept.contains(&child.kind)
            && child.name != pages
            && !wanted.contains(&(child.kind, child.name.as_str()))
    });
    each.map(|child| Step::Delete {
        kind: child.kind,
        name: child.name.clone(),
        uid: child.uid.clone(),
    })
    .collect()
}

/// The audit, once nothing moves any more.
fn audit(view: &View<'_>, state: State) -> Option<Step> {
    if state.phase != Phase::Settling {
        return None;
    }
    let worker = view
        .figures()
        .is_some_and(|figures| figures.phase == DataPhase::Settled);
    let closing = view.seen.world.closing.told();
    let operator = closing.is_some_and(|closing| closing.unapplied + closing.backlog + closing.pending == 0);
    let is_open = !matches!(view.seen.world.audit, Answer::Told { .. });
    // What doesn't answer isn't tried: reading it to its end would take a minute to fail, and be put off ever longer.
    let world = &view.seen.world;
    let is_away = world.log.error().is_some() || world.databases.away().next().is_some();
    ((worker || operator) && is_open && !is_away).then_some(Step::Audit)
}
