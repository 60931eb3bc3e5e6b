//! The shop that the operator calls, with a certificate that the operator trusts.

use crate::cluster::Cluster;
use crate::stage::PAYMENT_SECRET;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::Listener;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::signature;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A call that came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) body: Value,
    /// Whether it was answered with 200.
    pub(crate) taken: bool,
}

/// A shop; its server ends with the process.
pub(crate) struct Shop {
    /// Where it is called.
    pub(crate) url: String,
    state: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    calls: Vec<Call>,
    /// So many of the next calls are refused.
    refuses: usize,
    forged: usize,
}

impl Shop {
    /// Opens it, at a port of the system's choice.
    pub(crate) async fn open(cluster: &Cluster) -> Result<Self> {
        let (certificate, key) = &cluster.shop;
        let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(key)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        let listener = TcpListener::bind("0.0.0.0:0").await.context("the shop's port")?;
        let port = listener.local_addr()?.port();
        let state: Arc<Mutex<Book>> = Arc::default();
        let router = Router::new()
            .route("/", post(take))
            .with_state(Arc::clone(&state));
        let listener = Tls {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url: format!("https://{}:{port}/", cluster.entry.ip()),
            state,
        })
    }

    /// Refuses the next calls.
    pub(crate) fn refuse(&self, calls: usize) {
        self.book().refuses = calls;
    }

    /// Everything that came, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book().calls.clone()
    }

    /// Calls that weren't signed as they should be.
    pub(crate) fn forged(&self) -> usize {
        self.book().forged
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(state): State<Arc<Mutex<Book>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut book = state.lock().unwrap_or_else(PoisonError::into_inner);
    let signed = header(signature::HEADER);
    if !signature::verify(PAYMENT_SECRET, now_ms() / 1000, &signed, &body) {
        book.forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let taken = book.refuses == 0;
    book.refuses = book.refuses.saturating_sub(1);
    book.calls.push(Call {
        event: header("Flashsale-Event"),
        id: header("Flashsale-Message-Id"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        taken,
    });
    if taken {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            // Who doesn't trust the certificate ends here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
