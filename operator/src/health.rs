//! The operator's own port: health, readiness, metrics.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the port tells.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    metrics: Metrics,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// Not ready yet.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            ready: Arc::default(),
        }
    }

    /// From now on ready: it leads or waits to lead, and the API answers it.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// The port's routes.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(scrape))
            .with_state(self)
    }
}

async fn ready(State(health): State<Health>) -> Response {
    if health.ready.load(Ordering::Relaxed) {
        return "ready\n".into_response();
    }
    let why = "not ready: the Kubernetes API hasn't answered yet\n";
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

async fn scrape(State(health): State<Health>) -> Response {
    match health.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
