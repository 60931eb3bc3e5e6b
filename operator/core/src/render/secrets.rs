//! The sale's Secrets, and where their keys lie in the pods.

use super::{Context, labels};
use crate::api::{CredentialsMode, FlashSaleClassSpec};
use crate::minted::{Minted, SecretEntry, SecretText, SecretWanted};
use crate::names::Names;
use crate::observed::Kind;
use serde_json::json;

/// The key of a Secret that the sale names for payment callbacks without saying which.
pub(crate) const CALLBACK_KEY: &str = "secret";

/// Whether brokers ask for a token.
pub(super) fn has_log_token(class: &FlashSaleClassSpec) -> bool {
    class.order_log.pulsar.admin_secret_ref.is_some()
}

/// Every Secret that a sale has of its own, with fresh contents. Only those that are missing get written.
#[must_use]
pub fn secrets(
    names: &Names,
    class: &FlashSaleClassSpec,
    minted: &Minted,
    names_callback: bool,
) -> Vec<SecretWanted> {
    let shared = class
        .credentials
        .as_ref()
        .is_some_and(|c| c.mode == CredentialsMode::Shared);
    let mut signing = vec![
        ("link".to_owned(), SecretEntry::Text(minted.link.clone())),
        ("tickets".to_owned(), SecretEntry::Text(minted.tickets.clone())),
    ];
    if !names_callback {
        signing.push(("payments".to_owned(), SecretEntry::Text(minted.payments.clone())));
    }
    let mut all = vec![
        wanted(names, &names.child("signing"), signing),
        wanted(
            names,
            &names.child("redis"),
            super::redis::entries(class, &minted.redis),
        ),
    ];
    for (index, (database, password)) in class.databases.iter().zip(&minted.databases).enumerate() {
        let database = database.name.clone();
        let entry = if shared {
            SecretEntry::SharedDatabaseUrl { database }
        } else {
            SecretEntry::DatabaseUrl {
                database,
                user: names.tenant(index),
                password: password.clone(),
            }
        };
        all.push(wanted(
            names,
            &names.database_secret(index),
            vec![("url".to_owned(), entry)],
        ));
    }
    if has_log_token(class) {
        let entry = if shared {
            SecretEntry::SharedLogToken
        } else {
            SecretEntry::MintedLogToken
        };
        all.push(wanted(
            names,
            &names.child("orderlog"),
            vec![("token".to_owned(), entry)],
        ));
    }
    all
}

fn wanted(names: &Names, name: &str, entries: Vec<(String, SecretEntry)>) -> SecretWanted {
    let object = json!({
        "apiVersion": Kind::Secret.api_version(),
        "kind": Kind::Secret.as_str(),
        "metadata": {"name": name, "namespace": names.namespace, "labels": labels(names, None)},
        "type": "Opaque",
    });
    SecretWanted {
        name: name.to_owned(),
        object,
        entries,
    }
}

/// A key of a Secret and its file below the secrets' folder.
pub(super) type SecretFile = (String, String, String);

fn file(secret: &str, key: &str, path: &str) -> SecretFile {
    (secret.to_owned(), key.to_owned(), path.to_owned())
}

impl Context<'_> {
    pub(super) fn signing_files(&self, keys: &[&str]) -> Vec<SecretFile> {
        let secret = self.names.child("signing");
        keys.iter()
            .map(|key| file(&secret, key, &format!("signing/{key}")))
            .collect()
    }

    /// What signs payment callbacks: the sale's own Secret, by reference, or the minted one.
    pub(super) fn payment_file(&self) -> SecretFile {
        match &self.declared.effective.callback_secret {
            Some(own) => file(
                &own.name,
                own.key.as_deref().unwrap_or(CALLBACK_KEY),
                "payments/secret",
            ),
            None => file(&self.names.child("signing"), "payments", "payments/secret"),
        }
    }

    pub(super) fn database_files(&self) -> Vec<SecretFile> {
        let each = 0..self.class.databases.len();
        each.map(|index| file(&self.names.database_secret(index), "url", &format!("db/{index}")))
            .collect()
    }

    pub(super) fn log_file(&self) -> Option<SecretFile> {
        has_log_token(self.class).then(|| file(&self.names.child("orderlog"), "token", "orderlog/token"))
    }

    pub(super) fn redis_file(&self, key: &str) -> SecretFile {
        file(&self.names.child("redis"), key, &format!("redis/{key}"))
    }
}

/// For a password that stands in a configuration file.
pub(super) fn text(text: String) -> SecretEntry {
    SecretEntry::Text(SecretText::new(text))
}
