//! The admin port: health, metrics, the live page. Never public.

use crate::clock::now_ms;
use crate::live::{Live, Observer};
use crate::metrics;
use crate::shared::Shared;
use crate::signature;
use crate::switches::{Document, Kept, Refused, broken};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
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

/// The most entries past the API server at once.
const GLASS_MAX: usize = 64;

/// What is missing until the process is ready; nothing when it is.
type Missing = dyn Fn() -> Vec<String> + Send + Sync;

/// What the admin port shows.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
    http: Option<Arc<Stats>>,
    live: watch::Receiver<Live>,
    missing: Arc<Missing>,
    /// The key of whoever may break the glass here; nothing: nobody may.
    glass: Option<Arc<str>>,
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
        let of = Arc::clone(&shared);
        Self {
            shared,
            http,
            live,
            missing: Arc::new(move || closed_shards(&of)),
            glass: None,
        }
    }

    /// Ready when nothing is `missing`, instead of when all shards are open.
    #[must_use]
    pub(crate) fn ready_when(mut self, missing: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.missing = Arc::new(missing);
        self
    }

    /// Whoever signs with `key` may break the glass here.
    #[must_use]
    pub(crate) fn with_glass(mut self, key: &str) -> Self {
        self.glass = Some(key.into());
        self
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
            .route("/switches.json", get(switches))
            .route(
                "/pages.json",
                get(|State(admin): State<Self>| async move {
                    Json(admin.shared.pages.load().listed()).into_response()
                }),
            )
            .route("/switches", post(break_glass))
            .route("/live/events", get(events))
            .with_state(self)
    }
}

fn closed_shards(shared: &Shared) -> Vec<String> {
    (0..)
        .zip(&shared.shards)
        .filter(|(_, view)| view.load().phase != Phase::Open)
        .map(|(id, view)| format!("shard {id} is {:?}", view.load().phase))
        .collect()
}

async fn ready(State(admin): State<Admin>) -> Response {
    let closed = (admin.missing)();
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

/// What is in force in this process.
async fn switches(State(admin): State<Admin>) -> Response {
    let force = admin.shared.switches.in_force();
    let body = serde_json::json!({
        "revision": force.revision,
        "nowMs": now_ms(),
        "switches": force.all,
    });
    Json(body).into_response()
}

/// Switches for some minutes, past the API server.
async fn break_glass(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(key) = &admin.glass else {
        let why = "only a control sidecar takes this: ask one of shards 0 and 1\n";
        return (StatusCode::NOT_FOUND, why).into_response();
    };
    let header = headers
        .get(signature::HEADER)
        .and_then(|value| value.to_str().ok());
    let board = &admin.shared.switches;
    let (now, known) = (now_ms(), board.known().glass.len());
    match broken(key, header.unwrap_or_default(), &body, now) {
        Ok(_) if known >= GLASS_MAX => (
            StatusCode::TOO_MANY_REQUESTS,
            "so many are in force already: wait for one to expire\n",
        )
            .into_response(),
        Ok(glass) => {
            tracing::warn!(?glass, "the glass was broken");
            let document = Document::default();
            board.merge(Kept { document, glass }, now);
            (StatusCode::OK, Json(board.in_force().all.clone())).into_response()
        }
        Err(Refused::Forged) => {
            let why =
                "the signature is not that of this body by the sale's link key, or older than five minutes\n";
            (StatusCode::UNAUTHORIZED, why).into_response()
        }
        Err(Refused::Wrong(why)) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
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
