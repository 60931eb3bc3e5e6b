//! Each role's admin port: health, readiness, metrics, the live document.

use super::config::{ConfigError, Told};
use crate::admin::Admin;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Takes the address.
pub(super) async fn bind<T>(
    told: &Told<T>,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ConfigError> {
    let wrong = |e: std::io::Error| told.wrong("admin", in_use(address, &e));
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    Ok((listener, bound))
}

/// Why an address can't be had.
pub(super) fn in_use(address: SocketAddr, error: &std::io::Error) -> String {
    format!("can't listen on {address} ({error}): give another address")
}

/// Serves until the process ends.
pub(super) fn serve(listener: TcpListener, admin: Admin) {
    let router = admin.router();
    tokio::spawn(async move {
        // Ends with the process; a failed accept is retried by axum itself.
        let _ = axum::serve(listener, router).await;
    });
}
