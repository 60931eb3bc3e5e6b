//! The order log and the databases: made, closed, audited, torn down.

use super::{Job, StepError};
use crate::secrets::{is_shared, password, texts};
use crate::world::{Books, data_uid, layout, now_ms};
use flashsale_operator_core::{FailureKind, SecretText};
use flashsale_orders::{Steward, Tenant, TicketSecret};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::time::Duration;

/// How long making or removing topics may take.
const LOG_MAX: Duration = Duration::from_secs(120);
/// How long a database may take to let a sale in, or to forget it.
const DATABASE_MAX: Duration = Duration::from_secs(120);
/// How long reading or closing all books may take.
const BOOKS_MAX: Duration = Duration::from_secs(600);

fn log_failed(error: impl std::fmt::Display) -> StepError {
    StepError::of(FailureKind::OrderLog, error)
}

/// What takes longer than it may has failed.
async fn within<T>(
    limit: Duration,
    failed: impl Fn(String) -> StepError,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(failed(format!("it takes longer than {} s", limit.as_secs()))),
    }
}

impl Job<'_> {
    /// Makes the sale's topics.
    pub(super) async fn ensure_log(&mut self, shards: u16) -> Result<(), StepError> {
        let class = self.class()?;
        let ensure = async {
            let admin = self.operator.world.log_admin(&class).await.map_err(log_failed)?;
            admin
                .ensure(&layout(&class, &self.names, shards))
                .await
                .map_err(log_failed)
        };
        within(LOG_MAX, log_failed, ensure).await?;
        self.memory.log.expire();
        Ok(())
    }

    /// Removes the sale's topics.
    pub(super) async fn tear_down_log(&mut self) -> Result<(), StepError> {
        let class = self.class()?;
        let tear_down = async {
            let admin = self.operator.world.log_admin(&class).await.map_err(log_failed)?;
            admin
                .teardown(&layout(&class, &self.names, 1))
                .await
                .map_err(log_failed)
        };
        within(LOG_MAX, log_failed, tear_down).await?;
        self.memory.log.expire();
        Ok(())
    }

    /// Lets the sale into a database, brings its tables up to date, and enters it once all of its databases are ready.
    pub(super) async fn ensure_database(&mut self, database: &str) -> Result<(), StepError> {
        let failed = |error: String| {
            StepError::of(
                FailureKind::Database {
                    name: database.to_owned(),
                },
                error,
            )
        };
        within(DATABASE_MAX, failed, self.enter(database, failed)).await?;
        self.memory.databases_asked = None;
        Ok(())
    }

    async fn enter(&self, database: &str, failed: impl Fn(String) -> StepError) -> Result<(), StepError> {
        let pin = self.pinned()?;
        let class = &pin.class_spec;
        let urls = self.sale_urls(class.databases.len()).await?;
        let mut all_in = true;
        for (index, (one, url)) in class.databases.iter().zip(&urls).enumerate() {
            let steward = self.operator.world.steward_url(class, &one.name).await;
            let steward = steward.map_err(|e| StepError::of(FailureKind::SecretMissing, e))?;
            if is_shared(class) {
                continue;
            }
            let (name, about) = (
                self.names.tenant(index),
                format!("{}/{}", self.key.namespace, self.key.name),
            );
            let password = password(url.reveal());
            let password = password.ok_or_else(|| StepError::other("the sale's Secret holds no address"))?;
            let work = async {
                let mut steward = Steward::connect(steward.reveal()).await?;
                let mut admitted = steward.look(Some(&name), data_uid(&self.names)).await?.admitted;
                if one.name == database {
                    let tenant = Tenant {
                        name: &name,
                        password,
                        salt: rand::random(),
                        about: &about,
                    };
                    steward.admit(tenant).await?;
                    admitted = true;
                }
                steward.close().await;
                Ok::<_, flashsale_orders::Error>(admitted)
            };
            all_in &= work.await.map_err(|e| failed(e.to_string()))?;
        }
        // A sale enters all of its databases in one go, so that each knows its place among them.
        if !all_in {
            return Ok(());
        }
        let books = Books {
            names: &self.names,
            class,
            pin: &pin,
        };
        let (_, orders) = books.open(&urls, self.tickets().await?).await.map_err(failed)?;
        orders.close().await;
        Ok(())
    }

    /// Takes the sale out of a database.
    pub(super) async fn leave_database(&mut self, database: &str, forget: bool) -> Result<(), StepError> {
        let failed = |error: String| {
            StepError::of(
                FailureKind::Database {
                    name: database.to_owned(),
                },
                error,
            )
        };
        let class = self.class()?;
        let url = self.operator.world.steward_url(&class, database).await;
        let url = url.map_err(|e| StepError::of(FailureKind::SecretMissing, e))?;
        let index = class.databases.iter().position(|one| one.name == database);
        let index = index.ok_or_else(|| failed("the class has no such database".to_owned()))?;
        let (name, uid) = (self.names.tenant(index), data_uid(&self.names));
        let leave = async {
            let mut steward = Steward::connect(url.reveal()).await?;
            match (is_shared(&class), forget) {
                (true, true) => steward.forget_rows(uid).await?,
                (true, false) => steward.note_settled(uid).await?,
                (false, true) => steward.forget(&name).await?,
                (false, false) => steward.dismiss(&name).await?,
            }
            steward.close().await;
            Ok::<_, flashsale_orders::Error>(())
        };
        within(DATABASE_MAX, failed, async {
            leave.await.map_err(|e| failed(e.to_string()))
        })
        .await?;
        self.memory.databases_asked = None;
        Ok(())
    }

    /// Compares all books.
    pub(super) async fn audit(&mut self) -> Result<(), StepError> {
        let pin = self.pinned()?;
        let books = Books {
            names: &self.names,
            class: &pin.class_spec,
            pin: &pin,
        };
        let redis = self.redis_password().await?;
        let domain = &self.operator.settings.cluster_domain;
        let audit = self
            .operator
            .world
            .audit(&books, redis.as_ref(), domain, now_ms());
        let audit = within(BOOKS_MAX, StepError::other, async { Ok(audit.await) }).await?;
        self.memory.audit.take(audit.clone(), now_ms());
        audit.map(drop).map_err(StepError::other)
    }

    /// Closes the sale in its processes' place.
    pub(super) async fn close_from_log(&mut self) -> Result<(), StepError> {
        let pin = self.pinned()?;
        let books = Books {
            names: &self.names,
            class: &pin.class_spec,
            pin: &pin,
        };
        let closing = self.operator.world.close_from_log(&books, now_ms());
        let closing = within(BOOKS_MAX, StepError::other, async { Ok(closing.await) }).await?;
        self.memory.closing.take(closing.clone(), now_ms());
        self.memory.databases_asked = None;
        closing.map(drop).map_err(StepError::other)
    }

    /// The sale's own addresses of its databases.
    async fn sale_urls(&self, databases: usize) -> Result<Vec<SecretText>, StepError> {
        let mut urls = Vec::with_capacity(databases);
        for index in 0..databases {
            urls.push(self.own(&self.names.database_secret(index), "url").await?);
        }
        Ok(urls)
    }

    /// What signs the sale's tickets.
    async fn tickets(&self) -> Result<TicketSecret, StepError> {
        let text = self.own(&self.names.child("signing"), "tickets").await?;
        let mut key = [0; 32];
        let text = text.reveal();
        let fits = text.len() == 64 && text.is_ascii();
        let digits = key.iter_mut().enumerate().try_for_each(|(ix, byte)| {
            let digits = text.get(2 * ix..2 * ix + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
            Some(())
        });
        if !fits || digits.is_none() {
            let why = format!(
                "key tickets of Secret {} isn't 64 hexadecimal digits",
                self.names.child("signing")
            );
            return Err(StepError::of(FailureKind::SecretMissing, why));
        }
        Ok(TicketSecret(key))
    }

    /// The password of the sidecars at Redis, if the shards' pods are there.
    async fn redis_password(&self) -> Result<Option<SecretText>, StepError> {
        let shards = self.observed.pods.iter().filter(|pod| pod.component == "shard");
        if shards.count() == 0 {
            return Ok(None);
        }
        let url = self.own(&self.names.child("redis"), "sidecar-url").await?;
        Ok(password(url.reveal()).map(SecretText::new))
    }

    /// A key of one of the sale's own Secrets.
    pub(super) async fn own(&self, name: &str, key: &str) -> Result<SecretText, StepError> {
        let namespace = &self.key.namespace;
        let api: Api<Secret> = Api::namespaced(self.operator.hand.client.clone(), namespace);
        let missing = |what: String| StepError::of(FailureKind::SecretMissing, what);
        let found = self.operator.hand.read(api.get_opt(name)).await?;
        let found = found.ok_or_else(|| missing(format!("Secret {namespace}/{name} is missing")))?;
        let text = texts(&found).remove(key);
        text.ok_or_else(|| missing(format!("Secret {namespace}/{name} has no key {key:?}")))
    }
}
