//! The pages that buyers see: the shop's own, and the CDN that keeps copies of them.

use crate::api::{ConditionStatus, HASH_ANNOTATION, PagesStatus, Phase};
use crate::conditions::Said;
use crate::gates::{Red, failed, pending};
use crate::observed::{Kind, PagesServed, Reference, Setback};
use crate::outcome::{Rendered, ShopCall, Step};
use crate::pinned::{self, Owner};
use crate::render;
use crate::tell;
use crate::time::Millis;
use crate::view::View;
use flashsale_crds::{EffectiveSale, EffectiveWebhook};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Pages of which a sale needs at least one to have its own.
const PLACES: [&str; 2] = ["sale.html", "ticket.html"];
/// Between two looks at the shop's pages while nothing changes.
const LOOK: Millis = 60_000;
/// The same while gateways don't all serve the newest.
const LOOK_SOON: Millis = 5_000;
/// How long what didn't work is left alone at first; each time twice as long, up to the longest.
const RETRY_AFTER: Millis = 2_000;
const RETRY_AFTER_MAX: Millis = 60_000;

/// The ConfigMap with the shop's own pages.
pub(crate) fn own<'a>(view: &'a View<'_>) -> Option<&'a String> {
    let entry = view.spec.entry.as_ref()?;
    entry.pages_config_map_ref.as_ref().map(|pages| &pages.name)
}

/// Copies the shop's pages to where gateways mount them, or takes the copy away when the sale has none of its own any
/// more. Pages that have gone missing stay as they were published.
pub(crate) fn publish(view: &View<'_>, owner: &Owner) -> Option<Step> {
    let name = view.names.pages();
    let copy = view.child(Kind::ConfigMap, &name);
    let Some(own) = own(view) else {
        let copy = copy.filter(|copy| !copy.deleting)?;
        return Some(Step::Delete {
            kind: copy.kind,
            name,
            uid: copy.uid.clone(),
        });
    };
    let Some(Reference::There { version, .. }) = view.seen.references.get(&(Kind::ConfigMap, own.clone()))
    else {
        return None;
    };
    let is_there = copy.is_some_and(|copy| !copy.deleting && copy.hash.as_ref() == Some(version));
    if is_there || version.is_empty() || view.now < retry_at(view.seen.world.publishing.as_ref()) {
        return None;
    }
    let object = json!({
        "apiVersion": Kind::ConfigMap.api_version(),
        "kind": Kind::ConfigMap.as_str(),
        "metadata": {
            "name": name,
            "namespace": view.names.namespace,
            "labels": render::labels(&view.names, None),
            "annotations": {HASH_ANNOTATION: version},
        },
    });
    Some(Step::PublishPages {
        from: own.clone(),
        into: Rendered {
            kind: Kind::ConfigMap,
            name,
            hash: version.clone(),
            object: pinned::owned(object, owner),
        },
    })
}

/// Whether buyers see the pages that the sale asks for.
pub(crate) fn gate(view: &View<'_>) -> Option<Red> {
    let own = own(view)?;
    let namespace = &view.names.namespace;
    match view.seen.references.get(&(Kind::ConfigMap, own.clone())) {
        Some(Reference::There { keys, .. }) if !keys.iter().any(|key| PLACES.contains(&key.as_str())) => {
            return failed(
                "PagesMissing",
                format!(
                    "ConfigMap {namespace}/{own} has neither sale.html nor ticket.html: add one; the built-in ones are shown"
                ),
            );
        }
        Some(Reference::There { .. }) => {}
        Some(Reference::Missing) => {
            let shown = match view.child(Kind::ConfigMap, &view.names.pages()) {
                Some(_) => "what was published last is shown",
                None => "the built-in ones are shown",
            };
            let what =
                format!("ConfigMap {namespace}/{own} with the sale's pages isn't there: create it; {shown}");
            return failed("PagesMissing", what);
        }
        None => {
            return pending(
                "NotPublished",
                format!("ConfigMap {namespace}/{own} isn't read yet"),
            );
        }
    }
    if let Some(setback) = &view.seen.world.publishing {
        return failed("NotPublished", setback.error.clone());
    }
    if served(view).is_some() {
        return None;
    }
    let answers = view.seen.world.pages.told().into_iter().flatten();
    let wanted = wanted(view);
    let behind: Vec<&str> = answers
        .filter(|gateway| gateway.own != wanted)
        .map(|gateway| gateway.gateway.as_str())
        .collect();
    let why = match (behind.as_slice(), view.seen.world.pages.error()) {
        (_, Some(error)) => format!("a gateway doesn't say which pages it serves: {error}"),
        ([], None) => "no gateway serves buyers yet".to_owned(),
        ([first, ..], None) => format!(
            "{} of the gateways don't serve the newest pages yet, {first} is one: nodes take up to two minutes to bring them",
            behind.len()
        ),
    };
    pending("NotPublished", why)
}

/// Which of the shop's own files gateways are to serve, by their digest; empty for the built-in pages.
fn wanted<'a>(view: &'a View<'_>) -> &'a str {
    let Some(own) = own(view) else { return "" };
    match view.seen.references.get(&(Kind::ConfigMap, own.clone())) {
        Some(Reference::There { version, .. }) => version,
        _ => {
            let copy = view.child(Kind::ConfigMap, &view.names.pages());
            copy.and_then(|copy| copy.hash.as_deref()).unwrap_or_default()
        }
    }
}

/// The pages that all gateways serve, if they are the same everywhere and as they should be.
fn served<'a>(view: &'a View<'_>) -> Option<(&'a str, &'a [PagesServed])> {
    let all = view.seen.world.pages.told()?.as_slice();
    let version = all.first()?.version.as_str();
    let wanted = wanted(view);
    let is_so = |one: &PagesServed| one.version == version && one.own == wanted;
    all.iter().all(is_so).then_some((version, all))
}

