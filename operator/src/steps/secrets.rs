//! Secrets of a sale: made once, with random contents, and never changed by the operator after that.

use super::{Job, StepError};
use crate::cache::label;
use crate::hand::patching;
use crate::observe::child;
use crate::secrets::{texts, with_user};
use flashsale_operator_core::api::{FIELD_MANAGER, SALE_UID_LABEL};
use flashsale_operator_core::minted::{SecretEntry, SecretWanted};
use flashsale_operator_core::observed::Kind;
use flashsale_operator_core::{FailureKind, SecretText};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PostParams};
use std::collections::BTreeMap;

impl Job<'_> {
    /// Creates a Secret, or adds the keys that it lacks.
    pub(super) async fn secret(&mut self, wanted: &SecretWanted) -> Result<(), StepError> {
        let api: Api<Secret> = Api::namespaced(self.operator.hand.client.clone(), &self.key.namespace);
        let found = self.operator.hand.read(api.get_opt(&wanted.name)).await?;
        if let Some(found) = &found
            && label(&found.metadata, SALE_UID_LABEL) != Some(self.names.uid.as_str())
        {
            self.memory.foreign.insert((Kind::Secret, wanted.name.clone()));
            return Err(StepError::other(format!(
                "Secret {} is there already and isn't this sale's: rename it, or give the sale another name",
                wanted.name
            )));
        }
        let kept = found.as_ref().map(texts).unwrap_or_default();
        let missing = self.missing(wanted, &kept).await?;
        let written = match &found {
            Some(found) if missing.is_empty() => found.clone(),
            Some(_) => {
                let patch = Patch::Merge(serde_json::json!({"stringData": revealed(&missing)}));
                self.operator
                    .hand
                    .write(api.patch(&wanted.name, &patching(), &patch))
                    .await?
            }
            None => {
                let mut secret: Secret =
                    serde_json::from_value(wanted.object.clone()).map_err(StepError::other)?;
                secret.string_data = Some(revealed(&missing));
                let params = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                match self.operator.hand.write(api.create(&params, &secret)).await {
                    Ok(written) => written,
                    // Another try of this one was carried out after all: what it wrote counts.
                    Err(error) if error.code() == Some(409) => {
                        return Err(StepError::Moved(error.to_string()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let named = (Kind::Secret, wanted.name.clone());
        self.memory
            .unwatched
            .insert(named, child(Kind::Secret, &written.metadata));
        Ok(())
    }

    /// What a Secret lacks, or has otherwise than the class' own credentials say.
    async fn missing(
        &self,
        wanted: &SecretWanted,
        kept: &BTreeMap<String, SecretText>,
    ) -> Result<BTreeMap<String, SecretText>, StepError> {
        let class = self.class()?;
        let world = &self.operator.world;
        let mut missing = BTreeMap::new();
        let lacks = |e: crate::secrets::Missing| StepError::of(FailureKind::SecretMissing, e);
        for (key, entry) in &wanted.entries {
            let text = match entry {
                SecretEntry::Text(_) | SecretEntry::MintedLogToken if kept.contains_key(key) => continue,
                SecretEntry::Text(text) => text.clone(),
                SecretEntry::DatabaseUrl {
                    database,
                    user,
                    password,
                } => {
                    let url = world
                        .secrets
                        .database_url(&class, database)
                        .await
                        .map_err(lacks)?;
                    // Where the database is may change; the password that was minted may not.
                    let old = kept
                        .get(key)
                        .and_then(|url| crate::secrets::password(url.reveal()));
                    let password = old.unwrap_or_else(|| password.reveal());
                    let url = with_user(url.reveal(), user, password);
                    SecretText::new(url.ok_or_else(|| {
                        let why = format!("the address of database {database} in the class' Secret isn't one: write postgres://user:password@host/database");
                        StepError::of(FailureKind::SecretMissing, why)
                    })?)
                }
                SecretEntry::SharedDatabaseUrl { database } => world
                    .secrets
                    .shared_database_url(&class, database)
                    .await
                    .map_err(lacks)?,
                SecretEntry::SharedLogToken => {
                    match world.secrets.shared_log_token(&class).await.map_err(lacks)? {
                        Some(token) => token,
                        None => continue,
                    }
                }
                SecretEntry::MintedLogToken => {
                    let token = world.minted_log_token(&class).await;
                    token.map_err(|why| StepError::of(FailureKind::OrderLog, why))?
                }
            };
            if kept.get(key) != Some(&text) {
                missing.insert(key.clone(), text);
            }
        }
        Ok(missing)
    }
}

fn revealed(texts: &BTreeMap<String, SecretText>) -> BTreeMap<String, String> {
    texts
        .iter()
        .map(|(key, text)| (key.clone(), text.reveal().to_owned()))
        .collect()
}
