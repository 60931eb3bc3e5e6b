//! One connection. It is never replaced: once it broke, every call says so before anything is sent.

use crate::address::Options;
use crate::error::{CallError, ConnectError};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// With these codes Redis refuses a command before it runs.
const REFUSED_BEFORE: &[&str] = &[
    "OOM",
    "READONLY",
    "MISCONF",
    "NOPERM",
    "NOAUTH",
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "NOREPLICAS",
    "WRONGPASS",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "CROSSSLOT",
    "TRYAGAIN",
];

#[derive(Debug, Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    address: Arc<str>,
    broken: Arc<AtomicBool>,
}

impl Link {
    /// Connects; `login` replaces user and password of the address, `longer` is added to the response timeout.
    pub(crate) async fn connect(
        options: &Options,
        login: Option<(&str, &str)>,
        longer: Duration,
    ) -> Result<Self, ConnectError> {
        let address = options.address();
        let client = options.client(login)?;
        let made = client
            .get_multiplexed_async_connection_with_config(&options.config(longer))
            .await;
        let connection = made.map_err(|e| connect_error(&address, &e))?;
        Ok(Self {
            connection,
            address: address.into(),
            broken: Arc::new(AtomicBool::new(false)),
        })
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) async fn call(&self, command: &Cmd) -> Result<Value, CallError> {
        self.usable()?;
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(command).await;
        self.checked(answer.and_then(Value::extract_error))
    }

    pub(crate) async fn calls(&self, pipeline: &Pipeline, count: usize) -> Result<Vec<Value>, CallError> {
        self.usable()?;
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(pipeline, 0, count).await;
        self.checked(answers.and_then(|all| all.into_iter().map(Value::extract_error).collect()))
    }

    /// A call whose answer is one string.
    pub(crate) async fn bytes(&self, command: &Cmd) -> Result<Vec<u8>, CallError> {
        match self.call(command).await? {
            Value::BulkString(bytes) => Ok(bytes),
            other => Err(self.unexpected(&other)),
        }
    }

    /// A call whose answer is of type `T`.
    pub(crate) async fn typed<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, CallError> {
        let value = self.call(command).await?;
        let shown = format!("{value:?}").chars().take(80).collect::<String>();
        T::from_redis_value(value).map_err(|_| self.unexpected(&shown))
    }

    /// An answer that can't be understood: what it did isn't known.
    pub(crate) fn unexpected(&self, answer: &impl std::fmt::Debug) -> CallError {
        CallError::Unknown {
            address: self.address(),
            why: format!("its answer can't be read: {answer:?}"),
        }
    }

    pub(crate) fn refused(&self, reason: impl Into<String>) -> CallError {
        CallError::Refused {
            address: self.address(),
            reason: reason.into(),
        }
    }

    fn usable(&self) -> Result<(), CallError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(CallError::NotSent {
                address: self.address(),
                why: "the connection broke before".into(),
            });
        }
        Ok(())
    }

    fn checked<T>(&self, answer: RedisResult<T>) -> Result<T, CallError> {
        answer.map_err(|error| {
            if error.is_unrecoverable_error() || error.is_connection_dropped() {
                self.broken.store(true, Ordering::Relaxed);
            }
            self.call_error(&error)
        })
    }

    fn call_error(&self, error: &RedisError) -> CallError {
        let said = said(error);
        let before =
            error.code().is_some_and(|code| REFUSED_BEFORE.contains(&code)) && !said.contains("script: fs");
        if said.contains("Function not found") {
            return self.refused("the function library is missing (flushed, or never loaded): take the shard over again, which loads it");
        }
        if before {
            return self.refused(format!("{said}{}", mend(error.code().unwrap_or_default())));
        }
        CallError::Unknown {
            address: self.address(),
            why: said,
        }
    }
}

/// What Redis said, on one line.
fn said(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.replace(['\r', '\n'], " ")
}

fn mend(code: &str) -> &'static str {
    match code {
        "OOM" => " (give it more memory, or trim the outbox)",
        "READONLY" => " (this is a replica: connect to its primary)",
        "MISCONF" => " (its disk is full or fails: mend it)",
        "NOPERM" | "NOAUTH" => {
            " (the gate was closed or the user's rights don't suffice: get new credentials)"
        }
        _ => "",
    }
}

fn connect_error(address: &str, error: &RedisError) -> ConnectError {
    let address = address.to_owned();
    let why = said(error);
    let login = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
    ) || error
        .code()
        .is_some_and(|code| matches!(code, "WRONGPASS" | "NOAUTH"));
    if login {
        ConnectError::Login { address, why }
    } else {
        ConnectError::Unreachable { address, why }
    }
}
