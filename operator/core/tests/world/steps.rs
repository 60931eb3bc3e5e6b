//! Carrying out a step, with everything that must hold when it is.

use super::{Object, World};
use flashsale_operator_core::api::{FINALIZER, LoadState, LockLevel};
use flashsale_operator_core::observed::{
    Answer, Audit, Closing, DataPhase, Kind, Purged, RevisionSeen, Setback,
};
use flashsale_operator_core::outcome::Rendered;
use flashsale_operator_core::{FailureKind, Step};
use serde_json::Value;

type Done = Result<(), (FailureKind, String)>;

impl World {
    fn uid(&mut self) -> String {
        self.next_uid += 1;
        format!("uid-{}", self.next_uid)
    }

    pub fn carry_out(&mut self, step: &Step) -> Done {
        match step {
            Step::AddFinalizer => {
                let finalizers = self.sale_mut().metadata.finalizers.get_or_insert_default();
                assert!(
                    !finalizers.iter().any(|f| f == FINALIZER),
                    "the finalizer is there already"
                );
                finalizers.push(FINALIZER.to_owned());
            }
            Step::RemoveFinalizer => {
                assert!(
                    !self.log && self.databases.values().all(|ready| !ready)
                        || self.load == LoadState::Seeded,
                    "the stores were left first"
                );
                self.sale_mut().metadata.finalizers = None;
                if self.sale().metadata.deletion_timestamp.is_some() {
                    self.sale = None;
                }
            }
            Step::Lock(level) => {
                let has_finalizer = self
                    .sale()
                    .metadata
                    .finalizers
                    .as_deref()
                    .is_some_and(|f| !f.is_empty());
                assert!(has_finalizer, "a sale that holds anything can't just go");
                let status = self.sale_mut().status.get_or_insert_default();
                assert!(status.lock_level.unwrap_or_default() < *level, "locks only rise");
                status.lock_level = Some(*level);
            }
            Step::PinRevision(object) => self.pin(object),
            Step::WriteSecret(secret) => {
                let uid = self.uid();
                let object = Object {
                    uid,
                    hash: None,
                    body: secret.object.clone(),
                    replicas: 0,
                    ready: 0,
                };
                self.objects
                    .entry((Kind::Secret, secret.name.clone()))
                    .or_insert(object);
            }
            Step::Apply(object) => self.apply(object),
            Step::Scale { name, replicas } => {
                let object = self
                    .objects
                    .get_mut(&(Kind::Deployment, name.clone()))
                    .expect("what is scaled is there");
                assert_ne!(object.replicas, *replicas, "scaling to what it is");
                object.replicas = *replicas;
            }
            Step::Delete { kind, name, uid } => self.remove(*kind, name, uid),
            Step::EnsureLog { .. } if self.broken.log => {
                return Self::fail(FailureKind::OrderLog, "connection refused");
            }
            Step::EnsureLog { .. } => self.log = true,
            Step::EnsureDatabase { database } => {
                if self.broken.database {
                    return Self::fail(
                        FailureKind::Database {
                            name: database.clone(),
                        },
                        "connection refused",
                    );
                }
                self.databases.insert(database.clone(), true);
            }
            Step::CloseFromLog => {
                assert!(self.terminating, "only when the pods are gone");
                self.closing = Answer::Told {
                    at: self.now,
                    value: Closing::default(),
                };
            }
            Step::Audit => {
                assert!(
                    !self.broken.log && !self.broken.database,
                    "what doesn't answer isn't read"
                );
                self.audit();
            }
            Step::WriteReport(object) => {
                assert!(
                    object.object["metadata"]["ownerReferences"].is_null(),
                    "the report stays"
                );
                // Nobody looks for a report: behind a crash it is written again, as it was.
                let old = self.objects.get(&(object.kind, object.name.clone()));
                if old.is_none_or(|old| old.hash.as_deref() != Some(object.hash.as_str())) {
                    self.apply(object);
                }
            }
            Step::PublishPages { from, into } => {
                assert_eq!(
                    (from.as_str(), into.hash.as_str()),
                    ("pages", self.shop_pages.as_str())
                );
                assert!(
                    into.object["data"].is_null(),
                    "the data is read when it is copied"
                );
                let uid = &into.object["metadata"]["labels"]["flashsale.dev/sale-uid"];
                assert_eq!(
                    uid.as_str(),
                    self.sale().metadata.uid.as_deref(),
                    "else nobody knows whose it is"
                );
                if self.broken.pages {
                    let why = "the ConfigMap isn't this sale's".to_owned();
                    self.publishing = Some(Setback::after(self.publishing.take(), self.now, why));
                    return Ok(());
                }
                self.publishing = None;
                self.apply(into);
            }
            Step::PurgeCdn { version, calls } => {
                if self.purge.version != *version {
                    self.purge = Purged {
                        version: version.clone(),
                        ..Purged::default()
                    };
                }
                for (path, call) in calls {
                    let signs = (Kind::Secret, call.secret.0.clone());
                    assert!(self.objects.contains_key(&signs), "what signs the call is there");
                    if self.broken.cdn && !self.purge.taken.is_empty() {
                        let why = "it answered 503 Service Unavailable".to_owned();
                        self.purge.refused = Some(Setback::after(self.purge.refused.take(), self.now, why));
                        return Ok(());
                    }
                    self.purge.taken.insert(path.clone());
                    self.dropped.push(path.clone());
                    self.purge.refused = None;
                }
            }
            Step::TellShop(_) if self.broken.shop => {
                return Self::fail(FailureKind::Shop, "it answered 503 Service Unavailable");
            }
            Step::TellShop(call) => {
                let signs = (Kind::Secret, call.secret.0.clone());
                assert!(self.objects.contains_key(&signs), "what signs the call is there");
                self.told = Answer::Told {
                    at: self.now,
                    value: (),
                };
            }
            Step::TearDownLog if self.broken.log => {
                return Self::fail(FailureKind::OrderLog, "connection refused");
            }
            Step::TearDownLog => {
                let is_quiet = self
                    .objects
                    .keys()
                    .all(|(kind, _)| !matches!(kind, Kind::StatefulSet | Kind::Deployment));
                assert!(is_quiet || self.terminating, "nobody writes to the log any more");
                self.log = false;
            }
            Step::LeaveDatabase { database, .. } if self.broken.database => {
                let name = database.clone();
                return Self::fail(FailureKind::Database { name }, "connection refused");
            }
            Step::LeaveDatabase {
                database,
                forget_orders,
            } => {
                self.orders_kept |= !forget_orders;
                self.databases.insert(database.clone(), false);
            }
        }
        Ok(())
    }

