//! How to reach the brokers.

use crate::error::LogError;
use pulsar::{
    Authentication, ConnectionRetryOptions, OperationRetryOptions, Pulsar, TokioExecutor,
    error::Error as ClientError,
};
use std::fmt;
use std::time::Duration;

/// How long connecting, and any one answer of a broker, may take.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Frames that may wait for one connection's socket.
const OUTBOUND_FRAMES_MAX: usize = 1000;

/// The brokers' address, and who we are to them.
#[derive(Clone)]
pub struct Service {
    url: String,
    token: Option<String>,
}

impl Service {
    /// The brokers at `url` (`pulsar://host:6650` or `pulsar+ssl://…`); `token` if they ask for one.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Option<String>) -> Self {
        Self {
            url: url.into(),
            token,
        }
    }

    /// The brokers' address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of its own. Nothing is shared between publishers and readers: whoever is rebuilt
    /// starts from a fresh connection and can't be held up by what another has left half made.
    pub(crate) async fn connect(&self) -> Result<Pulsar<TokioExecutor>, LogError> {
        // Whoever connects tries again by itself, so that each failure is counted and told.
        let connection = ConnectionRetryOptions {
            max_retries: 0,
            connection_timeout: ANSWER_WITHIN,
            keep_alive: ANSWER_WITHIN,
            ..ConnectionRetryOptions::default()
        };
        let operation = OperationRetryOptions {
            operation_timeout: ANSWER_WITHIN,
            retry_delay: Duration::from_millis(100),
            max_retries: Some(0),
        };
        let mut builder = Pulsar::builder(self.url.clone(), TokioExecutor)
            .with_connection_retry_options(connection)
            .with_operation_retry_options(operation)
            .with_outbound_channel_size(OUTBOUND_FRAMES_MAX);
        if let Some(token) = &self.token {
            builder = builder.with_auth(Authentication {
                name: "token".to_owned(),
                data: token.clone().into_bytes(),
            });
        }
        self.answer("connecting", builder.build()).await
    }

    /// Waits for a broker's answer, but not for ever; `doing` is for the error.
    pub(crate) async fn answer<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, LogError> {
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(LogError::of(&self.url, doing, &error)),
            Err(_) => Err(LogError::Silent {
                url: self.url.clone(),
                doing,
                waited: ANSWER_WITHIN,
            }),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_some() { "given" } else { "none" };
        f.debug_struct("Service")
            .field("url", &self.url)
            .field("token", &token)
            .finish()
    }
}
