//! Stands between the operator and the API server, and kills the operator at its calls.

use crate::cluster::{Cluster, OPERATOR};
use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kube::Client;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of a request.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Where the operator was killed, and where it still will be.
#[derive(Clone, Default)]
pub(crate) struct Kills(Arc<Mutex<State_>>);

#[derive(Default)]
struct State_ {
    pid: Option<u32>,
    /// How often each kind of call was a point.
    calls: HashMap<String, u8>,
    points: usize,
    stopped: bool,
}

/// Whether the API server hears of the call at which the operator dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dies {
    Before,
    After,
    Not,
}

impl Kills {
    /// The process to be killed from now on.
    pub(crate) fn watch(&self, pid: u32) {
        self.lock().pid = Some(pid);
    }

    /// At how many points it was killed.
    pub(crate) fn points(&self) -> usize {
        self.lock().points
    }

    /// From now on it lives.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens at this call: the first of its kind isn't heard, the second is, and from then on it may pass.
    fn at(&self, call: &str) -> Dies {
        let mut state = self.lock();
        if state.stopped || state.pid.is_none() {
            return Dies::Not;
        }
        let times = state.calls.entry(call.to_owned()).or_default();
        *times = times.saturating_add(1);
        match *times {
            1 => Dies::Before,
            2 => Dies::After,
            _ => Dies::Not,
        }
    }

    fn kill(&self) {
        let mut state = self.lock();
        if let Some(pid) = state.pid.take() {
            state.points += 1;
            // It may have died by itself at the same moment.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

/// A way to the API server with the operator's own rights.
pub(crate) struct Proxy {
    /// For the operator.
    pub(crate) kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}

#[derive(Clone)]
struct Way {
    client: Client,
    kills: Kills,
}

impl Proxy {
    pub(crate) async fn start(cluster: &Cluster, kills: Kills) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let server = format!("http://{}", listener.local_addr()?);
        std::fs::write(
            &kubeconfig,
            serde_json::json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            })
            .to_string(),
        )?;
        let way = Way {
            client: cluster.client.clone(),
            kills,
        };
        let router = Router::new().fallback(pass).with_state(way);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            kubeconfig,
            _folder: folder,
        })
    }
}

/// Whether a call counts: all but watches, the lists with which an operator starts, and its lease.
fn counts(request: &Request, body: &[u8]) -> Option<String> {
    let (path, method) = (request.uri().path(), request.method());
    let query = request.uri().query().unwrap_or_default();
    let read_of_many = *method == Method::GET && (query.contains("watch=") || query.contains("limit="));
    if read_of_many || path.contains("/leases") || !path.contains("/namespaces/") {
        return None;
    }
    // Status is written again and again; each phase is a kind of its own.
    let text = std::str::from_utf8(body).unwrap_or_default();
    let phase = text
        .split("\"phase\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    Some(format!("{method} {path} {phase}"))
}

async fn pass(State(way): State<Way>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = Request::from_parts(parts, Body::empty());
    let dies = counts(&request, &bytes).map_or(Dies::Not, |call| way.kills.at(&call));
    if dies == Dies::Before {
        way.kills.kill();
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (mut parts, _) = request.into_parts();
    parts.headers.remove("host");
    let user = format!("system:serviceaccount:{OPERATOR}:flashsale-operator");
    if let Ok(user) = HeaderValue::from_str(&user) {
        parts.headers.insert("Impersonate-User", user);
    }
    let forwarded = http::Request::from_parts(parts, kube::client::Body::from(bytes.to_vec()));
    match way.client.send(forwarded).await {
        Ok(answer) if dies == Dies::Not => {
            let (parts, body) = answer.into_parts();
            Response::from_parts(parts, Body::new(body))
        }
        Ok(_) => {
            way.kills.kill();
            StatusCode::BAD_GATEWAY.into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
