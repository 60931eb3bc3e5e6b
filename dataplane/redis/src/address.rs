//! Where a Redis is, and how it is connected to.

use crate::error::ConnectError;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
    io::tcp::TcpSettings,
};
use std::time::Duration;

/// What a sale asks of a Redis' disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// An append-only file must be on: a primary that restarts empty would empty its replicas, too.
    #[default]
    AppendOnly,
    /// None; for benchmarks, and where losing Redis means a rebuild from the log anyway.
    Any,
}

/// How to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `redis://user:password@host:port` or `rediss://…`.
    pub url: String,
    /// For `rediss`: the certificate authority that signed the server's certificate, as PEM; the public ones if there is none.
    pub ca_pem: Option<Vec<u8>>,
    /// A connection must be made within this time.
    pub connect_timeout: Duration,
    /// A call must be answered within this time; otherwise its outcome is unknown.
    pub response_timeout: Duration,
    /// What is asked of its disk.
    pub persistence: Persistence,
}

impl Options {
    /// The usual options for the Redis at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_pem: None,
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(3),
            persistence: Persistence::default(),
        }
    }

    /// Host and port, without user and password.
    #[must_use]
    pub fn address(&self) -> String {
        let behind_scheme = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let host = behind_scheme
            .rsplit_once('@')
            .map_or(behind_scheme, |(_, host)| host);
        host.split(['/', '?']).next().unwrap_or_default().to_owned()
    }

    /// A client; `login` replaces user and password of the address.
    pub(crate) fn client(&self, login: Option<(&str, &str)>) -> Result<Client, ConnectError> {
        let wrong = |why: String| ConnectError::Address {
            address: self.address(),
            why,
        };
        let info: ConnectionInfo = self
            .url
            .as_str()
            .into_connection_info()
            .map_err(|e| wrong(e.to_string()))?;
        let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some((user, password)) = login {
            settings = settings.set_username(user).set_password(password);
        }
        let info = info
            .set_redis_settings(settings)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: self.ca_pem.clone(),
            };
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        client.map_err(|e| wrong(e.to_string()))
    }

    /// The connection's timeouts; a connection for blocking reads waits `longer` for answers.
    pub(crate) fn config(&self, longer: Duration) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout + longer))
    }
}
