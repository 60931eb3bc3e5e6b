//! Pods become ready, stock gets loaded, buyers buy, orders are paid: by what was applied, not by what was planned.

use super::{Object, World};
use flashsale_operator_core::Millis;
use flashsale_operator_core::amend::Amendments;
use flashsale_operator_core::api::{ItemFigures, LoadState};
use flashsale_operator_core::observed::{DataPhase, Figures, Kind, ShardFigures};
use serde_json::Value;

/// How long a closed sale makes orders, and then waits for payments.
const DRAINS: Millis = 20_000;
const PAYS: Millis = 60_000;
/// How long a whole stock takes to sell.
const SELLS: Millis = 60_000;

/// The data plane's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// Units loaded, by item.
    pub loaded: Vec<(String, i64)>,
    /// Grants that were taken.
    pub granted: Vec<(u32, String)>,
    /// The revision of amendments taken.
    pub amended: u64,
    /// When the sale was called off.
    pub called_off: Option<Millis>,
    /// How often the stock was loaded.
    pub loads: usize,
}

impl World {
    fn run_map(&self) -> Option<&Object> {
        self.objects
            .get(&(Kind::ConfigMap, "phone-launch-run".to_owned()))
    }

    fn run_file(&self, key: &str) -> Option<Value> {
        let text = self.run_map()?.body["data"][key].as_str()?.to_owned();
        serde_json::from_str(&text).ok()
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.objects.contains_key(&(kind, format!("phone-launch-{name}")))
    }

    /// Moves the cluster on by one; answers whether anything did.
    pub fn happen(&mut self) -> bool {
        let before = (self.load, self.plane.clone());
        let is_moving = self.run_pods();
        if !self.broken.pods {
            self.work();
        }
        is_moving || before != (self.load, self.plane.clone())
    }

    fn run_pods(&mut self) -> bool {
        let is_served = self.log && self.databases.values().all(|ready| *ready) && !self.broken.database;
        let was_loaded = self.load == LoadState::Seeded;
        let has_secrets =
            self.has(Kind::Secret, "signing") && self.has(Kind::Secret, "redis") && self.run_map().is_some();
        let mut is_moving = false;
        for ((kind, name), object) in &mut self.objects {
            let is_ready = match kind {
                Kind::StatefulSet => is_served && has_secrets,
                Kind::Deployment if name.contains("-gateway-") => was_loaded && has_secrets,
                Kind::Deployment => is_served && has_secrets,
                _ => false,
            };
            let ready = match is_ready {
                _ if self.broken.pods => 0,
                true => object.replicas,
                false => object.ready.min(object.replicas),
            };
            is_moving |= ready != object.ready;
            object.ready = ready;
        }
        is_moving
    }

    fn shards_ready(&self) -> bool {
        let mut sets = self
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::StatefulSet)
            .peekable();
        sets.peek().is_some() && sets.all(|(_, set)| set.ready == set.replicas)
    }

    /// The worker, if there is one.
    fn work(&mut self) {
        if !self.has(Kind::Deployment, "worker") || self.broken.worker {
            return;
        }
        assert!(
            self.status().lock_level.unwrap_or_default() >= flashsale_operator_core::api::LockLevel::Loading,
            "loading is locked first"
        );
        match self.load {
            LoadState::Unseeded if self.shards_ready() => self.load = LoadState::Seeding,
            LoadState::Seeding => {
                self.load = LoadState::Seeded;
                self.plane.loads += 1;
                self.plane.loaded = self.declared();
            }
            LoadState::Unseeded | LoadState::Seeded => {}
        }
        if let Some(amendments) = self.run_file("amendments.json") {
            let amendments: Amendments = serde_json::from_value(amendments).unwrap();
            for grant in &amendments.grants {
                let key = (grant.id, grant.item.clone());
                if self.load == LoadState::Seeded && !self.plane.granted.contains(&key) {
                    self.plane.granted.push(key);
                    let item = self
                        .plane
                        .loaded
                        .iter_mut()
                        .find(|(id, _)| *id == grant.item)
                        .unwrap();
                    item.1 += i64::from(grant.units);
                }
            }
            self.plane.amended = self.plane.amended.max(amendments.revision);
            if amendments.cancellation.is_some() {
                self.plane.called_off.get_or_insert(self.now);
            }
        }
    }

    /// What the pinned sale declares, read as the data plane reads it.
    fn declared(&self) -> Vec<(String, i64)> {
        let yaml = self.run_map().unwrap().body["data"]["sale.yaml"]
            .as_str()
            .unwrap()
            .to_owned();
        let sale = flashsale_crds::FlashSale::parse(&yaml).unwrap_or_else(|why| panic!("{why:?}\n{yaml}"));
        sale.spec
            .items
            .unwrap()
            .into_iter()
            .map(|item| (item.id, item.stock))
            .collect()
    }

    fn times(&self) -> Option<(Millis, Millis)> {
        let decided = self.run_file("sale.json")?;
        let amendments: Amendments = serde_json::from_value(self.run_file("amendments.json")?).unwrap();
        let (open, close) = (decided["openMs"].as_u64()?, decided["closeMs"].as_u64()?);
        let close = amendments
            .close_ms(close)
            .min(self.plane.called_off.unwrap_or(Millis::MAX));
        Some((open, close))
    }

    /// The worker's figures; `None` if there is none.
    pub fn figures(&self) -> Option<Figures> {
        if !self.has(Kind::Deployment, "worker") || self.broken.worker {
            return None;
        }
        let (open, close) = self.times()?;
        let now = self.now;
        let is_loaded = self.load == LoadState::Seeded;
        // Nothing is settled whose last events are in no database: the worker waits, and nobody has failed.
        let is_served = !self.broken.log && !self.broken.database;
        let phase = match now {
            _ if now >= close + DRAINS + PAYS && is_served => DataPhase::Settled,
            _ if now >= close + DRAINS => DataPhase::Settling,
            _ if now >= close => DataPhase::Draining,
            _ if now >= open => DataPhase::Open,
            _ => DataPhase::Armed,
        };
        let sold_for = now.min(close).saturating_sub(open);
        let items = self.plane.loaded.iter().map(|(id, stock)| {
            let taken = i64::try_from(
                u128::try_from(*stock).unwrap() * u128::from(sold_for.min(SELLS)) / u128::from(SELLS),
            )
            .unwrap();
            let paid = if phase >= DataPhase::Settled {
                taken
            } else {
                taken / 2
            };
            ItemFigures {
                id: id.clone(),
                stock: *stock,
                sellable: stock - taken,
                locked: taken - paid,
                sold: paid,
                in_transfer: 0,
            }
        });
        let shards: u16 = self
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::StatefulSet)
            .map(|(_, set)| u16::try_from(set.replicas).unwrap())
            .sum();
        let shard = |id| ShardFigures {
            id,
            epoch: 1,
            state: "Open".to_owned(),
            open: true,
            applied: now,
        };
        Some(Figures {
            phase,
            items: items.collect(),
            shards: (0..shards).map(shard).collect(),
            waiting: 0,
            oldest_waiting_ms: 0,
            loaded: is_loaded,
            amended: i64::try_from(self.plane.amended).unwrap(),
            orders: 1,
            closed: 0,
            refunds_due: 0,
        })
    }
}
