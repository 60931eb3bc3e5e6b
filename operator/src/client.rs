//! The way to the Kubernetes API: no silent retry of anything, dead connections noticed, every answer within a time.

mod meter;

use crate::metrics::Metrics;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use meter::MeterLayer;
use std::path::Path;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// A connection is made within this time, with its TLS handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What is sent is taken within this time.
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// Silence after which a connection is probed, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Probes without an answer until a connection is dead.
const PROBES: u32 = 3;
/// Sent bytes that nobody confirms for so long make a connection dead.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);

/// Reads where the API is.
///
/// # Errors
/// The file is wrong, or this process doesn't run in a pod.
pub(crate) async fn config(kubeconfig: Option<&Path>) -> Result<Config, String> {
    let Some(path) = kubeconfig else {
        return Config::incluster().map_err(|e| {
            format!("this process isn't in a pod of the cluster ({e}): give the cluster with --kubeconfig")
        });
    };
    let told = |e: kube::config::KubeconfigError| {
        format!(
            "--kubeconfig {}: {e}: give a file that kubectl can use",
            path.display()
        )
    };
    let read = Kubeconfig::read_from(path).map_err(told)?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(told)
}

/// A client for `config` that counts its requests.
///
/// # Errors
/// The certificates or the credentials can't be used.
pub(crate) fn client(config: &Config, metrics: Metrics) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(PROBES));
    tcp.set_tcp_user_timeout(Some(UNCONFIRMED_MAX));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_write_timeout(Some(WRITE_WITHIN));
    let http: Hyper<_, Body> = Hyper::builder(TokioExecutor::new()).build(connector);
    // Without `RetryLayer`: a request whose answer is lost may have been carried out, and only whoever sent it knows
    // whether it may be repeated.
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(MeterLayer(metrics))
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}