/// Whether buyers reach pages.
fn is_serving(view: &View<'_>) -> bool {
    !matches!(
        view.state.phase,
        Phase::Pending | Phase::Provisioning | Phase::Settled | Phase::Failed
    )
}

fn webhook<'a>(view: &'a View<'_>) -> Option<(&'a EffectiveSale, &'a EffectiveWebhook)> {
    let sale = &view.basis.as_ref().ok()?.sized.declared.effective;
    Some((sale, sale.cdn_purge.as_ref()?))
}

/// The paths of which the CDN wasn't told yet since they changed, those that are asked for most first.
fn unpurged<'a>(view: &'a View<'_>, version: &str, all: &'a [PagesServed]) -> Vec<(&'a str, u64)> {
    let purge = &view.seen.world.purge;
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, count) in all.iter().flat_map(|one| &one.hits) {
        *hits.entry(path).or_default() += count;
    }
    let is_left = |path: &str| purge.version != version || !purge.taken.contains(path);
    let mut left: Vec<_> = hits.into_iter().filter(|(path, _)| is_left(path)).collect();
    left.sort_by_key(|(path, hits)| (std::cmp::Reverse(*hits), *path));
    left
}

/// Tells the CDN, once all gateways serve the same: before that it would fetch old pages again.
pub(crate) fn purge(view: &View<'_>) -> Option<Step> {
    let (sale, webhook) = webhook(view).filter(|_| is_serving(view))?;
    let (version, all) = served(view)?;
    let told = view
        .old
        .pages
        .as_ref()
        .and_then(|old| old.purged_version.as_deref());
    if told == Some(version) || view.now < purge_at(view, version) {
        return None;
    }
    let base = view.old.entry_url.as_ref()?;
    let names = &view.names;
    let calls = unpurged(view, version, all).into_iter().map(|(path, hits)| {
        let url = format!("{base}{path}");
        let body = json!({
            "type": "PagesChanged", "namespace": names.namespace, "sale": names.sale, "uid": names.uid,
            "url": url, "version": version, "hits": hits,
        });
        let call = ShopCall {
            url: webhook.url.clone(),
            timeout: Duration::from_millis(webhook.timeout.millis()),
            secret: tell::signed_with(view, sale),
            id: format!("{}-{version}-{path}", names.uid),
            event: "pages-changed",
            body: body.to_string(),
        };
        (path.to_owned(), call)
    });
    let calls: Vec<_> = calls.collect();
    (!calls.is_empty()).then(|| Step::PurgeCdn {
        version: version.to_owned(),
        calls,
    })
}

/// When the CDN may be called again.
fn purge_at(view: &View<'_>, version: &str) -> Millis {
    let purge = &view.seen.world.purge;
    retry_at(purge.refused.as_ref().filter(|_| purge.version == version))
}

fn retry_at(setback: Option<&Setback>) -> Millis {
    setback.map_or(0, |setback| {
        let wait = RETRY_AFTER.saturating_mul(1 << setback.times.saturating_sub(1).min(16));
        setback.at.saturating_add(wait.min(RETRY_AFTER_MAX))
    })
}

/// What the status says of pages, where there is anything to say.
pub(crate) fn status(view: &View<'_>) -> Option<PagesStatus> {
    if own(view).is_none() && webhook(view).is_none() {
        return None;
    }
    let mut status = view.old.pages.clone().unwrap_or_default();
    if let Some((version, all)) = served(view).filter(|_| is_serving(view)) {
        status.version = Some(version.to_owned());
        if view.seen.world.purge.version == version && unpurged(view, version, all).is_empty() {
            status.purged_version = Some(version.to_owned());
        }
    }
    Some(status)
}

/// The condition about the CDN, where there is one.
pub(crate) fn condition(view: &View<'_>, status: Option<&PagesStatus>) -> Option<Said> {
    let (_, webhook) = webhook(view)?;
    let says = |status, reason, message| Said {
        kind: "CdnPurged",
        status,
        reason,
        message,
    };
    let status = status?;
    let purge = &view.seen.world.purge;
    let url = &webhook.url;
    Some(match (&status.version, &purge.refused) {
        (Some(version), _) if status.purged_version.as_ref() == Some(version) => says(
            ConditionStatus::True,
            "Purged",
            "the CDN was told of all pages that gateways serve now".to_owned(),
        ),
        _ if matches!(view.state.phase, Phase::Settled | Phase::Failed) => says(
            ConditionStatus::False,
            "GivenUp",
            format!(
                "{url} wasn't told of all pages before the sale was over; copies are fetched anew by themselves after a minute"
            ),
        ),
        (Some(version), Some(setback)) if purge.version == *version => says(
            ConditionStatus::False,
            "Refused",
            format!(
                "{url}: {}; it is tried again, until then edges may show old pages for a minute",
                setback.error
            ),
        ),
        _ => says(
            ConditionStatus::False,
            "NotYet",
            "the CDN is told as soon as all gateways serve the same pages".to_owned(),
        ),
    })
}

/// When to look again although nothing that is watched changes.
pub(crate) fn next_look(view: &View<'_>) -> Option<Millis> {
    if !is_serving(view) || own(view).is_none() && webhook(view).is_none() {
        return None;
    }
    let now = view.now;
    let Some((version, _)) = served(view) else {
        return Some(now.saturating_add(LOOK_SOON));
    };
    let retry = purge_at(view, version);
    let is_waiting = retry > now && webhook(view).is_some();
    Some(if is_waiting {
        retry
    } else {
        now.saturating_add(LOOK)
    })
}
