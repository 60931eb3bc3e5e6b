//! What the operator would see of the world.

use super::World;
use flashsale_operator_core::minted::Minted;
use flashsale_operator_core::observed::{
    Answer, Child, ClockOffset, DatabaseSeen, DatabaseState, Databases, Kind, LogState, NamespaceSeen,
    Observed, Others, PagesServed, PodSeen, Predecessor, Reference, Replicas, World as Answers,
};
use flashsale_operator_core::references;

impl World {
    pub fn observe(&self) -> Observed {
        let sale = self.sale().clone();
        let namespace = NamespaceSeen {
            labels: [("kubernetes.io/metadata.name".to_owned(), "shop".to_owned())].into(),
            terminating: self.terminating,
            enabled: self.enabled,
        };
        let references = references(&sale, &self.classes[0].spec).into_iter();
        let there = Reference::There {
            keys: vec![
                "secret".to_owned(),
                "jwks.json".to_owned(),
                "sale.html".to_owned(),
            ],
            version: self.shop_pages.clone(),
        };
        Observed {
            namespace,
            classes: self.classes.clone(),
            revisions: self.revisions.clone(),
            children: self.children(),
            pods: self.pods(),
            foreign: Vec::new(),
            references: references.map(|reference| (reference, there.clone())).collect(),
            switches: Vec::new(),
            others: Others::default(),
            drill: None,
            world: self.answers(),
            failure: self.failure.clone(),
            settings: self.settings.clone(),
            minted: Minted::from_random(self.classes[0].spec.databases.len(), || [7; 32]),
            sale,
        }
    }

    fn children(&self) -> Vec<Child> {
        let each = self
            .objects
            .iter()
            .filter(|((_, name), _)| !name.ends_with("-report"));
        each.map(|((kind, name), object)| {
            let mut child = Child::new(*kind, name.clone(), object.uid.clone(), object.hash.clone());
            if matches!(kind, Kind::StatefulSet | Kind::Deployment) {
                child.replicas = Some(Replicas {
                    wanted: object.replicas,
                    ready: object.ready,
                    updated: object.replicas,
                    observed: true,
                });
            }
            child.admitted = matches!(kind, Kind::HttpRoute | Kind::Ingress).then_some(true);
            child
        })
        .collect()
    }

    fn pods(&self) -> Vec<PodSeen> {
        let sets = self
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::StatefulSet);
        sets.flat_map(|((_, name), set)| {
            let annotations = &set.body["spec"]["template"]["metadata"]["annotations"];
            let hash = annotations["flashsale.dev/hash"].as_str().map(str::to_owned);
            (0..set.replicas).map(move |ix| PodSeen {
                name: format!("{name}-{ix}"),
                uid: format!("{}-{ix}", set.uid),
                component: "shard".to_owned(),
                hash: hash.clone(),
                ready: ix < set.ready,
                deleting: false,
            })
        })
        .collect()
    }

    fn answers(&self) -> Answers {
        let at = self.now;
        let log = if self.broken.log {
            failed(self.away.log.unwrap_or(at))
        } else {
            let drift = if self.log {
                Vec::new()
            } else {
                vec!["the namespace is missing".to_owned()]
            };
            Answer::Told {
                at,
                value: LogState { drift },
            }
        };
        let is_asked = self.now + 3_600_000 >= super::open() || !self.revisions.is_empty();
        let each = self.databases.iter().map(|(name, ready)| DatabaseSeen {
            name: name.clone(),
            port: Some(5432),
            answer: if self.broken.database {
                failed(self.away.database.unwrap_or(at))
            } else {
                Answer::Told {
                    at,
                    value: DatabaseState {
                        ready: *ready,
                        backlog: 0,
                        pending: 0,
                    },
                }
            },
        });
        let predecessor = self.predecessor.as_ref().map(|uid| Predecessor {
            uid: uid.clone(),
            database: "orders".to_owned(),
        });
        Answers {
            log,
            databases: if is_asked {
                Databases {
                    each: each.collect(),
                    load: self.load,
                    predecessor,
                }
            } else {
                Databases::default()
            },
            figures: self
                .figures()
                .map_or(Answer::NotAsked, |value| Answer::Told { at, value }),
            clocks: Answer::Told {
                at,
                value: vec![ClockOffset {
                    process: "phone-launch-shards-a-0".to_owned(),
                    offset_ms: self.broken.clock_ms,
                    uncertain_ms: 3,
                }],
            },
            audit: self.audit.clone(),
            closing: self.closing.clone(),
            pages: self.gateways_pages(),
            publishing: self.publishing.clone(),
            purge: self.purge.clone(),
            told: self.told.clone(),
        }
    }
}

/// What two gateways serve; the second one gets new pages later.
impl World {
    fn gateways_pages(&self) -> Answer<Vec<PagesServed>> {
        let ready = self.objects.iter().any(|((kind, name), object)| {
            *kind == Kind::Deployment && name.contains("-gateway-") && object.ready > 0
        });
        let copy = self
            .objects
            .get(&(Kind::ConfigMap, "phone-launch-pages".to_owned()));
        let newest = copy.and_then(|copy| copy.hash.clone()).unwrap_or_default();
        let one = |name: &str, own: &str, hits: u64| PagesServed {
            gateway: name.to_owned(),
            version: format!("all-{own}"),
            own: own.to_owned(),
            hits: [
                ("/".to_owned(), hits),
                ("/ticket".to_owned(), 3 * hits),
                ("/pages/logo.svg".to_owned(), hits),
            ]
            .into(),
        };
        let late = self.late_pages.as_ref().unwrap_or(&newest);
        Answer::Told {
            at: self.now,
            value: if ready {
                vec![one("gateway-1", &newest, 5), one("gateway-2", late, 7)]
            } else {
                Vec::new()
            },
        }
    }
}

fn failed<T>(since: u64) -> Answer<T> {
    Answer::Failed {
        error: "connection refused".to_owned(),
        since,
    }
}
