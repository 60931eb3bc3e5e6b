//! The databases of a sale's class.

use super::{World, data_uid};
use crate::secrets::{is_shared, port, with_schema};
use flashsale_operator_core::api::{FlashSaleClassSpec, LoadState};
use flashsale_operator_core::names::Names;
use flashsale_operator_core::observed::{Answer, DatabaseSeen, DatabaseState, Databases, Predecessor};
use flashsale_operator_core::{Millis, SecretText};
use flashsale_orders::{Seen, Steward};
use futures_util::future::join_all;
use std::time::Duration;

/// How long one database may take to say how a sale stands.
const LOOK_MAX: Duration = Duration::from_secs(15);

/// What one database said.
struct Told {
    seen: Seen,
    predecessor: Option<String>,
}

impl World {
    /// Asks each database how the sale stands; `before` is what they said last.
    pub(super) async fn databases(
        &self,
        class: &FlashSaleClassSpec,
        names: &Names,
        before: &Databases,
        now: Millis,
    ) -> Databases {
        let asked =
            join_all((0..class.databases.len()).map(|index| self.database(class, index, names))).await;
        let mut all = Databases::default();
        for (index, (database, (port, answer))) in class.databases.iter().zip(asked).enumerate() {
            let name = database.name.clone();
            let answer = match answer {
                Ok(told) => {
                    if index == 0 {
                        all.load = load_state(&told.seen.load_state);
                    }
                    if let Some(uid) = told.predecessor
                        && all.predecessor.is_none()
                    {
                        all.predecessor = Some(Predecessor {
                            uid,
                            database: name.clone(),
                        });
                    }
                    Answer::Told {
                        at: now,
                        value: state(&told.seen),
                    }
                }
                Err(error) => {
                    if index == 0 {
                        all.load = before.load;
                    }
                    Answer::Failed {
                        error,
                        since: failing_since(before, &name).unwrap_or(now),
                    }
                }
            };
            all.each.push(DatabaseSeen { name, port, answer });
        }
        if all.predecessor.is_none() && all.each.iter().any(|one| one.answer.told().is_none()) {
            all.predecessor.clone_from(&before.predecessor);
        }
        all
    }

    async fn database(
        &self,
        class: &FlashSaleClassSpec,
        index: usize,
        names: &Names,
    ) -> (Option<u16>, Result<Told, String>) {
        let Some(database) = class.databases.get(index).map(|database| database.name.as_str()) else {
            return (None, Err(format!("the class has no database {index}")));
        };
        let url = match self.steward_url(class, database).await {
            Ok(url) => url,
            Err(error) => return (None, Err(error)),
        };
        let tenant = (!is_shared(class)).then(|| names.tenant(index));
        let look = async {
            let mut steward = Steward::connect(url.reveal()).await?;
            let seen = steward.look(tenant.as_deref(), data_uid(names)).await?;
            let predecessor = steward
                .unsettled(&names.namespace, &names.sale, data_uid(names))
                .await?;
            steward.close().await;
            Ok(Told { seen, predecessor })
        };
        let told = match tokio::time::timeout(LOOK_MAX, look).await {
            Ok(told) => told.map_err(|error: flashsale_orders::Error| error.to_string()),
            Err(_) => Err(format!(
                "database {database} doesn't answer within {} s",
                LOOK_MAX.as_secs()
            )),
        };
        (port(url.reveal()), told)
    }

    /// The address by which the operator looks at a database and lets sales in.
    pub(crate) async fn steward_url(
        &self,
        class: &FlashSaleClassSpec,
        database: &str,
    ) -> Result<SecretText, String> {
        let url = if is_shared(class) {
            self.secrets.shared_database_url(class, database).await
        } else {
            self.secrets.database_url(class, database).await
        };
        url.map_err(|e| e.to_string())
    }

    /// The addresses by which the operator reads and closes a sale's books, in the class' order.
    pub(crate) async fn book_urls(
        &self,
        class: &FlashSaleClassSpec,
        names: &Names,
    ) -> Result<Vec<SecretText>, String> {
        let mut urls = Vec::new();
        for (index, database) in class.databases.iter().enumerate() {
            let url = self.steward_url(class, &database.name).await?;
            urls.push(if is_shared(class) {
                url
            } else {
                SecretText::new(with_schema(url.reveal(), &names.tenant(index)))
            });
        }
        Ok(urls)
    }
}

fn state(seen: &Seen) -> DatabaseState {
    DatabaseState {
        ready: seen.admitted && seen.migrated && seen.entered,
        backlog: seen.reserved,
        pending: seen.pending,
    }
}

fn load_state(word: &str) -> LoadState {
    match word {
        "seeding" => LoadState::Seeding,
        "seeded" => LoadState::Seeded,
        _ => LoadState::Unseeded,
    }
}

fn failing_since(before: &Databases, name: &str) -> Option<Millis> {
    let one = before.each.iter().find(|one| one.name == name)?;
    match one.answer {
        Answer::Failed { since, .. } => Some(since),
        _ => None,
    }
}
