//! What was seen in the API, put together and handed on.

use super::cache::{Cache, Cached};
use super::declared::{Standing, amendments, standing};
use super::watch::{Change, follow};
use crate::amendments::Amendments;
use crate::clock::now_ms;
use crate::shared::Shared;
use crate::switches::{Document, Entry, Source};
use flashsale_crds::objects::FlashSaleSwitch;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Changes that wait to be looked at.
const CHANGES_MAX: usize = 64;
/// How often it is looked whether there is something else to keep on disk.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Where the sale is declared.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) sale: String,
    /// Its run ConfigMap.
    pub(crate) config_map: String,
    /// A file that `kubectl` could use, outside of a cluster.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Where what is known is kept.
    pub(crate) cache: Option<PathBuf>,
}

/// See the module.
pub(crate) struct Control {
    shared: Arc<Shared>,
    api: Api,
    uid: String,
    cache: Cache,
    cached: Cached,
    switches: Option<(u64, BTreeMap<String, FlashSaleSwitch>)>,
    map: Option<(u64, Option<ConfigMap>)>,
    standing: Standing,
    amended: watch::Sender<Option<Amendments>>,
}

impl Control {
    /// Begins with what is known on disk.
    pub(crate) fn new(shared: Arc<Shared>, api: Api) -> Self {
        let uid = format!("{:032x}", shared.sale.uid.0);
        let cache = Cache::new(api.cache.as_deref());
        let cached = cache.read(&uid).unwrap_or_default();
        shared.switches.merge(cached.switches.clone(), now_ms());
        let cached = Cached {
            sale: uid.clone(),
            ..cached
        };
        Self {
            amended: watch::channel(cached.amendments.clone()).0,
            shared,
            api,
            uid,
            cache,
            cached,
            switches: None,
            map: None,
            standing: Standing::default(),
        }
    }

    /// The amendments, as they change.
    pub(crate) fn amended(&self) -> super::Amended {
        self.amended.subscribe()
    }

    /// Watches until it is dropped.
    ///
    /// # Errors
    /// There is no way to the API: the configuration is wrong, or this isn't a pod.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let client = client(self.api.kubeconfig.as_deref()).await?;
        let (to, mut changes) = mpsc::channel(CHANGES_MAX);
        let switches = kube::Api::<FlashSaleSwitch>::namespaced(client.clone(), &self.api.namespace);
        let maps = kube::Api::<ConfigMap>::namespaced(client, &self.api.namespace);
        let only = format!("metadata.name={}", self.api.config_map);
        let switches = follow(switches, None, to.clone(), Seen::Switches);
        let maps = follow(maps, Some(only), to, Seen::Maps);
        let taking = async {
            let mut keep = tokio::time::interval(KEEP_EVERY);
            loop {
                tokio::select! {
                    seen = changes.recv() => match seen {
                        Some(seen) => self.take(seen),
                        None => return,
                    },
                    _ = keep.tick() => self.keep(),
                }
            }
        };
        // None of them ends by itself.
        tokio::join!(switches, maps, taking);
        Ok(())
    }

    pub(super) fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Switches(change) => {
                let (last, all) = self.switches.get_or_insert_default();
                *last = apply(all, change).max(*last);
            }
            Seen::Maps(change) => {
                let mut all = BTreeMap::new();
                let (last, old) = self.map.take().unwrap_or_default();
                all.extend(old.map(|map| (self.api.config_map.clone(), map)));
                let revision = apply(&mut all, change);
                self.map = Some((revision.max(last), all.remove(&self.api.config_map)));
                self.read_map();
            }
        }
        self.declare();
    }

    /// What the ConfigMap says; what of it can't be read counts as it did before.
    fn read_map(&mut self) {
        let Some((_, Some(map))) = &self.map else { return };
        match standing(map) {
            Ok(standing) => self.standing = standing,
            Err(why) => tracing::error!(%why, "the sale's switches stay as they were"),
        }
        match amendments(map) {
            Ok(Some(found)) => {
                self.amended.send_if_modified(|known| {
                    let newer = known.as_ref().is_none_or(|known| found.revision > known.revision);
                    if newer {
                        *known = Some(found);
                    }
                    newer
                });
            }
            Ok(None) => {}
            Err(why) => tracing::error!(%why, "the sale isn't amended"),
        }
    }

    /// Declares what was seen, if it is something else than before. What wasn't seen yet stays as it was known.
    fn declare(&self) {
        let known = self.shared.switches.known().document;
        let of = |sources: &'static [Source]| {
            let known = known
                .entries
                .iter()
                .filter(|entry| sources.contains(&entry.source));
            known.cloned().collect::<Vec<Entry>>()
        };
        let mut entries = match &self.map {
            Some(_) => self.standing.entries(),
            None => of(&[Source::Class, Source::Spec]),
        };
        match &self.switches {
            // Which objects are meant depends on the sale's labels.
            Some((_, all)) if self.map.is_some() => {
                let each = all.values();
                entries.extend(each.flat_map(|switch| self.standing.entries_of(&self.api.sale, switch)));
            }
            _ => entries.extend(of(&[Source::FlashSaleSwitch])),
        }
        if known.revision > 0 && known.entries == entries {
            return;
        }
        let revisions = [
            self.switches.as_ref().map(|s| s.0),
            self.map.as_ref().map(|m| m.0),
        ];
        let seen = revisions.into_iter().flatten().max().unwrap_or(0);
        let revision = seen.max(known.revision + 1);
        self.shared
            .switches
            .declare(Document { revision, entries }, now_ms());
    }

    fn keep(&mut self) {
        let now = Cached {
            sale: self.uid.clone(),
            switches: self.shared.switches.known(),
            amendments: self.amended.borrow().clone(),
        };
        if now != self.cached {
            self.cache.write(&now);
            self.cached = now;
        }
    }

    #[cfg(test)]
    pub(super) fn keep_now(&mut self) {
        self.keep();
    }
}

/// What a watch has seen.
#[allow(clippy::large_enum_variant, reason = "there are a few of them at a time")]
pub(super) enum Seen {
    Switches(Change<FlashSaleSwitch>),
    Maps(Change<ConfigMap>),
}

/// Makes the change; the revision that it brought.
fn apply<K: kube::ResourceExt>(all: &mut BTreeMap<String, K>, change: Change<K>) -> u64 {
    match change {
        Change::All(revision, objects) => {
            *all = objects
                .into_iter()
                .map(|object| (object.name_any(), object))
                .collect();
            revision
        }
        Change::Is(revision, object) => {
            all.insert(object.name_any(), object);
            revision
        }
        Change::Gone(revision, name) => {
            all.remove(&name);
            revision
        }
    }
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let mut config = match kubeconfig {
        None => Config::incluster()
            .map_err(|e| format!("control: this process isn't in a pod that may ask the Kubernetes API ({e}): give the pod a ServiceAccount token"))?,
        Some(file) => {
            let told = |e: kube::config::KubeconfigError| {
                format!("control.kubeconfig: {}: {e}: give a file that kubectl can use", file.display())
            };
            let read = Kubeconfig::read_from(file).map_err(told)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(read, &options).await.map_err(told)?
        }
    };
    // The watch itself begins again; a hidden retry would only hold it up.
    config.default_retry = false;
    Client::try_from(config)
        .map_err(|e| format!("control: the way to the Kubernetes API can't be used ({e})"))
}
