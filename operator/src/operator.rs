//! What all controllers share.

use crate::cache::Key;
use crate::events::Events;
use crate::hand::Hand;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::watch::{Caches, Change};
use crate::world::World;
use flashsale_operator_core::observed::Settings;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Item {
    /// A sale.
    Sale(Key),
    /// A class.
    Class(String),
    /// A switch.
    Switch(Key),
    /// What deleted sales have left behind.
    Leftovers,
}

impl Item {
    /// The controller that looks at it, for the metrics.
    pub(crate) fn controller(&self) -> &'static str {
        match self {
            Self::Sale(_) => "flashsale",
            Self::Class(_) => "flashsaleclass",
            Self::Switch(_) => "flashsaleswitch",
            Self::Leftovers => "leftovers",
        }
    }
}

/// Everything that a look at an object needs.
pub(crate) struct Operator {
    pub(crate) hand: Hand,
    pub(crate) caches: Arc<Caches>,
    pub(crate) queue: Arc<Queue<Item>>,
    pub(crate) world: World,
    pub(crate) events: Events,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    memories: StdMutex<HashMap<Key, Arc<Mutex<Memory>>>>,
    counting: Arc<AtomicBool>,
}

/// Sales come in bursts, and what a class says is looked at for each of its sales: one count for so many as come within
/// this time.
const COUNTED_AFTER: Duration = Duration::from_secs(5);

impl Operator {
    /// Nothing is remembered yet.
    pub(crate) fn new(
        hand: Hand,
        caches: Arc<Caches>,
        queue: Arc<Queue<Item>>,
        world: World,
        events: Events,
        settings: Settings,
    ) -> Self {
        let metrics = hand.metrics.clone();
        Self {
            hand,
            caches,
            queue,
            world,
            events,
            settings,
            metrics,
            memories: StdMutex::default(),
            counting: Arc::default(),
        }
    }

    /// What is remembered of the sale of this name.
    pub(crate) fn memory(&self, key: &Key) -> Arc<Mutex<Memory>> {
        let mut all = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key.clone()).or_default())
    }

    /// Sales have come, ended or gone: classes soon say how many they have.
    pub(crate) fn count_anew(&self) {
        if self.counting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (caches, queue) = (Arc::clone(&self.caches), Arc::clone(&self.queue));
        let counting = Arc::clone(&self.counting);
        tokio::spawn(async move {
            tokio::time::sleep(COUNTED_AFTER).await;
            counting.store(false, Ordering::Release);
            for class in caches.classes.all() {
                let name = class.metadata.name.clone().unwrap_or_default();
                queue.touch(&Item::Class(name));
            }
        });
    }

    /// The sale of this name is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.memories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

/// What is to be looked at when something has changed.
pub(crate) fn touched(caches: &Caches, change: Change) -> Vec<Item> {
    let sales = |namespace: Option<&str>| {
        let sales = namespace.map_or_else(|| caches.sales.all(), |one| caches.sales.in_namespace(one));
        let keys = sales.into_iter().map(|sale| Item::Sale(Key::of(&sale.metadata)));
        keys.collect::<Vec<_>>()
    };
    match change {
        Change::Sale(key) => vec![Item::Sale(key)],
        Change::Class(name) => [sales(None), vec![Item::Class(name)]].concat(),
        Change::Switch(key) => {
            let mut items = sales(Some(&key.namespace));
            // Newer switches take older ones' place.
            let switches = caches.switches.in_namespace(&key.namespace);
            items.extend(
                switches
                    .iter()
                    .map(|switch| Item::Switch(Key::of(&switch.metadata))),
            );
            items.push(Item::Switch(key));
            items
        }
        Change::Namespace(name) => sales(Some(&name)),
    }
}
