//! The admin port: health, metrics, the live page. Never public.

use crate::live::{Live, Observer};
use crate::metrics;
use crate::shared::Shared;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use flashsale_core::owner::Phase;
use flashsale_http::Stats;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

/// How often the live document is made.
const LIVE_EVERY: Duration = Duration::from_millis(250);

/// What the admin port shows.
#[derive(Debug, Clone)]
pub struct Admin {
    shared: Arc<Shared>,
    http: Option<Arc<Stats>>,
    live: watch::Receiver<Live>,
}

impl Admin {
    /// Starts making the live document, on the current runtime.
    #[must_use]
    pub fn start(shared: Arc<Shared>, http: Option<Arc<Stats>>) -> Self {
        let mut observer = Observer::new();
        let (sender, live) = watch::channel(observer.look(&shared));
        let observed = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(LIVE_EVERY);
            while !sender.is_closed() {
                every.tick().await;
                sender.send_replace(observer.look(&observed));
            }
        });
        Self { shared, http, live }
    }

    /// The live document, as it changes.
    #[must_use]
    pub fn live(&self) -> watch::Receiver<Live> {
        self.live.clone()
    }

    /// The admin port's routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(scrape))
            .route("/live", get(page))
            .route(
                "/live.json",
                get(|State(admin): State<Self>| async move { Json(admin.live.borrow().clone()) }),
            )
            .route("/live/events", get(events))
            .with_state(self)
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let closed: Vec<String> = (0..)
        .zip(&admin.shared.shards)
        .filter(|(_, view)| view.load().phase != Phase::Open)
        .map(|(id, view)| format!("shard {id} is {:?}", view.load().phase))
        .collect();
    if closed.is_empty() {
        "ready\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", closed.join(", ")),
        )
            .into_response()
    }
}

async fn scrape(State(admin): State<Admin>) -> Response {
    match metrics::render(&admin.shared, admin.http.as_deref()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn page(State(admin): State<Admin>) -> Response {
    let page = crate::pages::live(&admin.shared.sale.name);
    let mut response = Html(page.html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&page.content_security_policy) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn events(State(admin): State<Admin>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let documents = WatchStream::new(admin.live).map(|live| {
        // A document of numbers and strings always has a JSON form.
        let event = Event::default().event("live");
        Ok(event.json_data(&live).unwrap_or_default())
    });
    Sse::new(documents).keep_alive(KeepAlive::default())
}
