//! A world in which plans are carried out: an API server, an order log, databases and a data plane, all as simple as
//! they can be while a wrong step is still a failure.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::needless_pass_by_value
)]

mod classes;
mod data_plane;
mod observe;
mod steps;

pub use classes::{class, class_with, sale, settings, two_rooms, with};

use flashsale_operator_core::api::{FlashSale, FlashSaleClass, FlashSaleStatus, LoadState, LockLevel, Phase};
use flashsale_operator_core::observed::{
    Answer, Audit, Closing, Kind, Purged, RevisionSeen, Setback, Settings,
};
use flashsale_operator_core::{EventNote, Failure, FailureKind, Millis, Plan, plan};
use serde_json::Value;
use std::collections::BTreeMap;

/// The opening of the sales in here.
pub const OPEN: &str = "2026-12-01T12:00:00Z";

pub fn at(time: &str) -> Millis {
    let time: flashsale_operator_core::api::Timestamp = time.parse().unwrap();
    time.millis()
}

pub fn open() -> Millis {
    at(OPEN)
}

/// An object of the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub uid: String,
    pub hash: Option<String>,
    pub body: Value,
    pub replicas: i32,
    pub ready: i32,
}

/// What breaks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Broken {
    pub log: bool,
    pub database: bool,
    pub worker: bool,
    pub shop: bool,
    pub cdn: bool,
    pub pages: bool,
    pub pods: bool,
    pub clock_ms: i64,
}

/// Since when somebody doesn't answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Away {
    pub log: Option<Millis>,
    pub database: Option<Millis>,
}

/// The world.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Millis,
    pub sale: Option<FlashSale>,
    pub classes: Vec<FlashSaleClass>,
    pub settings: Settings,
    pub objects: BTreeMap<(Kind, String), Object>,
    pub revisions: Vec<RevisionSeen>,
    pub enabled: bool,
    pub terminating: bool,
    pub log: bool,
    pub databases: BTreeMap<String, bool>,
    pub orders_kept: bool,
    pub load: LoadState,
    pub plane: data_plane::Plane,
    pub audit: Answer<Audit>,
    pub findings: Vec<String>,
    pub closing: Answer<Closing>,
    pub told: Answer<()>,
    /// The digest of the shop's pages.
    pub shop_pages: String,
    /// What a gateway still serves that has them later.
    pub late_pages: Option<String>,
    pub publishing: Option<Setback>,
    pub purge: Purged,
    /// The paths that the CDN was told of, in order.
    pub dropped: Vec<String>,
    pub predecessor: Option<String>,
    pub broken: Broken,
    /// Since when log and databases don't answer, as an operator that keeps running remembers it.
    pub away: Away,
    pub failure: Option<Failure>,
    pub events: Vec<EventNote>,
    pub did: Vec<String>,
    pub status_writes: usize,
    pub next_uid: u64,
    pub prefix: Vec<String>,
}

/// How much of each plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All of it.
    Whole,
    /// One step that wasn't done just before, then a crash, behind the last one, too: the status is written only when no
    /// new step is left.
    StepByStep,
}

impl World {
    pub fn new(sale: FlashSale, class: FlashSaleClass) -> Self {
        let databases = class
            .spec
            .databases
            .iter()
            .map(|database| (database.name.clone(), false))
            .collect();
        Self {
            now: open() - 3 * 3_600_000,
            sale: Some(sale),
            classes: vec![class],
            settings: settings(),
            objects: BTreeMap::new(),
            revisions: Vec::new(),
            enabled: true,
            terminating: false,
            log: false,
            databases,
            orders_kept: false,
            load: LoadState::Unseeded,
            plane: data_plane::Plane::default(),
            audit: Answer::NotAsked,
            findings: Vec::new(),
            closing: Answer::NotAsked,
            told: Answer::NotAsked,
            shop_pages: "one".to_owned(),
            late_pages: None,
            publishing: None,
            purge: Purged::default(),
            dropped: Vec::new(),
            predecessor: None,
            broken: Broken::default(),
            away: Away::default(),
            failure: None,
            events: Vec::new(),
            did: Vec::new(),
            status_writes: 0,
            next_uid: 100,
            prefix: Vec::new(),
        }
    }

    pub fn sale(&self) -> &FlashSale {
        self.sale.as_ref().expect("the sale is still there")
    }

    pub fn sale_mut(&mut self) -> &mut FlashSale {
        self.sale.as_mut().expect("the sale is still there")
    }

    pub fn status(&self) -> FlashSaleStatus {
        self.sale().status.clone().unwrap_or_default()
    }

    pub fn phase(&self) -> Phase {
        self.status().phase.unwrap_or(Phase::Pending)
    }

    /// What a condition says.
    pub fn message(&self, kind: &str) -> String {
        let status = self.status();
        let found = flashsale_operator_core::api::condition(&status.conditions, kind);
        found.map(|c| c.message.clone()).unwrap_or_default()
    }

    pub fn condition(&self, kind: &str) -> (String, String) {
        let status = self.status();
        let found = flashsale_operator_core::api::condition(&status.conditions, kind);
        found
            .map(|c| (format!("{:?}", c.status), c.reason.clone()))
            .unwrap_or_default()
    }

