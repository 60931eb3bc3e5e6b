//! Follows the objects of one kind: lists them, then hears of each change.

use futures_util::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Error, Resource, ResourceExt};
use rand::Rng as _;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the server keeps one watch up, in seconds.
const WATCH_SECONDS: u32 = 290;
/// A watch of which nothing is heard for so long is begun again: the server says something about once a minute.
const SILENCE_MAX: Duration = Duration::from_secs(100);
/// How long a list may take.
const LIST_MAX: Duration = Duration::from_secs(20);
/// After a failure; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// What the server says of a revision that it has forgotten.
const GONE: u16 = 410;

/// What has changed, with the revision of the cluster that it brought.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// These are all.
    All(u64, Vec<K>),
    /// This one is there, as it is now.
    Is(u64, K),
    /// The one of this name isn't there any more.
    Gone(u64, String),
}

/// Why a watch ended.
enum Ended {
    /// In order, or broken: it goes on from the last revision.
    Broken(String),
    /// The revision is forgotten: everything has to be listed.
    Forgotten,
}

/// Follows until it is dropped; ends when nobody listens.
pub(super) async fn follow<K, S>(
    api: Api<K>,
    fields: Option<String>,
    to: mpsc::Sender<S>,
    say: fn(Change<K>) -> S,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let (mut revision, mut pause, mut told) = (None, PAUSE, String::new());
    loop {
        let tried = match &mut revision {
            // Listed, it is watched at once.
            None => list(&api, fields.as_deref(), &to, say)
                .await
                .map(|at| revision = Some(at)),
            Some(at) => match watch(&api, fields.as_deref(), at, &to, say).await {
                Ok(()) => Ok(()),
                Err(Ended::Broken(why)) => Err(why),
                Err(Ended::Forgotten) => {
                    revision = None;
                    Ok(())
                }
            },
        };
        if to.is_closed() {
            return;
        }
        match tried {
            Ok(()) => {
                (pause, told) = (PAUSE, String::new());
                // A server that ends every watch at once isn't asked without a pause.
                tokio::time::sleep(PAUSE).await;
            }
            Err(why) => {
                // Said once, not at each try.
                if why != told {
                    tracing::warn!(what = %K::kind(&()), %why, "the Kubernetes API can't be watched; going on with what is known");
                    told = why;
                }
                let some = rand::rng().random_range(0.5..1.0);
                tokio::time::sleep(pause.mul_f64(some)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

async fn list<K, S>(
    api: &Api<K>,
    fields: Option<&str>,
    to: &mpsc::Sender<S>,
    say: fn(Change<K>) -> S,
) -> Result<String, String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let which = ListParams {
        field_selector: fields.map(str::to_owned),
        ..ListParams::default()
    };
    let listed = tokio::time::timeout(LIST_MAX, api.list(&which)).await;
    let listed = listed.map_err(|_| format!("no list within {LIST_MAX:?}"))?;
    let list = listed.map_err(|e| e.to_string())?;
    let at = list.metadata.resource_version.unwrap_or_default();
    // Whoever doesn't listen any more has ended.
    let _ = to.send(say(Change::All(number(&at), list.items))).await;
    Ok(at)
}

async fn watch<K, S>(
    api: &Api<K>,
    fields: Option<&str>,
    at: &mut String,
    to: &mpsc::Sender<S>,
    say: fn(Change<K>) -> S,
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut which = WatchParams::default().timeout(WATCH_SECONDS);
    which.field_selector = fields.map(str::to_owned);
    let silent = |_| Ended::Broken(format!("nothing was heard for {SILENCE_MAX:?}"));
    let begun = tokio::time::timeout(LIST_MAX, api.watch(&which, at)).await;
    let events = begun.map_err(silent)?.map_err(|e| ended(&e))?;
    let mut events = std::pin::pin!(events);
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, events.next()).await;
        let Some(event) = next.map_err(silent)? else {
            return Ok(());
        };
        let change = match event.map_err(|e| ended(&e))? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                *at = object.resource_version().unwrap_or_default();
                Change::Is(number(at), object)
            }
            WatchEvent::Deleted(object) => {
                *at = object.resource_version().unwrap_or_default();
                Change::Gone(number(at), object.name_any())
            }
            WatchEvent::Bookmark(mark) => {
                *at = mark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(status) if status.code == GONE => return Err(Ended::Forgotten),
            WatchEvent::Error(status) => return Err(Ended::Broken(status.message)),
        };
        if to.send(say(change)).await.is_err() {
            return Ok(());
        }
    }
}

fn ended(error: &Error) -> Ended {
    match error {
        Error::Api(status) if status.code == GONE => Ended::Forgotten,
        other => Ended::Broken(other.to_string()),
    }
}

/// The cluster's revisions are one growing number; one that isn't a number is older than all.
fn number(revision: &str) -> u64 {
    revision.parse().unwrap_or(0)
}
