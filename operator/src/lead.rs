//! Which of several operators writes: the one that holds the Lease.
//!
//! A lease is held for 30 s from the moment its last renewal was *sent*; whoever holds it stops writing 20 s after that by
//! its own monotonic clock, and ends. So between the last write of one and the first of the next there are 10 s for
//! requests that are under way, each of which is given up before that. Wall clocks decide nothing.

mod decide;

use crate::metrics::Metrics;
use decide::{Move, Seen, decide};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The lease's name.
const NAME: &str = "flashsale-operator";
/// For so long nobody else takes the lease after a renewal.
const HELD_FOR: Duration = Duration::from_secs(30);
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// So long after a renewal was sent its holder stops.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
/// Between two tries, of a renewal that failed or of a lease that another one holds.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// A call about the lease that takes longer has failed.
const CALL_MAX: Duration = Duration::from_secs(5);
/// A write that takes longer is given up: it must be over before somebody else may lead.
const WRITE_MAX: Duration = Duration::from_secs(9);

/// The right to write, for as long as the lease is held.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    epoch: Instant,
    /// Milliseconds after `epoch` until which this process leads; 0 before it does.
    until_ms: Arc<AtomicU64>,
}

/// This process may not write any more.
#[derive(Debug, thiserror::Error)]
#[error("this process doesn't hold the lease any more")]
pub(crate) struct Deposed;

impl Term {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            until_ms: Arc::default(),
        }
    }

    /// The right of a process that nobody else runs beside.
    pub(crate) fn alone() -> Self {
        let term = Self::new();
        term.until_ms.store(u64::MAX, Ordering::Release);
        term
    }

    fn extend(&self, sent: Instant) {
        let until = sent + GIVE_UP_AFTER - self.epoch;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until_ms.store(until, Ordering::Release);
    }

    /// How long a write that begins now may take.
    ///
    /// # Errors
    /// None may begin.
    pub(crate) fn write_within(&self) -> Result<Duration, Deposed> {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.until_ms.load(Ordering::Acquire) {
            Ok(WRITE_MAX)
        } else {
            Err(Deposed)
        }
    }
}

/// Competes for the lease.
pub(crate) struct Elector {
    leases: Api<Lease>,
    me: String,
    seen: Option<Seen>,
    held: Option<Lease>,
    term: Term,
    metrics: Metrics,
}

impl Elector {
    /// As `me`, in `namespace`.
    pub(crate) fn new(client: Client, namespace: &str, me: String, metrics: Metrics) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            me,
            seen: None,
            held: None,
            term: Term::new(),
            metrics,
        }
    }

    /// Waits until this process leads.
    pub(crate) async fn win(&mut self) -> Term {
        let mut said = String::new();
        loop {
            let wait = match self.attempt().await {
                Ok(None) => break,
                Ok(Some((holder, wait))) => {
                    let what = format!("waiting: {holder} leads");
                    if said != what {
                        tracing::info!(holder, "another operator leads; waiting");
                        said = what;
                    }
                    wait.min(RENEW_EVERY)
                }
                Err(why) => {
                    if said != why {
                        tracing::warn!(why, "can't use the lease; trying again");
                        said = why;
                    }
                    TRY_EVERY
                }
            };
            tokio::time::sleep(wait).await;
        }
        tracing::info!(holder = self.me, "leading");
        self.metrics.leads(true);
        self.term.clone()
    }

    /// Keeps the lease; returns when it is lost.
    pub(crate) async fn keep(&mut self) -> Deposed {
        let mut renewed = Instant::now();
        let mut wait = RENEW_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let left = GIVE_UP_AFTER.saturating_sub(renewed.elapsed());
            let sent = Instant::now();
            let attempt = tokio::time::timeout(left, self.attempt());
            match attempt.await {
                Ok(Ok(None)) => {
                    renewed = sent;
                    wait = RENEW_EVERY;
                    continue;
                }
                Ok(Ok(Some((holder, _)))) => {
                    tracing::error!(holder, "the lease was taken by another operator");
                    return self.deposed();
                }
                Ok(Err(why)) => tracing::warn!(why, "can't renew the lease; trying again"),
                Err(_) => {}
            }
            if renewed.elapsed() >= GIVE_UP_AFTER {
                tracing::error!("the lease couldn't be renewed in time");
                return self.deposed();
            }
            wait = TRY_EVERY.min(GIVE_UP_AFTER.saturating_sub(renewed.elapsed()));
        }
    }

    fn deposed(&self) -> Deposed {
        self.term.until_ms.store(0, Ordering::Release);
        self.metrics.leads(false);
        Deposed
    }

    /// Gives the lease back, so that the next one needn't wait. Whoever calls this writes no more.
    pub(crate) async fn release(&mut self) {
        let Some(mut lease) = self.held.take() else { return };
        self.deposed();
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match call(self.leases.replace(NAME, &PostParams::default(), &lease)).await {
            Ok(_) => tracing::info!("the lease is given back"),
            Err(why) => tracing::warn!(why, "the lease isn't given back; it runs out by itself"),
        }
    }

    /// One look and, where that is ours to do, one write. `None`: the lease is held now.
    async fn attempt(&mut self) -> Result<Option<(String, Duration)>, String> {
        let found = call(self.leases.get_opt(NAME)).await?;
        let now = Instant::now();
        self.seen = Some(Seen::of(found.as_ref(), self.seen.take(), now));
        let seen = self.seen.as_ref().ok_or("nothing was seen")?;
        match decide(seen, &self.me, now, HELD_FOR) {
            Move::Wait { holder, left } => Ok(Some((holder, left))),
            Move::Create => {
                let lease = self.lease(None);
                self.wrote(
                    now,
                    call(self.leases.create(&PostParams::default(), &lease)).await,
                )
            }
            Move::Write => {
                let lease = self.lease(found);
                let written = call(self.leases.replace(NAME, &PostParams::default(), &lease)).await;
                self.wrote(now, written)
            }
        }
    }

    fn wrote(
        &mut self,
        sent: Instant,
        answer: Result<Lease, String>,
    ) -> Result<Option<(String, Duration)>, String> {
        self.held = Some(answer?);
        self.term.extend(sent);
        Ok(None)
    }

    /// The lease as held by this process from now on. What is found keeps its resourceVersion, so that a lease that was
    /// written meanwhile isn't overwritten.
    fn lease(&self, found: Option<Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = found.unwrap_or_default();
        lease.metadata.name = Some(NAME.to_owned());
        lease.metadata.managed_fields = None;
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_deref() != Some(&self.me) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.me.clone());
        spec.lease_duration_seconds = i32::try_from(HELD_FOR.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}

async fn call<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match tokio::time::timeout(CALL_MAX, answer).await {
        Ok(answer) => answer.map_err(|e| crate::error::brief(&e)),
        Err(_) => Err(format!("no answer within {} s", CALL_MAX.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends_before_anybody_else_may_lead() {
        // The last write begins before `GIVE_UP_AFTER`, and is over before the lease runs out.
        assert!(GIVE_UP_AFTER + WRITE_MAX < HELD_FOR);
        assert!(RENEW_EVERY + CALL_MAX < GIVE_UP_AFTER);
        let term = Term::new();
        assert!(term.write_within().is_err());
        term.extend(Instant::now());
        assert!(term.write_within().is_ok());
        let long_ago = Instant::now().checked_sub(GIVE_UP_AFTER).unwrap_or(term.epoch);
        term.extend(long_ago.max(term.epoch));
        assert_eq!(term.write_within().is_ok(), long_ago < term.epoch);
    }
}