    fn pin(&mut self, object: &Rendered) {
        assert!(
            self.status().lock_level.unwrap_or_default() >= LockLevel::Provisioned,
            "class and host are locked first"
        );
        if self.revisions.iter().any(|revision| revision.name == object.name) {
            return;
        }
        let text = object.object.to_string();
        assert!(!text.contains("0707070707"), "a revision holds no secret");
        assert!(
            text.len() < 900_000,
            "{} bytes don't fit into an object",
            text.len()
        );
        let uid = self.uid();
        let revision = object.object["revision"].as_i64().unwrap();
        assert_eq!(
            revision,
            1 + self.revisions.iter().map(|r| r.revision).max().unwrap_or(0),
            "revisions count up"
        );
        self.revisions.push(RevisionSeen {
            name: object.name.clone(),
            uid,
            revision,
            data: object.object["data"].clone(),
            deleting: false,
        });
    }

    fn apply(&mut self, object: &Rendered) {
        let annotation = &object.object["metadata"]["annotations"]["flashsale.dev/hash"];
        assert_eq!(annotation.as_str(), Some(object.hash.as_str()));
        let owner = &object.object["metadata"]["ownerReferences"][0]["uid"];
        let first = self.revisions.iter().find(|revision| revision.revision == 1);
        if !object.name.ends_with("-report") {
            assert_eq!(
                owner.as_str(),
                first.map(|first| first.uid.as_str()),
                "{} belongs to the first revision",
                object.name
            );
        }
        if object.kind == Kind::Deployment && object.name.ends_with("-worker") {
            let level = self.status().lock_level.unwrap_or_default();
            assert!(
                level >= LockLevel::Loading,
                "the worker loads the stock: that is locked first"
            );
        }
        let key = (object.kind, object.name.clone());
        let replicas = object.object["spec"]["replicas"]
            .as_i64()
            .map(|r| i32::try_from(r).unwrap());
        let uid = self.objects.get(&key).map(|old| old.uid.clone());
        let uid = uid.unwrap_or_else(|| self.uid());
        let old = self.objects.get(&key);
        assert_ne!(
            old.and_then(|old| old.hash.as_deref()),
            Some(object.hash.as_str()),
            "{} is applied already",
            object.name
        );
        let (was, ready) = old.map_or((1, 0), |old| (old.replicas, old.ready));
        let new = Object {
            uid,
            hash: Some(object.hash.clone()),
            body: object.object.clone(),
            replicas: replicas.unwrap_or(was),
            ready,
        };
        self.objects.insert(key, new);
    }

    fn remove(&mut self, kind: Kind, name: &str, uid: &str) {
        if kind == Kind::ControllerRevision {
            let found = self
                .revisions
                .iter()
                .position(|revision| revision.name == name && revision.uid == uid);
            let gone = self.revisions.remove(found.expect("what is deleted is there"));
            assert!(
                gone.revision != 1 || self.revisions.is_empty(),
                "the owner goes last"
            );
            return;
        }
        if kind == Kind::Pod {
            return;
        }
        let gone = self
            .objects
            .remove(&(kind, name.to_owned()))
            .expect("what is deleted is there");
        assert_eq!(gone.uid, uid);
    }

    fn audit(&mut self) {
        let figures = self.figures();
        let is_settled = figures
            .as_ref()
            .is_some_and(|figures| figures.phase == DataPhase::Settled);
        assert!(
            is_settled || self.closing.told().is_some(),
            "nothing moves any more"
        );
        let items = figures.map(|figures| figures.items).unwrap_or_default();
        let sum = |of: fn(&flashsale_operator_core::api::ItemFigures) -> i64| {
            items.iter().map(of).sum::<i64>().unsigned_abs()
        };
        let value = Audit {
            at: self.now,
            findings: self.findings.clone(),
            stock: sum(|item| item.stock),
            sold: sum(|item| item.sold),
            orders: 1,
            closed: 0,
            refunds_due: 0,
            report: Value::Null,
        };
        self.audit = Answer::Told { at: self.now, value };
    }
}