    /// Changes the spec, as `kubectl apply` does.
    pub fn edit(&mut self, change: impl FnOnce(&mut FlashSale)) {
        let sale = self.sale_mut();
        change(sale);
        *sale.metadata.generation.get_or_insert(1) += 1;
    }

    /// `kubectl delete`.
    pub fn delete(&mut self) {
        let now = self.now;
        let sale = self.sale_mut();
        sale.metadata.deletion_timestamp = Some(classes::time(now));
        *sale.metadata.generation.get_or_insert(1) += 1;
        if sale.metadata.finalizers.as_deref().unwrap_or_default().is_empty() {
            self.sale = None;
        }
    }

    /// One look: plans, carries out, writes the status.
    pub fn look(&mut self, pace: Pace) -> Plan {
        self.away = Away {
            log: self.broken.log.then(|| self.away.log.unwrap_or(self.now)),
            database: self
                .broken
                .database
                .then(|| self.away.database.unwrap_or(self.now)),
        };
        let observed = self.observe();
        let planned = plan(&observed, self.now);
        let (count, is_crashed) = match pace {
            Pace::Whole => (planned.steps.len(), false),
            Pace::StepByStep => {
                // What nobody can see that it was done is done again, and then one more.
                let again = planned
                    .steps
                    .iter()
                    .zip(&self.prefix)
                    .take_while(|(step, done)| step.name() == **done)
                    .count();
                let is_all = again == planned.steps.len();
                (if is_all { again } else { again + 1 }, !is_all)
            }
        };
        self.prefix = planned.steps[..count]
            .iter()
            .map(flashsale_operator_core::Step::name)
            .collect();
        for step in &planned.steps[..count] {
            if let Err((kind, error)) = self.carry_out(step) {
                let since = self.failure.as_ref().map_or(self.now, |failure| failure.since);
                self.failure = Some(Failure {
                    kind,
                    step: step.name(),
                    error,
                    since,
                });
                let observed = self.observe();
                let said = plan(&observed, self.now);
                self.write(&said);
                return planned;
            }
            self.did.push(step.name());
        }
        self.failure = None;
        if !is_crashed {
            self.write(&planned);
        }
        planned
    }

    fn write(&mut self, planned: &Plan) {
        let Some(sale) = &mut self.sale else { return };
        let old = sale.status.clone().unwrap_or_default();
        let mut new = planned.status.clone();
        // A lock that was written stays.
        new.lock_level = new.lock_level.max(old.lock_level);
        assert!(new.conditions.len() <= 16 && new.gates.len() <= 16 && new.effective.len() <= 64);
        if old.lock_level >= Some(LockLevel::Armed) && old.revision.is_some() {
            let name = |status: &FlashSaleStatus| status.revision.as_ref().map(|pin| pin.name.clone());
            assert_eq!(name(&new), name(&old), "the API server keeps it from then on");
        }
        if sale.status.as_ref() != Some(&new) {
            self.status_writes += 1;
            sale.status = Some(new);
        }
        self.events.extend(planned.events.iter().cloned());
    }

    /// Looks again and again until nothing is to be done, or something can't, and time has to pass. Answers the last plan.
    pub fn rest(&mut self, pace: Pace) -> Option<Plan> {
        for _ in 0..2_000 {
            let before = self.sale.as_ref()?.status.clone();
            let planned = self.look(pace);
            let is_moving = self.happen();
            let is_said = self.sale.as_ref()?.status == before;
            if self.failure.is_some() || planned.steps.is_empty() && is_said && !is_moving {
                return Some(planned);
            }
        }
        panic!(
            "never rests; last: {:?}",
            self.did.iter().rev().take(8).collect::<Vec<_>>()
        );
    }

    /// Lets time pass up to `until`, looking as often as plans ask for.
    pub fn pass(&mut self, until: Millis, pace: Pace) {
        self.go(until, pace, |_| false);
    }

    /// Lets time pass until the sale is in a phase; panics if it isn't within a day.
    pub fn until(&mut self, phase: Phase, pace: Pace) {
        let end = self.now + 24 * 3_600_000;
        self.go(end, pace, |world| world.sale.is_some() && world.phase() == phase);
        assert!(self.now < end, "never {phase:?}: {:#?}", self.status());
    }

    fn go(&mut self, until: Millis, pace: Pace, is_there: impl Fn(&Self) -> bool) {
        loop {
            let planned = self.rest(pace);
            let Some(planned) = planned.filter(|_| self.now < until && !is_there(self)) else {
                return;
            };
            let wait = u64::try_from(planned.look_again.as_millis()).unwrap();
            assert!((50..=3_600_000).contains(&wait), "{wait} ms");
            // What fails is tried again ever later.
            let wait = if self.failure.is_some() { 300_000 } else { wait };
            self.now = (self.now + wait).min(until);
            self.happen();
        }
    }

    pub fn fail(kind: FailureKind, error: &str) -> Result<(), (FailureKind, String)> {
        Err((kind, error.to_owned()))
    }
}
