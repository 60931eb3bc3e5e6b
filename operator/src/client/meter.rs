//! Counts requests, and gives up those that nobody answers.

use crate::metrics::Metrics;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower::{BoxError, Layer, Service};

/// How long the API may take to begin an answer. Its own limit for a request is 60 s; ours are small.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// What a request is, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked<'a> {
    verb: &'static str,
    resource: &'a str,
}

/// Reads verb and resource from a request. Names of objects never become labels.
fn asked<'a>(method: &Method, path: &'a str, query: &str) -> Asked<'a> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // A server may live below a prefix.
    let root = parts.iter().position(|part| matches!(*part, "api" | "apis"));
    let below = match root {
        Some(ix) if parts[ix] == "api" => parts.get(ix + 2..),
        Some(ix) => parts.get(ix + 3..),
        None => None,
    };
    let below = match below.unwrap_or_default() {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let resource = below.first().copied().unwrap_or("other");
    let named = below.len() > 1;
    let watches = query
        .split('&')
        .any(|pair| matches!(pair, "watch=true" | "watch=1"));
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    Asked { verb, resource }
}

/// Makes a [`Meter`].
#[derive(Debug, Clone)]
pub(super) struct MeterLayer(pub(super) Metrics);

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        let metrics = self.0.clone();
        Meter { inner, metrics }
    }
}

/// Counts what goes through it, by verb, resource and status, and ends what isn't answered in time.
#[derive(Debug, Clone)]
pub(super) struct Meter<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B, R> Service<Request<B>> for Meter<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (path, query) = (
            request.uri().path().to_owned(),
            request.uri().query().unwrap_or_default(),
        );
        let verb = asked(request.method(), &path, query).verb;
        let answer = self.inner.call(request);
        let (metrics, begun) = (self.metrics.clone(), Instant::now());
        Box::pin(async move {
            let answer = match tokio::time::timeout(ANSWER_WITHIN, answer).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs()).into()),
            };
            let code = match &answer {
                Ok(answer) => answer.status().as_str().to_owned(),
                Err(_) => "none".to_owned(),
            };
            let resource = asked(&Method::GET, &path, "").resource;
            metrics.request(verb, resource, &code, begun.elapsed());
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_verb_and_resource_never_by_name() {
        for (method, path, query, verb, resource) in [
            (
                Method::GET,
                "/api/v1/namespaces/shop/pods",
                "limit=500",
                "list",
                "pods",
            ),
            (
                Method::GET,
                "/api/v1/pods",
                "watch=true&timeoutSeconds=1500",
                "watch",
                "pods",
            ),
            (Method::GET, "/api/v1/namespaces/shop", "", "get", "namespaces"),
            (
                Method::PATCH,
                "/apis/flashsale.dev/v1alpha1/namespaces/shop/flashsales/a/status",
                "",
                "patch",
                "flashsales",
            ),
            (
                Method::PUT,
                "/k8s/apis/apps/v1/namespaces/shop/deployments/a",
                "",
                "update",
                "deployments",
            ),
            (Method::GET, "/version", "", "list", "other"),
        ] {
            assert_eq!(asked(&method, path, query), Asked { verb, resource }, "{path}");
        }
    }
}
