//! The Secrets that classes name, in the operator's own namespace.

use crate::hand::Hand;
use flashsale_operator_core::SecretText;
use flashsale_operator_core::api::{CredentialsMode, FlashSaleClassSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A Secret may be so old: its contents reach live sales, too.
const AGE_MAX: Duration = Duration::from_secs(60);

/// A key of a Secret that can't be had: what is missing and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(pub(crate) String);

type Data = Arc<BTreeMap<String, SecretText>>;

/// Reads Secrets by name, and keeps each for a while.
pub(crate) struct Secrets {
    hand: Hand,
    namespace: String,
    kept: RwLock<HashMap<String, (Instant, Data)>>,
}

impl Secrets {
    /// Those in `namespace`.
    pub(crate) fn new(hand: Hand, namespace: &str) -> Self {
        Self {
            hand,
            namespace: namespace.to_owned(),
            kept: RwLock::default(),
        }
    }

    /// The token for the order log's admin API, if the class names one.
    pub(crate) async fn log_token(&self, class: &FlashSaleClassSpec) -> Result<Option<SecretText>, Missing> {
        match &class.order_log.pulsar.admin_secret_ref {
            Some(secret) => self.key(&secret.name, "token").await.map(Some),
            None => Ok(None),
        }
    }

    /// The token that sales of the class log in with at the order log, where it is shared; else the class' own.
    pub(crate) async fn shared_log_token(
        &self,
        class: &FlashSaleClassSpec,
    ) -> Result<Option<SecretText>, Missing> {
        if let Some(shared) = shared(class)
            && let Ok(token) = self.key(shared, "token").await
        {
            return Ok(Some(token));
        }
        self.log_token(class).await
    }

    /// The operator's address of a database of the class.
    pub(crate) async fn database_url(
        &self,
        class: &FlashSaleClassSpec,
        database: &str,
    ) -> Result<SecretText, Missing> {
        let found = class.databases.iter().find(|one| one.name == database);
        let found = found.ok_or_else(|| Missing(format!("the class has no database {database}")))?;
        self.key(&found.admin_secret_ref.name, "url").await
    }

    /// The address of a database that all sales of the class share.
    pub(crate) async fn shared_database_url(
        &self,
        class: &FlashSaleClassSpec,
        database: &str,
    ) -> Result<SecretText, Missing> {
        let Some(shared) = shared(class) else {
            return Err(Missing(
                "the class shares no credentials: set credentials.sharedSecretRef".to_owned(),
            ));
        };
        self.key(shared, database).await
    }

    /// One key of a Secret.
    pub(crate) async fn key(&self, name: &str, key: &str) -> Result<SecretText, Missing> {
        let data = self.data(name).await?;
        data.get(key).cloned().ok_or_else(|| {
            let namespace = &self.namespace;
            Missing(format!("Secret {namespace}/{name} has no key {key:?}: add it"))
        })
    }

    async fn data(&self, name: &str) -> Result<Data, Missing> {
        let kept = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some((at, data)) = &kept
            && at.elapsed() < AGE_MAX
        {
            return Ok(Arc::clone(data));
        }
        let namespace = &self.namespace;
        let api: Api<Secret> = Api::namespaced(self.hand.client.clone(), namespace);
        match self.hand.read(api.get_opt(name)).await {
            Ok(Some(secret)) => {
                let data = Arc::new(texts(&secret));
                let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
                all.insert(name.to_owned(), (Instant::now(), Arc::clone(&data)));
                Ok(data)
            }
            Ok(None) => Err(Missing(format!(
                "Secret {namespace}/{name} is missing: create it"
            ))),
            // While the API is away, what was read last is better than nothing.
            Err(error) => match kept {
                Some((_, data)) => Ok(data),
                None => Err(Missing(format!(
                    "Secret {namespace}/{name} can't be read: {error}"
                ))),
            },
        }
    }
}

/// The name of the Secret that all sales of a class share, if they do.
fn shared(class: &FlashSaleClassSpec) -> Option<&str> {
    let credentials = class.credentials.as_ref()?;
    let name = credentials
        .shared_secret_ref
        .as_ref()
        .map(|secret| secret.name.as_str());
    name.filter(|_| credentials.mode == CredentialsMode::Shared)
}

/// Whether all sales of a class use the same credentials.
pub(crate) fn is_shared(class: &FlashSaleClassSpec) -> bool {
    class
        .credentials
        .as_ref()
        .is_some_and(|credentials| credentials.mode == CredentialsMode::Shared)
}

/// A Secret's entries that are texts, without the line break that editors put behind them.
pub(crate) fn texts(secret: &Secret) -> BTreeMap<String, SecretText> {
    let entries = secret.data.iter().flatten();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    entries
        .filter_map(|(key, bytes)| Some((key.clone(), SecretText::new(text(&bytes.0)?.trim_end()))))
        .collect()
}

/// An address with another user and password.
pub(crate) fn with_user(url: &str, user: &str, password: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = without_credentials(path);
    Some(format!("{scheme}://{user}:{password}@{host}{path}"))
}

/// Path and options without a user or password in them.
fn without_credentials(path: &str) -> String {
    let Some((path, options)) = path.split_once('?') else {
        return path.to_owned();
    };
    let kept = options
        .split('&')
        .filter(|option| !option.starts_with("user=") && !option.starts_with("password="));
    let kept: Vec<&str> = kept.collect();
    if kept.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", kept.join("&"))
}

/// An address whose sessions see a schema first.
pub(crate) fn with_schema(url: &str, schema: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}options[search_path]={schema}")
}

/// User and password of an address.
pub(crate) fn user_and_password(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (user, _) = rest[..end].rsplit_once('@')?;
    user.split_once(':')
}

/// The password in an address.
pub(crate) fn password(url: &str) -> Option<&str> {
    user_and_password(url).map(|(_, password)| password)
}

/// The port of a database's address.
pub(crate) fn port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = rest[..end]
        .rsplit_once('@')
        .map_or(&rest[..end], |(_, host)| host);
    match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
        _ => Some(5432),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_gets_the_classs_address_with_its_own_user() {
        let url = "postgres://admin:p%40ss@db:5433/orders?sslmode=require&password=x";
        assert_eq!(
            with_user(url, "fs_1", "word").as_deref(),
            Some("postgres://fs_1:word@db:5433/orders?sslmode=require")
        );
        assert_eq!(
            with_user("postgres://db", "a", "b").as_deref(),
            Some("postgres://a:b@db")
        );
        assert_eq!(with_user("orders.db", "a", "b"), None);
        assert_eq!((password(url), port(url)), (Some("p%40ss"), Some(5433)));
        assert_eq!(
            (password("postgres://db/x"), port("postgres://[::1]/x")),
            (None, Some(5432))
        );
        assert_eq!(
            with_schema("postgres://db/x", "fs_1"),
            "postgres://db/x?options[search_path]=fs_1"
        );
        assert!(with_schema(url, "s").ends_with("password=x&options[search_path]=s"));
    }
}
