//! What can go wrong between here and the brokers, in words that say what to do.

use pulsar::error::{
    ConnectionError, ConsumerError, Error as ClientError, ProducerError, ServiceDiscoveryError,
};
use pulsar::proto::ServerError;
use std::time::Duration;

/// Why something didn't work between here and the brokers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nobody answers there.
    #[error("{doing}: no broker at {url} ({why}): is Pulsar up, and is the address right?")]
    Unreachable {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// What the system says.
        why: String,
    },
    /// The connection stands, but no answer came.
    #[error("{doing}: {url} didn't answer within {waited:?}: it is overloaded, frozen or cut off")]
    Silent {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The broker doesn't let us.
    #[error("{doing}: {url} refuses us ({why}): check the token and the namespace's permissions")]
    Unauthorized {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// What the broker says.
        why: String,
    },
    /// The topic isn't there.
    #[error("{doing}: {url} has no such topic ({why}): are the sale's topics provisioned, or torn down?")]
    MissingTopic {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// What the broker says.
        why: String,
    },
    /// The namespace's backlog quota is used up.
    #[error("{doing}: {url} takes no more ({why}): raise the backlog quota, or see who doesn't consume")]
    Quota {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// What the broker says.
        why: String,
    },
    /// The connection, or what stood on it, is gone.
    #[error("{doing}: lost {url} ({why})")]
    Lost {
        /// The brokers' address.
        url: String,
        /// At what.
        doing: &'static str,
        /// What the client says.
        why: String,
    },
}

impl LogError {
    /// The client library's error, told in our words.
    pub(crate) fn of(url: &str, doing: &'static str, error: &ClientError) -> Self {
        let (url, why) = (url.to_owned(), error.to_string());
        match cause(error) {
            Cause::NotThere => Self::Unreachable { url, doing, why },
            Cause::Broker(ServerError::AuthenticationError | ServerError::AuthorizationError) => {
                Self::Unauthorized { url, doing, why }
            }
            Cause::Broker(ServerError::TopicNotFound | ServerError::InvalidTopicName) => {
                Self::MissingTopic { url, doing, why }
            }
            Cause::Broker(
                ServerError::ProducerBlockedQuotaExceededError
                | ServerError::ProducerBlockedQuotaExceededException,
            ) => Self::Quota { url, doing, why },
            Cause::Broker(_) | Cause::Other => Self::Lost { url, doing, why },
        }
    }

    pub(crate) fn lost(url: &str, doing: &'static str, why: impl Into<String>) -> Self {
        Self::Lost {
            url: url.to_owned(),
            doing,
            why: why.into(),
        }
    }
}

enum Cause {
    NotThere,
    Broker(ServerError),
    Other,
}

fn cause(error: &ClientError) -> Cause {
    match error {
        ClientError::Connection(e)
        | ClientError::Consumer(ConsumerError::Connection(e))
        | ClientError::Producer(ProducerError::Connection(e))
        | ClientError::ServiceDiscovery(ServiceDiscoveryError::Connection(e)) => connection_cause(e),
        ClientError::ServiceDiscovery(ServiceDiscoveryError::Query(Some(code), _)) => Cause::Broker(*code),
        ClientError::ServiceDiscovery(ServiceDiscoveryError::NotFound) => {
            Cause::Broker(ServerError::TopicNotFound)
        }
        _ => Cause::Other,
    }
}

fn connection_cause(error: &ConnectionError) -> Cause {
    match error {
        ConnectionError::PulsarError(Some(code), _) => Cause::Broker(*code),
        ConnectionError::Authentication(_) => Cause::Broker(ServerError::AuthenticationError),
        // The connection stands or stood: somebody is there.
        ConnectionError::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => Cause::Other,
        ConnectionError::Io(_) | ConnectionError::SocketAddr(_) | ConnectionError::NotFound => {
            Cause::NotThere
        }
        _ => Cause::Other,
    }
}
