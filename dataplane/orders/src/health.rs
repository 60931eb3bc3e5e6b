//! Whether a server answers. While it doesn't, calls fail at once instead of waiting for it each time, so that
//! the shards of other databases go on at their pace; somebody else looks whether it is back.

use crate::db::Pool;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a call to a server may take. One that is frozen must not hold up the shards of the others.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two looks at a server that doesn't answer.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why the server can't be reached at the moment, if so.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<Error>>);

impl Health {
    fn set(&self, why: Option<Error>) -> Option<Error> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut now, why)
    }

    fn why(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Waits for a call to one database, but not for one that is known not to answer, and not for ever.
pub(crate) async fn bounded<T>(store: &Store, call: impl Future<Output = Result<T>>) -> Result<T> {
    let Pool::Postgres(pool) = &store.writer else {
        return call.await;
    };
    if let Some(error) = store.health.why() {
        return Err(error);
    }
    let result = tokio::time::timeout(CALL_TIMEOUT, call)
        .await
        .unwrap_or_else(|_| {
            let what = format!("doesn't answer within {} s", CALL_TIMEOUT.as_secs());
            Err(Error::new(ErrorKind::Unavailable, &store.place, &what))
        });
    if let Err(error) = &result
        && error.kind() == ErrorKind::Unavailable
        && store.health.set(Some(error.clone())).is_none()
    {
        tracing::warn!(%error, "calls fail at once until this database is back");
        let (pool, health) = (pool.clone(), Arc::downgrade(&store.health));
        let place = store.place.clone();
        // Ends when the server is back, the connections are closed, or nobody asks any more.
        tokio::spawn(async move {
            while !pool.is_closed() && health.strong_count() > 0 {
                let look = sqlx::query("SELECT 1").execute(&pool);
                if matches!(tokio::time::timeout(CALL_TIMEOUT, look).await, Ok(Ok(_))) {
                    tracing::info!(%place, "the order database is back");
                    break;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if let Some(health) = health.upgrade() {
                health.set(None);
            }
        });
    }
    result
}
