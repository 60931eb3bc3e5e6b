//! What watches have seen: objects by namespace and name, and by the sale that they belong to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Namespace (empty for a cluster's objects) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The namespace.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl Key {
    /// The key of an object.
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A label's value, where it is set.
pub(crate) fn label<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

/// All objects of one kind, as of the last event of each watch.
#[derive(Debug)]
pub(crate) struct Cache<K> {
    all: RwLock<Objects<K>>,
}

#[derive(Debug)]
struct Objects<K> {
    by_key: BTreeMap<Key, Arc<K>>,
    by_sale: HashMap<String, BTreeSet<Key>>,
    /// Per watch: what its list has shown so far, while it is being listed.
    listing: HashMap<String, BTreeSet<Key>>,
    /// The watches that have been listed.
    listed: BTreeSet<String>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            all: RwLock::new(Objects {
                by_key: BTreeMap::new(),
                by_sale: HashMap::new(),
                listing: HashMap::new(),
                listed: BTreeSet::new(),
            }),
        }
    }
}

impl<K: Resource> Cache<K> {
    fn read<T>(&self, look: impl FnOnce(&Objects<K>) -> T) -> T {
        look(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read(|all| all.by_key.get(key).cloned())
    }

    /// All of them, by key.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read(|all| all.by_key.values().cloned().collect())
    }

    /// Those of one namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = Key {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        self.read(|all| {
            let from = all.by_key.range(first..);
            let these = from.take_while(|(key, _)| key.namespace == namespace);
            these.map(|(_, object)| Arc::clone(object)).collect()
        })
    }

    /// Those that carry the label with this sale's uid.
    pub(crate) fn of_sale(&self, uid: &str) -> Vec<Arc<K>> {
        self.read(|all| {
            let keys = all.by_sale.get(uid).into_iter().flatten();
            keys.filter_map(|key| all.by_key.get(key).cloned()).collect()
        })
    }

    /// Takes over one event of the watch called `watch`. Answers the objects that it is about: for the end of a list
    /// also those that are gone.
    pub(crate) fn take(&self, watch: &str, event: Event<K>) -> Vec<Arc<K>> {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                all.listing.insert(watch.to_owned(), BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = Key::of(object.meta());
                if let Some(seen) = all.listing.get_mut(watch) {
                    seen.insert(key.clone());
                }
                vec![all.put(key, object)]
            }
            Event::InitDone => {
                all.listed.insert(watch.to_owned());
                let Some(seen) = all.listing.remove(watch) else {
                    return Vec::new();
                };
                let ours = |key: &Key| watch.is_empty() || key.namespace == watch;
                let gone: Vec<Key> = all
                    .by_key
                    .keys()
                    .filter(|key| ours(key) && !seen.contains(key))
                    .cloned()
                    .collect();
                gone.iter().filter_map(|key| all.remove(key)).collect()
            }
            Event::Apply(object) => {
                let key = Key::of(object.meta());
                vec![all.put(key, object)]
            }
            Event::Delete(object) => {
                let key = Key::of(object.meta());
                all.remove(&key).into_iter().collect()
            }
        }
    }

    /// There is no such kind in this cluster: nothing is there.
    pub(crate) fn none(&self, watch: &str) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.listed.insert(watch.to_owned());
    }

    /// Whether these watches were all listed.
    pub(crate) fn listed(&self, watches: &[String]) -> bool {
        self.read(|all| watches.iter().all(|watch| all.listed.contains(watch)))
    }
}

impl<K: Resource> Objects<K> {
    fn put(&mut self, key: Key, object: K) -> Arc<K> {
        self.remove(&key);
        if let Some(uid) = label(object.meta(), flashsale_operator_core::api::SALE_UID_LABEL) {
            self.by_sale
                .entry(uid.to_owned())
                .or_default()
                .insert(key.clone());
        }
        let object = Arc::new(object);
        self.by_key.insert(key, Arc::clone(&object));
        object
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let old = self.by_key.remove(key)?;
        if let Some(uid) = label(old.meta(), flashsale_operator_core::api::SALE_UID_LABEL)
            && let Some(keys) = self.by_sale.get_mut(uid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_sale.remove(uid);
            }
        }
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_operator_core::api::SALE_UID_LABEL;
    use k8s_openapi::api::core::v1::Service;

    fn service(namespace: &str, name: &str, sale: &str) -> Service {
        let mut service = Service::default();
        service.metadata.namespace = Some(namespace.to_owned());
        service.metadata.name = Some(name.to_owned());
        service.metadata.labels = Some([(SALE_UID_LABEL.to_owned(), sale.to_owned())].into());
        service
    }

    fn names(objects: &[Arc<Service>]) -> Vec<&str> {
        objects
            .iter()
            .filter_map(|o| o.metadata.name.as_deref())
            .collect()
    }

    #[test]
    fn a_new_list_drops_what_it_doesnt_have_in_its_own_namespace_only() {
        let cache = Cache::default();
        for (watch, name) in [("a", "x"), ("a", "y"), ("b", "z")] {
            cache.take(watch, Event::Apply(service(watch, name, "1")));
        }
        cache.take("a", Event::Init);
        cache.take("a", Event::InitApply(service("a", "y", "1")));
        // Nothing is missing before the list is whole.
        assert_eq!(names(&cache.of_sale("1")), ["x", "y", "z"]);
        assert_eq!(names(&cache.take("a", Event::InitDone)), ["x"]);
        assert_eq!(names(&cache.of_sale("1")), ["y", "z"]);
        assert!(cache.listed(&["a".into()]) && !cache.listed(&["a".into(), "b".into()]));
    }

    #[test]
    fn an_object_is_found_by_the_sale_that_it_is_labelled_with_now() {
        let cache = Cache::default();
        cache.take("", Event::Apply(service("a", "x", "1")));
        cache.take("", Event::Apply(service("a", "x", "2")));
        assert!(cache.of_sale("1").is_empty());
        assert_eq!(names(&cache.of_sale("2")), ["x"]);
        cache.take("", Event::Delete(service("a", "x", "2")));
        assert!(cache.of_sale("2").is_empty() && cache.all().is_empty());
    }

    #[test]
    fn a_namespace_ends_where_the_next_begins() {
        let cache = Cache::default();
        for namespace in ["shop", "shop-2", "shoq"] {
            cache.take("", Event::Apply(service(namespace, "x", "1")));
        }
        assert_eq!(cache.in_namespace("shop").len(), 1);
    }
}
