//! Pulsar's admin API, as far as a sale needs it.

use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How long any one call may take; creating many partitions is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The oldest version that this program was tried with.
const VERSION_MIN: (u32, u32) = (3, 0);

/// Why the admin API didn't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers there.
    #[error(
        "{doing}: no answer from Pulsar's admin API at {url} ({why}): is it up, and is the address right?"
    )]
    Unreachable {
        /// The API's address.
        url: String,
        /// At what.
        doing: String,
        /// What the system says.
        why: String,
    },
    /// It doesn't let us.
    #[error("{doing}: {url} refuses us ({why}): the token must belong to an admin of the tenant")]
    Unauthorized {
        /// The API's address.
        url: String,
        /// At what.
        doing: String,
        /// What it says.
        why: String,
    },
    /// Something else answers there, or a version that isn't fit.
    #[error("{url} says it is version {found:?}; this program needs Pulsar {needed} or later there")]
    Version {
        /// The API's address.
        url: String,
        /// What it says.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// What was asked for isn't there.
    #[error("{doing}: {url} doesn't have it ({why}): is the sale provisioned, or torn down?")]
    Missing {
        /// The API's address.
        url: String,
        /// At what.
        doing: String,
        /// What it says.
        why: String,
    },
    /// It answered something else than it should.
    #[error("{doing}: {url} answered {status} ({why})")]
    Refused {
        /// The API's address.
        url: String,
        /// At what.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        why: String,
    },
    /// What is there can't become what is wanted.
    #[error(
        "{topic} at {url} has {found} partitions and the sale {wanted} shards: partitions can't be removed; the namespace belongs to another sale, or the sale's shards were changed after provisioning"
    )]
    TooManyPartitions {
        /// The API's address.
        url: String,
        /// Which topic.
        topic: String,
        /// How many it has.
        found: u16,
        /// How many the sale has.
        wanted: u16,
    },
    /// It was set, and reads back otherwise.
    #[error("{url} doesn't keep what was set: {what}; a policy of the broker may forbid it")]
    Unkept {
        /// The API's address.
        url: String,
        /// What is still to be changed.
        what: String,
    },
}

impl AdminError {
    /// Whether what was asked for isn't there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

/// A client of the admin API.
#[derive(Clone)]
pub struct Admin {
    url: String,
    token: Option<String>,
    client: Client,
}

impl Admin {
    /// The API at `url` (`http://host:8080`); `token` if it asks for one.
    ///
    /// # Errors
    /// The system gives no HTTP client.
    pub fn new(url: &str, token: Option<String>) -> Result<Self, AdminError> {
        // Whoever came first has chosen the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = url.trim_end_matches('/').to_owned();
        let client =
            Client::builder()
                .timeout(ANSWER_WITHIN)
                .build()
                .map_err(|e| AdminError::Unreachable {
                    url: url.clone(),
                    doing: "making an HTTP client".to_owned(),
                    why: chain(&e),
                })?;
        Ok(Self { url, token, client })
    }

    /// The API's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The brokers' version, which must be one that is known to do.
    ///
    /// # Errors
    /// Nobody answers, or something that isn't a fit Pulsar.
    pub async fn version(&self) -> Result<String, AdminError> {
        let found = match self
            .call(Method::GET, "brokers/version", "asking for the version", None)
            .await
        {
            Ok(text) => text.trim().trim_matches('"').to_owned(),
            Err(AdminError::Missing { why, .. } | AdminError::Refused { why, .. }) => why,
            Err(error) => return Err(error),
        };
        let mut numbers = found.split(['.', '-']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= VERSION_MIN => Ok(found),
            _ => Err(AdminError::Version {
                url: self.url.clone(),
                found: found.chars().take(80).collect(),
                needed: format!("{}.{}", VERSION_MIN.0, VERSION_MIN.1),
            }),
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, doing: &str) -> Result<T, AdminError> {
        let text = self.call(Method::GET, path, doing, None).await?;
        serde_json::from_str(&text).map_err(|e| AdminError::Refused {
            url: self.url.clone(),
            doing: doing.to_owned(),
            status: StatusCode::OK.as_u16(),
            why: format!("unreadable: {e}"),
        })
    }

    /// As [`Admin::get`], with `None` for what isn't there.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        doing: &str,
    ) -> Result<Option<T>, AdminError> {
        match self.get(path, doing).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates; that it exists already is as good.
    pub(crate) async fn create(
        &self,
        path: &str,
        doing: &str,
        body: impl Serialize,
    ) -> Result<(), AdminError> {
        let body = serde_json::to_value(body).unwrap_or(Value::Null);
        match self.call(Method::PUT, path, doing, Some(body)).await {
            Err(AdminError::Refused { status, .. }) if status == StatusCode::CONFLICT.as_u16() => Ok(()),
            done => done.map(drop),
        }
    }

    pub(crate) async fn set(&self, path: &str, doing: &str, body: impl Serialize) -> Result<(), AdminError> {
        let body = serde_json::to_value(body).unwrap_or(Value::Null);
        self.call(Method::POST, path, doing, Some(body)).await.map(drop)
    }

    /// Deletes; answers whether it was there.
    pub(crate) async fn delete(&self, path: &str, doing: &str) -> Result<bool, AdminError> {
        match self.call(Method::DELETE, path, doing, None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        doing: &str,
        body: Option<Value>,
    ) -> Result<String, AdminError> {
        let mut request = self
            .client
            .request(method, format!("{}/admin/v2/{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let unreachable = |e: reqwest::Error| AdminError::Unreachable {
            url: self.url.clone(),
            doing: doing.to_owned(),
            why: chain(&e),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(text);
        }
        let (url, doing, why) = (self.url.clone(), doing.to_owned(), reason(&text));
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AdminError::Unauthorized { url, doing, why },
            StatusCode::NOT_FOUND => AdminError::Missing { url, doing, why },
            _ => AdminError::Refused {
                url,
                doing,
                status: status.as_u16(),
                why,
            },
        })
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// What Pulsar says in its errors, without the page or the stack trace around it.
fn reason(body: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let said = parsed.as_ref().and_then(|v| v["reason"].as_str()).unwrap_or(body);
    said.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

/// An error with its causes, which is where the useful words are.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}
